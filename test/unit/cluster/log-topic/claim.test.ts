import { expect } from 'chai';
import { Claim } from '../../../../src/cluster/log-topic/claim.ts';
import { formatHeartbeat, parseHeartbeat } from '../../../../src/cluster/log-topic/heartbeat.ts';
import { Roster } from '../../../../src/cluster/log-topic/roster.ts';
import type { StoredValue } from '../../../../src/store/store.ts';

const id = 'a.test:8082';
const beat = (instance: string, offset: number, since?: number) => ({ id, instance, offset, since });

describe('the claim to an id', () => {
  it('is had at once where nothing lies under the id, or this instance itself', () => {
    const fresh = new Claim('me', 3_000);
    fresh.observe(undefined, 250);
    expect(fresh.state).to.equal('claimed');
    const again = new Claim('me', 3_000);
    again.observe(beat('me', 7), 250);
    expect(again.state).to.equal('claimed');
  });

  it('waits for a former instance to show that it is gone', () => {
    const claim = new Claim('me', 3_000);
    claim.observe(beat('former', 7), 250);
    for (let waitedMs = 0; waitedMs < 2_750; waitedMs += 250) claim.observe(beat('former', 7), 250);
    expect(claim.state).to.equal('waiting');
    claim.observe(beat('former', 7), 250);
    expect(claim.state).to.equal('claimed');
  });

  it('is lost to an instance that beats twice more; once may have been on its way', () => {
    const claim = new Claim('me', 3_000);
    claim.observe(beat('other', 7), 250);
    claim.observe(beat('other', 9), 250);
    expect(claim.state).to.equal('waiting');
    claim.observe(beat('other', 11), 250);
    expect(claim.state).to.equal('taken');
  });

  it('waits anew after a heartbeat that was on its way', () => {
    const claim = new Claim('me', 1_000);
    claim.observe(beat('former', 7), 250);
    claim.observe(beat('former', 8), 250);
    for (let waitedMs = 0; waitedMs < 750; waitedMs += 250) claim.observe(beat('former', 8), 250);
    expect(claim.state).to.equal('waiting');
    claim.observe(beat('former', 8), 250);
    expect(claim.state).to.equal('claimed');
  });

  for (const [what, own, state] of [
    ['of a node that was first', beat('other', 20, 5), 'taken'],
    ['of a node that came later', beat('other', 20, 15), 'claimed'],
    ['the first heartbeat of a node that came later', beat('other', 20), 'claimed'],
    ['what lay there before, which takes a while to be replaced', beat('former', 9, 5), 'claimed'],
  ] as const) {
    it(`once had, when it sees ${what}, is ${state}`, () => {
      const claim = new Claim('me', 1_000);
      claim.observe(undefined, 250);
      claim.since = 10;
      claim.observe(own, 250);
      expect(claim.state).to.equal(state);
    });
  }
});

describe('a heartbeat', () => {
  const stored = (text: string, offset = 3) => ({ latin1: text, offset }) as StoredValue;

  it('is read as it was written', () => {
    const text = formatHeartbeat({ id, instance: 'i', socket: 'a.test:8182' }, 12).toString();
    expect(JSON.parse(text)).to.deep.equal({ instance: 'i', since: 12, socket: 'a.test:8182' });
    expect(parseHeartbeat(Buffer.from(id), stored(text))).to.deep.equal({ id, instance: 'i', since: 12, offset: 3 });
    const first = formatHeartbeat({ id, instance: 'i' }, undefined).toString();
    expect(parseHeartbeat(Buffer.from(id), stored(first))).to.deep.include({ since: undefined });
  });

  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '7',
    '"i"',
    '{"instance":""}',
    '{"instance":7}',
    '{"instance":"i","since":"12"}',
    '{"instance":"i","since":1.5}',
    '{"instance":"i"',
    `{"instance":"${'i'.repeat(5_000)}"}`,
  ]) {
    it(`is not ${text.slice(0, 40)}`, () => {
      expect(parseHeartbeat(Buffer.from(id), stored(text))).to.equal(undefined);
    });
  }

  for (const key of ['', 'a.test', 'a.test:0', 'a.test:65536', 'http://a.test:1', 'a.test:8082/x', '\xff:1']) {
    it(`has no node under the key ${JSON.stringify(key)}`, () => {
      expect(parseHeartbeat(Buffer.from(key, 'latin1'), stored('{"instance":"i"}'))).to.equal(undefined);
    });
  }
});

describe('the roster', () => {
  const of = (name: string, offset: number) => ({ id: name, instance: 'i', offset, since: undefined });

  it('has whoever beats, and drops who has been silent for longer than it may', () => {
    const roster = new Roster(1_000);
    expect(roster.observe([of('a', 1), of('b', 2)], 0)).to.deep.equal(['a', 'b']);
    expect(roster.observe([of('a', 3), of('b', 2)], 1_000)).to.deep.equal(['a', 'b']);
    expect(roster.observe([of('a', 4), of('b', 2)], 1)).to.deep.equal(['a']);
    expect(roster.observe([of('a', 5), of('b', 6)], 500)).to.deep.equal(['a', 'b']);
  });

  it('counts no time in which the log carried nothing', () => {
    const roster = new Roster(1_000);
    roster.observe([of('a', 1)], 0);
    for (let i = 0; i < 100; i += 1) expect(roster.observe([of('a', 1)], 0)).to.deep.equal(['a']);
  });

  it('drops at once who has left', () => {
    const roster = new Roster(1_000);
    roster.observe([of('a', 1), of('b', 2)], 0);
    expect(roster.observe([of('b', 2)], 0)).to.deep.equal(['b']);
  });
});
