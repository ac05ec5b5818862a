import { expect } from 'chai';
import { Claim } from '../../../../src/cluster/log-topic/claim.ts';
import { formatHeartbeat, parseHeartbeat } from '../../../../src/cluster/log-topic/heartbeat.ts';
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

  function claimedAt(since: number): Claim {
    const claim = new Claim('me', 1_000);
    claim.observe(undefined, 250);
    claim.since = since;
    return claim;
  }

  for (const [what, seen, state] of [
    ['a node that was first, twice', [beat('other', 20, 5), beat('other', 22, 5)], 'taken'],
    [
      'a node that was first, and its own heartbeats between',
      [beat('other', 20, 5), beat('me', 21, 10), beat('other', 22, 5)],
      'taken',
    ],
    ['a node that was first, once: that may be late, or forged', [beat('other', 20, 5)], 'claimed'],
    ['one heartbeat of a node that was first, at every look', [beat('other', 20, 5), beat('other', 20, 5)], 'claimed'],
    ['two nodes that were first, once each', [beat('other', 20, 5), beat('another', 22, 5)], 'claimed'],
    ['a node that came later', [beat('other', 20, 15), beat('other', 22, 15)], 'claimed'],
    ['the first heartbeat of a node that came later', [beat('other', 20), beat('other', 20)], 'claimed'],
    [
      'what lay there before, which takes a while to be replaced',
      [beat('former', 8, 5), beat('former', 9, 5)],
      'claimed',
    ],
  ] as const) {
    it(`once had, when it sees ${what}, is ${state}`, () => {
      const claim = claimedAt(10);
      for (const own of seen) claim.observe(own, 250);
      expect(claim.state).to.equal(state);
    });
  }

  it('once had, is not lost to a heartbeat that lies before the first of its own instance', () => {
    const claim = claimedAt(1_000);
    for (const offset of [1_001, 1_002, 1_003]) claim.observe(beat('other', offset, 5_000), 250);
    expect(claim.state).to.equal('claimed');
  });

  it('has its first heartbeat before it once more where the topic was made anew', () => {
    const claim = claimedAt(1_000);
    claim.observe(beat('other', 1_001, 5), 250);
    claim.restart();
    expect(claim.since).to.equal(undefined);
    claim.since = 0;
    // A node that has not noticed yet; its heartbeats tell of the topic of before.
    for (const offset of [1, 2, 3]) claim.observe(beat('other', offset, 900), 250);
    expect(claim.state).to.equal('claimed');
  });
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
    '{"instance":"i","since":-1}',
    '{"instance":"i"',
    `{"instance":"${'i'.repeat(5_000)}"}`,
  ]) {
    it(`is not ${text.slice(0, 40)}`, () => {
      expect(parseHeartbeat(Buffer.from(id), stored(text))).to.equal(undefined);
    });
  }

  it('is of one node however its host is written', () => {
    expect(parseHeartbeat(Buffer.from('A.Test:08082'), stored('{"instance":"i"}'))).to.deep.include({ id });
  });

  for (const key of ['', 'a.test', 'a.test:0', 'a.test:65536', 'http://a.test:1', 'a.test:8082/x', '\xff:1']) {
    it(`has no node under the key ${JSON.stringify(key)}`, () => {
      expect(parseHeartbeat(Buffer.from(key, 'latin1'), stored('{"instance":"i"}'))).to.equal(undefined);
    });
  }
});
