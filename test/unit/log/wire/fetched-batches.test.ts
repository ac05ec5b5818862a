import { expect } from 'chai';
import { type FetchedBatch, fetchedBatches } from '../../../../src/log/wire/fetched-batches.ts';
import { writeBatch } from '../../../../src/protocol/record-batch.ts';
import { mutated, Random } from '../../../support/protocol/mutations.ts';

const records = [1, 2].map((timestampMs) => ({ key: Buffer.from('k'), value: Buffer.from('v'), timestampMs }));
const batch = (baseOffset: number): Buffer => writeBatch({ baseOffset, records });
const changed = (bytes: Buffer, write: (bytes: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes);
  write(copy);
  return copy;
};

describe('the batches of an answer', () => {
  it('are found up to the one that is cut off, which says where the next fetch begins', () => {
    const whole = Buffer.concat([batch(0), batch(2), batch(10)]);
    for (let length = 0; length <= whole.length; length += 1) {
      const { batches, nextOffset, fault, isCut } = fetchedBatches(whole.subarray(0, length), 0);
      const complete = Math.floor(length / batch(0).length);
      expect([...batches].map(({ header }) => header.baseOffset)).to.deep.equal([0, 2, 10].slice(0, complete));
      expect(nextOffset).to.equal([0, 2, 4, 12][complete]);
      expect(fault).to.equal(undefined);
      expect(isCut).to.equal(complete === 0 && length > 0);
    }
  });

  it('leave out those before the position, and those that begin again where one has been', () => {
    const bytes = Buffer.concat([batch(0), batch(2), batch(2), batch(4)]);
    const { batches, nextOffset } = fetchedBatches(bytes, 3);
    expect([...batches].map(({ header }) => header.baseOffset)).to.deep.equal([2, 4]);
    expect(nextOffset).to.equal(6);
  });

  it('are read one by one when they are asked for, so that an answer of tiny ones takes no memory beside its own', () => {
    const bytes = Buffer.concat([batch(0), batch(2)]);
    const [first, second] = fetchedBatches(bytes, 0).batches;
    expect([first!.header.leaderEpoch, second!.header.leaderEpoch]).to.deep.equal([-1, -1]);
    const batches = fetchedBatches(bytes, 0).batches[Symbol.iterator]();
    expect(batches.next().value).to.deep.equal(first);
    bytes.writeInt32BE(7, second!.at + 12);
    expect((batches.next().value as FetchedBatch).header.leaderEpoch).to.equal(7);
    expect(batches.next().done).to.equal(true);
  });

  it('end before what is no batch, with where and why', () => {
    const faults: [reason: string, bytes: Buffer, detail: RegExp][] = [
      ['old_format', changed(batch(2), (bytes) => bytes.writeInt8(0, 16)), /message format 0/],
      ['old_format', changed(batch(2), (bytes) => bytes.writeInt8(1, 16)), /message format 1/],
      ['format', changed(batch(2), (bytes) => bytes.writeInt8(3, 16)), /format version 3/],
      ['format', changed(batch(2), (bytes) => bytes.writeInt32BE(5, 8)), /announces 17 bytes/],
      ['format', changed(batch(2), (bytes) => bytes.writeInt32BE(-20, 8)), /announces -8 bytes/],
      ['format', changed(batch(2), (bytes) => bytes.writeInt32BE(-1, 0)), /has offset -/],
      ['format', changed(batch(2), (bytes) => bytes.writeInt32BE(0x7fff_ffff, 0)), /has offset 9/],
    ];
    for (const [reason, bytes, detail] of faults) {
      const { batches, count, nextOffset, fault } = fetchedBatches(Buffer.concat([batch(0), bytes]), 0);
      expect([...batches]).to.have.length(1);
      expect([count, nextOffset, fault?.reason]).to.deep.equal([1, 2, reason]);
      expect(fault?.detail).to.match(detail);
    }
  });

  it('say of an old message that is cut off what it is, since more of it will not come', () => {
    const old = changed(batch(7), (bytes) => {
      bytes.writeInt8(1, 16);
      bytes.writeInt32BE(1_000_000, 8);
    });
    expect(fetchedBatches(old, 7).fault?.reason).to.equal('old_format');
  });

  it('never throw, and never step back, whatever the bytes', () => {
    const random = new Random(11);
    for (let round = 0; round < 5_000; round += 1) {
      const bytes = mutated(Buffer.concat([batch(3), batch(5), batch(9)]), random);
      const { batches, count, nextOffset } = fetchedBatches(bytes, 4);
      let position = 4;
      let seen = 0;
      for (const { at, header } of batches) {
        expect(header.lastOffset).to.be.at.least(position);
        expect(at + header.bytes).to.be.at.most(bytes.length);
        position = header.lastOffset + 1;
        seen += 1;
      }
      expect(seen).to.equal(count);
      expect(nextOffset).to.equal(position);
    }
  });
});
