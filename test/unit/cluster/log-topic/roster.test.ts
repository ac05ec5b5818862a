import { expect } from 'chai';
import { Roster } from '../../../../src/cluster/log-topic/roster.ts';

describe('the roster', () => {
  let roster: Roster;

  beforeEach(() => {
    roster = new Roster({ expireAfterMs: 1_000, forgetAfterMs: 10_000, nodesMax: 3 });
  });

  it('has whoever beats, and not who has been silent for longer than it may', () => {
    roster.heard('a');
    roster.heard('b');
    roster.pass(1_000);
    expect(roster.alive()).to.have.members(['a', 'b']);
    roster.heard('a');
    roster.pass(1);
    expect(roster.alive()).to.deep.equal(['a']);
    roster.heard('b');
    expect(roster.alive()).to.have.members(['a', 'b']);
  });

  it('counts no time in which the log carried nothing', () => {
    roster.heard('a');
    for (let i = 0; i < 100; i += 1) roster.pass(0);
    expect(roster.alive()).to.deep.equal(['a']);
  });

  it('drops at once who has left', () => {
    roster.heard('a');
    roster.heard('b');
    roster.gone('a');
    expect(roster.alive()).to.deep.equal(['b']);
  });

  it('forgets who is silent for good, and tells it once', () => {
    roster.heard('a');
    roster.pass(10_000);
    expect(roster.knows('a')).to.equal(true);
    roster.heard('b');
    expect(roster.pass(1)).to.deep.equal(['a']);
    expect([roster.knows('a'), roster.knows('b')]).to.deep.equal([false, true]);
    expect(roster.pass(1)).to.deep.equal([]);
  });

  it('gives a newcomer the place of who has been silent longest, and of nobody who is alive', () => {
    for (const id of ['a', 'b', 'c']) roster.heard(id);
    roster.pass(1_001);
    roster.heard('a');
    roster.heard('d');
    roster.heard('e');
    roster.heard('f');
    expect(roster.alive()).to.have.members(['a', 'd', 'e']);
    expect(['b', 'c', 'f'].filter((id) => roster.knows(id))).to.deep.equal([]);
  });
});
