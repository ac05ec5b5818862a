import { expect } from 'chai';
import { type CommittedOffset, OffsetTable, type Producer } from '../../../../src/broker/groups/offset-table.ts';

const at = (offset: number): CommittedOffset => ({
  offset,
  leaderEpoch: -1,
  metadata: '',
  committedAtMs: 1,
  expiresAtMs: undefined,
});
const producer: Producer = { producerId: 1, producerEpoch: 5 };

describe('the table of offsets', () => {
  let table: OffsetTable;

  beforeEach(() => {
    table = new OffsetTable();
  });

  const offset = (group = 'g'): number | undefined => table.get(group, 't', 0)?.offset;
  const commit = (value: number) => table.commit('g', 't', 0, at(value));
  const pend = (value: number, by = producer) => table.commitPending(by, 'g', 't', 0, at(value));

  it('has the last that was committed, of each group and partition', () => {
    commit(1);
    commit(2);
    table.commit('h', 't', 0, at(3));
    table.commit('g', 't', 1, at(4));
    expect(offset()).to.equal(2);
    expect(offset('h')).to.equal(3);
    expect(table.offsetsOf('g').map(({ topic, partition }) => `${topic}-${partition}`)).to.deep.equal(['t-0', 't-1']);
  });

  it('applies what a transaction committed when it is committed, not before (rule 13)', () => {
    commit(1);
    pend(2);
    table.commitPending(producer, 'h', 't', 0, at(9));
    expect([offset(), offset('h')]).to.deep.equal([1, undefined]);
    expect(table.isPending('g', 't', 0)).to.equal(true);
    expect(table.isPending('g', 't', 1)).to.equal(false);
    table.complete(producer, true);
    expect([offset(), offset('h')]).to.deep.equal([2, 9]);
    expect(table.isPending('g', 't', 0)).to.equal(false);
  });

  it('forgets what an aborted transaction committed', () => {
    pend(2);
    table.complete(producer, false);
    expect(offset()).to.equal(undefined);
    expect(table.isPending('g', 't', 0)).to.equal(false);
    expect(table.has('g')).to.equal(false);
    table.complete(producer, true);
    expect(offset()).to.equal(undefined);
  });

  it('keeps a plain commit that came after one of a transaction that ends later', () => {
    pend(2);
    commit(3);
    table.complete(producer, true);
    expect(offset()).to.equal(3);
  });

  it('applies one of a transaction that came after a plain commit', () => {
    commit(3);
    pend(2);
    table.complete(producer, true);
    expect(offset()).to.equal(2);
  });

  it('ends a transaction by a marker of a later epoch, by which a producer is fenced, and of an earlier one not', () => {
    pend(2);
    table.complete({ ...producer, producerEpoch: 4 }, false);
    expect(table.isPending('g', 't', 0)).to.equal(true);
    table.complete({ ...producer, producerEpoch: 6 }, false);
    expect(table.isPending('g', 't', 0)).to.equal(false);
  });

  it('keeps transactions of several producers apart', () => {
    const other = { producerId: 2, producerEpoch: 0 };
    pend(2);
    pend(3, other);
    table.complete(producer, true);
    expect(offset()).to.equal(2);
    expect(table.isPending('g', 't', 0)).to.equal(true);
    table.complete(other, true);
    expect(offset()).to.equal(3);
  });

  it('removes an offset, also where a transaction has yet to commit it', () => {
    commit(1);
    pend(2);
    expect(table.partitionsOf('g')).to.deep.equal([{ topic: 't', partition: 0 }]);
    expect(table.remove('g', 't', 0)).to.equal(true);
    expect(table.has('g')).to.equal(false);
    table.complete(producer, true);
    expect(offset()).to.equal(undefined);
    expect(table.remove('g', 't', 0)).to.equal(false);
  });

  it('knows groups that have nothing but an open transaction', () => {
    pend(2);
    expect([...table.groupIds()]).to.deep.equal(['g']);
    expect(table.partitionsOf('g')).to.deep.equal([{ topic: 't', partition: 0 }]);
    expect(table.offsetsOf('g')).to.deep.equal([]);
  });

  describe('takes back what did not get into the log', () => {
    it('to what was there before', () => {
      const undoFirst = commit(1);
      const undoSecond = commit(2);
      undoSecond();
      expect(offset()).to.equal(1);
      undoFirst();
      expect(table.has('g')).to.equal(false);
    });

    it('unless something else is there by now', () => {
      const undo = commit(1);
      commit(2);
      undo();
      expect(offset()).to.equal(2);
    });

    it('of a transaction, open or ended', () => {
      const undo = pend(1);
      const undoSecond = pend(2);
      undoSecond();
      undo();
      expect(table.has('g')).to.equal(false);
      const undoLate = pend(3);
      table.complete(producer, false);
      undoLate();
      expect(table.has('g')).to.equal(false);
    });
  });
});
