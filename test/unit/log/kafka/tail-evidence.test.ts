import { expect } from 'chai';
import { TailEvidence } from '../../../../src/log/kafka/tail-evidence.ts';

const leader = 'broker:9092';

describe('tail evidence', () => {
  let evidence: TailEvidence;
  const fetched = (times: number, broker = leader) => {
    for (let i = 0; i < times; i += 1) evidence.fetchAnswered(broker);
  };
  const examine = ({ position = 5, end = 9, of = leader, partition = 0 } = {}) =>
    evidence.examine(partition, position, end, of);

  beforeEach(() => {
    evidence = new TailEvidence();
  });

  it('needs two fetches that the leader answered after the end was looked up', () => {
    fetched(10);
    expect(examine()).to.equal(undefined);
    expect(examine()).to.equal(undefined);
    fetched(1);
    expect(examine()).to.equal(undefined);
    fetched(1);
    expect(examine()).to.equal(9);
  });

  it('speaks of the end that was looked up before the fetches, not of a later one', () => {
    examine({ end: 9 });
    fetched(2);
    expect(examine({ end: 20 })).to.equal(9);
  });

  it('starts over after each finding', () => {
    examine();
    fetched(2);
    expect(examine()).to.equal(9);
    expect(examine({ end: 20 })).to.equal(undefined);
    fetched(2);
    expect(examine({ end: 20 })).to.equal(20);
  });

  it('does not count the fetches of other brokers', () => {
    examine();
    fetched(5, 'other:9092');
    expect(examine()).to.equal(undefined);
  });

  for (const [what, disturb] of [
    ['something of the partition arrived', () => evidence.arrived(0)],
    ['fetches may have failed', () => evidence.disturbed()],
  ] as const) {
    it(`starts over when ${what}`, () => {
      examine();
      fetched(1);
      disturb();
      fetched(1);
      expect(examine()).to.equal(undefined);
      fetched(1);
      expect(examine()).to.equal(undefined);
      fetched(1);
      expect(examine()).to.equal(9);
    });
  }

  for (const [what, changed] of [
    ['the position has moved', { position: 6 }],
    ['the partition has another leader', { of: 'other:9092' }],
  ] as const) {
    it(`starts over when ${what}`, () => {
      examine();
      fetched(2);
      fetched(2, 'other:9092');
      expect(examine(changed)).to.equal(undefined);
      fetched(2);
      fetched(2, 'other:9092');
      expect(examine(changed)).to.equal(9);
    });
  }

  it('keeps partitions apart', () => {
    examine({ partition: 0 });
    examine({ partition: 1, position: 2, end: 4 });
    evidence.arrived(0);
    fetched(2);
    expect(examine({ partition: 1, position: 2, end: 4 })).to.equal(4);
    expect(examine({ partition: 0 })).to.equal(undefined);
  });
});
