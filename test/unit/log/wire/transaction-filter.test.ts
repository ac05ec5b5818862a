import { expect } from 'chai';
import { type AbortedTransaction, TransactionFilter } from '../../../../src/log/wire/transaction-filter.ts';
import { type NewBatch, readHeader, writeBatch } from '../../../../src/protocol/record-batch.ts';
import { Random } from '../../../support/protocol/mutations.ts';

const record = { key: Buffer.from('k'), value: null, timestampMs: 1 };
const headerOf = (baseOffset: number, batch: Partial<NewBatch>) =>
  readHeader(writeBatch({ baseOffset, records: [record], ...batch }));
const data = (baseOffset: number, producerId: number) => headerOf(baseOffset, { producerId, isTransactional: true });
const marker = (baseOffset: number, producerId: number) =>
  headerOf(baseOffset, { producerId, isTransactional: true, isControl: true });

describe('the transaction filter', () => {
  it('drops what lies between an aborted transaction’s first record and its marker, of that producer alone', () => {
    const filter = new TransactionFilter([{ producerId: 1, firstOffset: 2 }]);
    const headers = [data(0, 1), marker(1, 1), data(2, 1), data(3, 2), data(4, 1), marker(5, 1), data(6, 1)];
    expect(headers.map((header) => filter.drops(header))).to.deep.equal([false, true, true, false, true, true, false]);
  });

  it('takes the aborted transactions in any order', () => {
    const filter = new TransactionFilter([
      { producerId: 1, firstOffset: 4 },
      { producerId: 2, firstOffset: 0 },
      { producerId: 1, firstOffset: 1 },
    ]);
    const headers = [data(0, 2), data(1, 1), marker(2, 1), data(3, 1), data(4, 1), marker(5, 2), data(6, 2)];
    expect(headers.map((header) => filter.drops(header))).to.deep.equal([true, true, true, false, true, true, false]);
  });

  it('knows of one that began before the answer', () => {
    const filter = new TransactionFilter([{ producerId: 1, firstOffset: 5 }]);
    expect([data(100, 1), marker(101, 1), data(102, 1)].map((header) => filter.drops(header))).to.deep.equal([
      true,
      true,
      false,
    ]);
  });

  it('drops no record that is in no transaction, though it is of the same producer', () => {
    const filter = new TransactionFilter([{ producerId: 1, firstOffset: 0 }]);
    expect(filter.drops(headerOf(0, { producerId: 1 }))).to.equal(false);
  });

  it('knows markers by the batch’s attribute: a record that looks like one is a record', () => {
    const looksLikeOne = { key: Buffer.from([0, 0, 0, 0]), value: Buffer.alloc(6), timestampMs: 1 };
    const filter = new TransactionFilter(null);
    expect(filter.drops(headerOf(0, { records: [looksLikeOne] }))).to.equal(false);
    expect(filter.drops(marker(1, 1))).to.equal(true);
  });

  it('drops exactly what was aborted, in any interleaving of many producers', () => {
    const random = new Random(3);
    for (let round = 0; round < 200; round += 1) {
      const open = new Map<number, { firstOffset: number; offsets: number[] }>();
      const headers = [];
      const expected = new Set<number>();
      const aborted: AbortedTransaction[] = [];
      for (let offset = 0; offset < 60; offset += 1) {
        const producerId = random.below(4);
        const current = open.get(producerId);
        if (current !== undefined && random.below(3) === 0) {
          headers.push(marker(offset, producerId));
          expected.add(offset);
          open.delete(producerId);
          if (random.below(2) === 0) {
            for (const each of current.offsets) expected.add(each);
            aborted.push({ producerId, firstOffset: current.firstOffset });
          }
        } else {
          headers.push(data(offset, producerId));
          if (current === undefined) open.set(producerId, { firstOffset: offset, offsets: [offset] });
          else current.offsets.push(offset);
        }
      }
      const filter = new TransactionFilter(aborted);
      const dropped = headers.filter((header) => filter.drops(header)).map(({ baseOffset }) => baseOffset);
      expect(dropped).to.deep.equal([...expected].sort((a, b) => a - b));
    }
  });
});
