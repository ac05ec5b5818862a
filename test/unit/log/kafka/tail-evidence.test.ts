import { expect } from 'chai';
import { TailEvidence } from '../../../../src/log/kafka/tail-evidence.ts';

const leader = 1;
const other = 2;

describe('tail evidence', () => {
  let evidence: TailEvidence;
  const examine = (position = 5, end = 9, led = leader) => evidence.examine(0, position, end, led);

  /** A whole round of a broker's fetch loop, up to the start of the next. */
  const round = (nodeId: number, { answers = true, returns = true } = {}) => {
    if (answers) evidence.answered(nodeId);
    if (returns) evidence.returned(nodeId);
    evidence.roundStarts(nodeId);
  };
  const rounds = (count: number, nodeId = leader) => {
    for (let i = 0; i < count; i += 1) round(nodeId);
  };

  beforeEach(() => {
    evidence = new TailEvidence();
    evidence.roundStarts(leader);
  });

  it('is there once the leader answered two fetches, processed to their end, that brought nothing', () => {
    expect(examine()).to.equal(undefined);
    rounds(1);
    expect(examine()).to.equal(undefined);
    rounds(1);
    expect(examine()).to.equal(9);
  });

  it('does not count what was answered before the end was looked up', () => {
    rounds(10);
    expect(examine()).to.equal(undefined);
    rounds(1);
    expect(examine()).to.equal(undefined);
  });

  it('does not count an answer that is still being processed', () => {
    examine();
    rounds(1);
    evidence.answered(leader);
    evidence.returned(leader);
    expect(examine()).to.equal(undefined);
    evidence.roundStarts(leader);
    expect(examine()).to.equal(9);
  });

  it('does not count rounds that failed, or in which nothing was answered with room to spare', () => {
    examine();
    for (let i = 0; i < 5; i += 1) round(leader, { returns: false });
    for (let i = 0; i < 5; i += 1) round(leader, { answers: false });
    expect(examine()).to.equal(undefined);
  });

  it('is void when something of the partition arrived', () => {
    examine();
    rounds(1);
    evidence.arrived(0);
    rounds(1);
    expect(examine()).to.equal(undefined);
    rounds(1);
    expect(examine()).to.equal(undefined);
    rounds(1);
    expect(examine()).to.equal(9);
  });

  it('is not void when something of another partition arrived', () => {
    examine();
    rounds(1);
    evidence.arrived(1);
    rounds(1);
    expect(examine()).to.equal(9);
  });

  for (const [what, change] of [
    ['the position moved', () => examine(6)],
    ['the leader changed', () => examine(5, 9, other)],
    ['the group was joined anew', () => evidence.disturbed()],
  ] as const) {
    it(`begins again when ${what}`, () => {
      examine();
      rounds(2);
      change();
      expect(examine()).to.equal(undefined);
    });
  }

  it('answers for the end that was looked up first, not for what came to be since', () => {
    examine(5, 9);
    rounds(2);
    expect(examine(5, 20)).to.equal(9);
  });

  it('is not there while another broker’s fetch hangs, which may be of this partition', () => {
    evidence.roundStarts(other);
    examine();
    rounds(5);
    expect(examine()).to.equal(undefined);
    rounds(2, other);
    expect(examine()).to.equal(9);
  });

  it('does not ask a broker that leads nothing to answer anything', () => {
    evidence.roundStarts(other);
    examine();
    rounds(2);
    for (let i = 0; i < 2; i += 1) round(other, { answers: false });
    expect(examine()).to.equal(9);
  });
});
