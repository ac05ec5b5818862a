import { expect } from 'chai';
import fc from 'fast-check';
import type { RecordSlices } from '../../../../src/log/log.ts';
import { BatchColumns, sliceRecordsMax } from '../../../../src/log/wire/batch-columns.ts';
import {
  type BatchHeader,
  batchHeaderBytes,
  type NewRecord,
  readHeader,
  walkRecords,
  writeBatch,
} from '../../../../src/protocol/record-batch.ts';
import { WireError } from '../../../../src/protocol/wire.ts';
import { mutated, Random } from '../../../support/protocol/mutations.ts';
import { copyRecords, type ReadRecord } from '../../../support/read-log.ts';

const bytesOf = (batch: Buffer): Buffer => batch.subarray(batchHeaderBytes);

function slicesOf(bytes: Buffer, header: BatchHeader, position = header.baseOffset): RecordSlices[] {
  const columns = new BatchColumns();
  columns.start(3, bytes, header, position);
  const slices: RecordSlices[] = [];
  for (let next = columns.next(); next !== undefined; next = columns.next()) slices.push(next);
  return slices;
}

/** All records of a batch by the columns, copied before the next slice takes their place. */
function recordsByColumns(bytes: Buffer, header: BatchHeader, position = header.baseOffset): ReadRecord[] {
  const columns = new BatchColumns();
  columns.start(3, bytes, header, position);
  const records: ReadRecord[] = [];
  for (let next = columns.next(); next !== undefined; next = columns.next()) records.push(...copyRecords(next));
  return records;
}

interface Walked {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** The same by `walkRecords`, to which what is below the position, or twice there, means nothing. */
function recordsByWalk(bytes: Buffer, header: BatchHeader): Walked[] {
  const records: Walked[] = [];
  let position = header.baseOffset;
  walkRecords(bytes, header.count, (span) => {
    const offset = header.baseOffset + span.offsetDelta;
    if (offset > header.lastOffset) throw new WireError('beyond the batch');
    if (offset < position) return;
    position = offset + 1;
    const slice = (start: number, length: number) =>
      length < 0 ? null : Buffer.from(bytes.subarray(start, start + length));
    records.push({
      offset,
      timestampMs: header.isLogAppendTime ? header.maxTimestampMs : header.baseTimestampMs + span.timestampDelta,
      key: slice(span.keyStart, span.keyLength),
      value: slice(span.valueStart, span.valueLength),
    });
  });
  return records;
}

const withoutHeaders = (records: readonly ReadRecord[]): Walked[] =>
  records.map(({ offset, timestampMs, key, value }) => ({ offset, timestampMs, key, value }));

const bytesArbitrary = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const recordArbitrary = fc.record({
  key: fc.option(bytesArbitrary),
  value: fc.option(fc.oneof(bytesArbitrary, fc.constant(Buffer.alloc(70_000, 7)))),
  timestampMs: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: -1, max: 2 ** 48 })),
  headers: fc.array(fc.tuple(fc.string({ maxLength: 4 }), fc.option(bytesArbitrary)), { maxLength: 3 }),
  skippedOffsets: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300_000 })),
});
const batchArbitrary = fc
  .record({
    records: fc.array(recordArbitrary, { maxLength: 30 }),
    baseOffset: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 50 })),
    offsetsBehind: fc.integer({ min: 0, max: 5 }),
    isLogAppendTime: fc.boolean(),
  })
  .map(({ records, baseOffset, offsetsBehind, isLogAppendTime }) => {
    let delta = -1;
    const placed: NewRecord[] = records.map(({ skippedOffsets, ...record }) => {
      delta += 1 + skippedOffsets;
      return { ...record, offsetDelta: delta };
    });
    return { records: placed, baseOffset, isLogAppendTime, lastOffsetDelta: Math.max(delta, 0) + offsetsBehind };
  });

describe('the columns of a batch', () => {
  it('are the records that the walk over the same bytes finds', () => {
    fc.assert(
      fc.property(batchArbitrary, (batch) => {
        const bytes = writeBatch(batch);
        const header = readHeader(bytes);
        const records = recordsByColumns(bytesOf(bytes), header);
        expect(withoutHeaders(records)).to.deep.equal(recordsByWalk(bytesOf(bytes), header));
        for (const [index, { headers }] of records.entries()) {
          const last = new Map(batch.records[index]!.headers!);
          const expected = [...last].flatMap(([name, value]) => (value === null ? [] : [[name, value.toString()]]));
          expect(headers).to.deep.equal(Object.fromEntries(expected));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('believe what the walk believes, and refuse what it refuses, whatever the bytes', () => {
    const random = new Random(7);
    let refused = 0;
    let taken = 0;
    fc.assert(
      fc.property(batchArbitrary, (batch) => {
        const bytes = writeBatch(batch);
        const header = readHeader(bytes);
        for (let round = 0; round < 20; round += 1) {
          const damaged = header.count === 0 ? bytesOf(bytes) : mutated(bytesOf(bytes), random);
          let expected: Walked[] | undefined;
          try {
            expected = recordsByWalk(damaged, header);
          } catch (error) {
            expect(error).to.be.instanceOf(WireError);
          }
          if (expected === undefined) {
            refused += 1;
            expect(() => slicesOf(damaged, header)).to.throw(WireError);
          } else {
            taken += 1;
            expect(withoutHeaders(recordsByColumns(damaged, header))).to.deep.equal(expected);
          }
        }
      }),
      { numRuns: 100 },
    );
    // Both happen often, or the test would show nothing.
    expect(Math.min(refused, taken)).to.be.greaterThan(100);
  });

  it('come in slices, each of which says where the next begins, and the last where the batch ends', () => {
    const count = 2 * sliceRecordsMax + 5;
    const records = Array.from({ length: count }, (_, i) => ({
      key: Buffer.from(`k${i}`),
      value: Buffer.from('v'),
      timestampMs: i,
      offsetDelta: 2 * i,
    }));
    const batch = writeBatch({ records, baseOffset: 100, lastOffsetDelta: 2 * count + 50, leaderEpoch: 9 });
    const slices = slicesOf(bytesOf(batch), readHeader(batch));
    expect(slices.map(({ count: each }) => each)).to.deep.equal([sliceRecordsMax, sliceRecordsMax, 5]);
    const lastOf = (slice: number) => 100 + 2 * (slice * sliceRecordsMax - 1);
    expect(slices.map(({ nextOffset }) => nextOffset)).to.deep.equal([
      lastOf(1) + 1,
      lastOf(2) + 1,
      100 + 2 * count + 51,
    ]);
    expect(slices.map(({ leaderEpoch, partition }) => [leaderEpoch, partition])).to.deep.equal(Array(3).fill([9, 3]));
  });

  it('leave out what is before the position: a fetch in the middle of a batch gets all of it', () => {
    const records = Array.from({ length: 10 }, (_, i) => ({
      key: Buffer.from(`k${i}`),
      value: null,
      timestampMs: 1,
      headers: i === 7 ? ([['h', Buffer.from('7')]] as const) : [],
    }));
    const batch = writeBatch({ records, baseOffset: 50 });
    const header = readHeader(batch);
    const [slices, ...others] = slicesOf(bytesOf(batch), header, 57);
    expect(others).to.deep.equal([]);
    const read = copyRecords(slices!);
    expect(read.map(({ offset, key, headers }) => [offset, key?.toString(), headers])).to.deep.equal([
      [57, 'k7', { h: '7' }],
      [58, 'k8', {}],
      [59, 'k9', {}],
    ]);
    expect(slicesOf(bytesOf(batch), header, 60)).to.deep.equal([]);
  });

  it('have no record beyond the last offset of its batch, by which the position would go back', () => {
    const records = [{ key: Buffer.from('k'), value: null, timestampMs: 1, offsetDelta: 5 }];
    const batch = writeBatch({ records, lastOffsetDelta: 4 });
    expect(() => slicesOf(bytesOf(batch), readHeader(batch))).to.throw(WireError, 'its batch ends at 4');
  });
});
