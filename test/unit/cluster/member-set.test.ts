import { expect } from 'chai';
import { MemberSet, membersMax } from '../../../src/cluster/member-set.ts';

const own = 'own.test:8082';

describe('the set of members', () => {
  it('takes no more than a cluster can have, and counts the rest', () => {
    const members = new MemberSet();
    members.replace(
      Array.from({ length: 1_000 }, (_, i) => `n${i}.test:8082`),
      own,
    );
    expect([members.ids.size, members.ignored]).to.deep.equal([membersMax, 1_000 - membersMax]);
  });

  it('takes no place for the node itself, and none from who is a member already', () => {
    const members = new MemberSet();
    members.replace(['z.test:8082'], own);
    const many = Array.from({ length: membersMax - 1 }, (_, i) => `a${i}.test:8082`);
    members.replace([own, ...many, 'z.test:8082'], own);
    expect([members.ids.size, members.ignored, members.ids.has('z.test:8082')]).to.deep.equal([membersMax, 0, true]);
    members.replace([own, ...many, 'b.test:8082', 'z.test:8082'], own);
    expect([members.ids.size, members.ignored]).to.deep.equal([membersMax, 1]);
    expect([members.ids.has('z.test:8082'), members.ids.has('b.test:8082')]).to.deep.equal([true, false]);
  });

  it('knows a node however its host and port are written, itself too', () => {
    const members = new MemberSet();
    members.replace(['A.test:8082', 'a.test:08082', 'a.TEST:8082', '[FD00:0::1]:80', 'OWN.test:8082'], own);
    expect([[...members.ids], members.ignored]).to.deep.equal([['[fd00::1]:80', 'a.test:8082'], 0]);
  });

  it('counts entries that a registry found senseless with those that are no host:port, and once a look', () => {
    const members = new MemberSet();
    members.replace(['a.test:8082', 'nonsense', own], own, 2);
    members.replace(['a.test:8082', 'nonsense', own], own, 2);
    expect([[...members.ids], members.ignored]).to.deep.equal([['a.test:8082'], 3]);
  });

  it('tells of the same node that stays nothing, and nothing at all once it is silenced', () => {
    const members = new MemberSet();
    const events: string[] = [];
    members.subscribe(({ kind, id }) => events.push(`${kind} ${id}`));
    members.replace(['a.test:1', 'b.test:1'], own);
    members.replace(['b.test:1', 'c.test:1'], own);
    expect(events).to.deep.equal(['joined a.test:1', 'joined b.test:1', 'left a.test:1', 'joined c.test:1']);
    members.silence();
    members.replace([], own);
    expect(events).to.have.length(4);
    expect(members.ids.size).to.equal(0);
  });

  for (const name of [
    'xn--a:80',
    'a.0x1:80',
    'a b:1',
    'a:1/x',
    'a:1?b',
    '[::1]',
    '::1:80',
    '[fe80::1%eth0]:80',
    'user@a:1',
  ]) {
    it(`takes ${name} for no node`, () => {
      const members = new MemberSet();
      members.replace([name], own);
      expect([members.ids.size, members.ignored]).to.deep.equal([0, 1]);
    });
  }
});
