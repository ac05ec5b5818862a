import { expect } from 'chai';
import fc from 'fast-check';
import { BatchEncoder, type EncodableRecord } from '../../../src/protocol/batch-encoder.ts';
import { hasSoundCrc, readHeader, writeBatch } from '../../../src/protocol/record-batch.ts';

const producer = { producerId: 4_000_000_000, producerEpoch: 3, baseSequence: 2 ** 31 - 2 };

/** The same batch by the encoder whose bytes are held against Kafka's own. */
function expected(records: readonly EncodableRecord[]): Buffer {
  return writeBatch({
    ...producer,
    records: records.map(({ key, value, headers, timestampMs }) => ({
      key,
      value,
      timestampMs,
      ...(headers === undefined ? {} : { headers: [...headers] }),
    })),
  });
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const record: fc.Arbitrary<EncodableRecord> = fc
  .record({
    key: fc.oneof(bytes(100), fc.constant(null)),
    value: fc.oneof(bytes(300), fc.integer({ min: 8_000, max: 40_000 }).map(Buffer.alloc), fc.constant(null)),
    headers: fc.option(
      fc
        .array(fc.tuple(fc.string({ unit: 'binary', maxLength: 80 }), bytes(200)), { maxLength: 3 })
        .map((all) => new Map(all)),
      { nil: undefined },
    ),
    timestampMs: fc.oneof(
      fc.integer({ min: 1_699_999_999_000, max: 1_700_000_000_000 }),
      fc.integer({ min: 0, max: 2 ** 52 - 1 }),
    ),
  })
  .map(({ headers, ...rest }) => (headers === undefined ? rest : { ...rest, headers }));

describe('the batch encoder', () => {
  it('writes what the encoder writes whose bytes are held against Kafka’s', () => {
    const encoder = new BatchEncoder();
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 40 }), (records) => {
        expect(encoder.encode(records, producer).equals(expected(records))).to.equal(true);
      }),
      { numRuns: 300 },
    );
  });

  it('writes batches of many records, whose deltas take several bytes', () => {
    const records = Array.from({ length: 20_000 }, (_, index) => ({
      key: Buffer.from(`key-${index}`),
      value: index % 3 === 0 ? null : Buffer.alloc(index % 300, 'v'),
      timestampMs: 1_700_000_000_000 + (index % 2 === 0 ? index : -index) * 1_000,
    }));
    const batch = new BatchEncoder().encode(records, producer);
    expect(batch.equals(expected(records))).to.equal(true);
    expect(readHeader(batch)).to.include({ ...producer, count: 20_000, bytes: batch.length });
    expect(hasSoundCrc(batch, 0, batch.length)).to.equal(true);
  });

  it('leaves nothing of a batch in the next, which takes its place', () => {
    const encoder = new BatchEncoder();
    const one = { key: Buffer.from('k'), value: Buffer.alloc(100_000, 'x'), timestampMs: 1 };
    encoder.encode([one, one], producer);
    const small = [{ key: Buffer.from('k'), value: null, timestampMs: 5 }];
    expect(encoder.encode(small, producer).equals(expected(small))).to.equal(true);
  });
});
