import { expect } from 'chai';
import fc from 'fast-check';
import {
  announcedBytes,
  assignAppendTime,
  assignOffset,
  batchHeaderBytes,
  hasSoundCrc,
  lastOffsetAt,
  type NewRecord,
  readHeader,
  recordBytes,
  walkRecords,
  writeBatch,
} from '../../../src/protocol/record-batch.ts';
import { WireError, WireReader, WireWriter } from '../../../src/protocol/wire.ts';
import { type BatchCase, batchCases, forKafka, lastDeltaOf } from '../../support/protocol/batch-cases.ts';
import { goldenBatches } from '../../support/protocol/golden.ts';
import { mutated, Random } from '../../support/protocol/mutations.ts';
import { type JavaBatch, kafkaOracle, type Oracle } from '../../support/protocol/oracle.ts';

const golden = goldenBatches();
const mebibyte = 1024 * 1024;

interface ReadRecord extends NewRecord {
  readonly offsetDelta: number;
}

describe('record batches', () => {
  it('tell their last offset without an object just when their header can be read', () => {
    const random = new Random(3);
    let sound = 0;
    for (let round = 0; round < 4_000; round += 1) {
      const original = golden.get(batchCases[random.below(batchCases.length)]!.name)!;
      // Mostly the header is hit: the records make no difference here.
      const head = mutated(original.subarray(0, batchHeaderBytes), random);
      const bytes = Buffer.concat([head, original.subarray(batchHeaderBytes)]);
      let expected: number | undefined;
      try {
        expected = readHeader(bytes).lastOffset;
        sound += 1;
      } catch (error) {
        expect(error).to.be.instanceOf(WireError);
      }
      expect(lastOffsetAt(bytes, 0)).to.equal(expected);
    }
    expect(sound).to.be.within(400, 3_600);
  });

  for (const each of batchCases) {
    describe(`${each.name}, as Kafka writes it`, () => {
      const bytes = golden.get(each.name)!;

      it('has the header, the CRC and the records that were given to Kafka', async () => {
        const { batch, codec } = each;
        const header = readHeader(bytes);
        const baseOffset = batch.baseOffset ?? 0;
        expect(header).to.deep.include({
          baseOffset,
          lastOffset: baseOffset + lastDeltaOf(batch),
          bytes: bytes.length,
          leaderEpoch: batch.leaderEpoch ?? -1,
          codec,
          isLogAppendTime: false,
          isTransactional: batch.isTransactional ?? false,
          isControl: batch.isControl ?? false,
          hasDeleteHorizon: batch.deleteHorizonMs !== undefined,
          baseTimestampMs: batch.deleteHorizonMs ?? batch.records[0]?.timestampMs ?? -1,
          maxTimestampMs: Math.max(-1, ...batch.records.map(({ timestampMs }) => timestampMs)),
          producerId: batch.producerId ?? -1,
          producerEpoch: batch.producerEpoch ?? -1,
          baseSequence: batch.baseSequence ?? -1,
          count: batch.records.length,
        });
        expect(announcedBytes(bytes, 0)).to.equal(bytes.length);
        expect(hasSoundCrc(bytes, 0, header.bytes)).to.equal(true);
        expect(await recordsOf(bytes)).to.deep.equal(
          batch.records.map((record, index) => ({ headers: [], offsetDelta: index, ...record })),
        );
      });

      it('is found in the middle of other bytes, and refused when it is cut short anywhere', () => {
        const among = Buffer.concat([Buffer.alloc(7, 1), bytes, Buffer.alloc(7, 1)]);
        expect(readHeader(among, 7)).to.deep.equal(readHeader(bytes));
        expect(hasSoundCrc(among, 7, bytes.length)).to.equal(true);
        for (let length = 0; length < bytes.length; length += 1) {
          expect(() => readHeader(bytes.subarray(0, length)), `${length} bytes`).to.throw(WireError);
        }
      });

      it('fails its CRC when any byte that the CRC covers is changed', () => {
        for (let at = 17; at < bytes.length; at += 1) {
          const damaged = Buffer.from(bytes);
          damaged[at]! ^= 0x10;
          expect(hasSoundCrc(damaged, 0, bytes.length), `byte ${at}`).to.equal(false);
        }
      });

      if (each.codec === undefined) {
        it('is written to the same bytes', () => {
          expect(writeBatch(each.batch).toString('hex')).to.equal(bytes.toString('hex'));
        });
      }
    });
  }

  it('keep their CRC when a broker sets offset and leader epoch', async () => {
    const bytes = Buffer.from(golden.get('lz4')!);
    assignOffset(bytes, 0, 2 ** 52 + 1, 77);
    const header = readHeader(bytes);
    expect(header).to.deep.include({ baseOffset: 2 ** 52 + 1, lastOffset: 2 ** 52 + 6, leaderEpoch: 77 });
    expect(hasSoundCrc(bytes, 0, bytes.length)).to.equal(true);
  });

  it('are refused for what no header may say', () => {
    const change = (write: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(golden.get('plain')!);
      write(bytes);
      return bytes;
    };
    const refusals: [why: string, bytes: Buffer][] = [
      ['announces -2147483636 bytes', change((bytes) => bytes.writeInt32BE(-(2 ** 31), 8))],
      ['announces 60 bytes', change((bytes) => bytes.writeInt32BE(48, 8))],
      ['announces 2147483659 bytes', change((bytes) => bytes.writeInt32BE(2 ** 31 - 1, 8))],
      ['format version 1', change((bytes) => bytes.writeInt8(1, 16))],
      ['codec 5', change((bytes) => bytes.writeInt16BE(5, 21))],
      ['6 records over 0 offsets', change((bytes) => bytes.writeInt32BE(-1, 23))],
      ['6 records over 5 offsets', change((bytes) => bytes.writeInt32BE(4, 23))],
      ['-1 records over 6 offsets', change((bytes) => bytes.writeInt32BE(-1, 57))],
    ];
    for (const [why, bytes] of refusals) expect(() => readHeader(bytes)).to.throw(WireError, why);
  });

  it('can be written again with the largest timestamps that a client can send', () => {
    const timestampMs = new WireReader(Buffer.from('7fffffffffffffff', 'hex')).int64();
    const bytes = writeBatch({ records: [{ key: null, value: null, timestampMs }] });
    expect(bytes.toString('hex', 27, 43)).to.equal('7fffffffffffffff'.repeat(2));
  });

  describe('compared with what Kafka reads', () => {
    let oracle: Oracle;
    before(async function () {
      oracle = await kafkaOracle(this);
    });

    const readByKafka = async (bytes: Buffer): Promise<JavaBatch[]> => {
      const [answer] = await oracle('readBatches', [{ hex: bytes.toString('hex') }]);
      return answer!.batches;
    };
    const inKafkasWords = ({ batch, codec }: BatchCase): object => {
      const { lastOffsetDelta, records, ...header } = forKafka({ name: '', batch, ...(codec && { codec }) }) as {
        lastOffsetDelta: number;
        records: { offsetDelta: number; [property: string]: unknown }[];
        baseOffset: number;
      };
      return {
        ...header,
        lastOffset: header.baseOffset + lastOffsetDelta,
        count: records.length,
        isLogAppendTime: false,
        maxTimestampMs: Math.max(-1, ...batch.records.map(({ timestampMs }) => timestampMs)),
        records: records.map(({ offsetDelta, ...record }) => ({ ...record, offset: header.baseOffset + offsetDelta })),
      };
    };

    it('those that we write are the same to it, one after the other', async () => {
      const ours = batchCases.filter(({ codec }) => codec === undefined);
      const batches = await readByKafka(Buffer.concat(ours.map(({ batch }) => writeBatch(batch))));
      expect(batches.map(({ bytes, ...rest }) => rest)).to.deep.equal(ours.map(inKafkasWords));
    });

    it('those that it compressed are the same to both', async () => {
      const compressed = batchCases.filter(({ codec }) => codec !== undefined);
      const batches = await readByKafka(Buffer.concat(compressed.map(({ name }) => golden.get(name)!)));
      expect(batches.map(({ bytes, ...rest }) => rest)).to.deep.equal(compressed.map(inKafkasWords));
    });

    it('those that we stamp with the time of the append have it in every record', async () => {
      const bytes = Buffer.concat([golden.get('plain')!, golden.get('zstd')!]);
      const zstdStart = golden.get('plain')!.length;
      assignAppendTime(bytes, 0, zstdStart, 1_800_000_000_000);
      assignAppendTime(bytes, zstdStart, bytes.length - zstdStart, 1_800_000_000_001);
      const batches = await readByKafka(bytes);
      expect(batches.map(({ isLogAppendTime }) => isLogAppendTime)).to.deep.equal([true, true]);
      expect(batches.map(({ records }) => [...new Set(records.map(({ timestampMs }) => timestampMs))])).to.deep.equal([
        [1_800_000_000_000],
        [1_800_000_000_001],
      ]);
    });
  });
});

describe('walkRecords', () => {
  it('finds every record that was written', async () => {
    const bytes = fc.option(fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)));
    const record = fc.record({
      key: bytes,
      value: bytes,
      timestampMs: fc.nat(2 ** 31 - 1).map((seconds) => seconds * 1000),
      headers: fc.array(fc.tuple(fc.string({ unit: 'binary' }), bytes), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), async (records) => {
        const found = await recordsOf(writeBatch({ records }));
        expect(found).to.deep.equal(records.map((each, index) => ({ ...each, offsetDelta: index })));
      }),
    );
  });

  it('tells where each record begins and ends, its length included', () => {
    const body = bodyOf(golden.get('plain')!);
    const spans: [number, number][] = [];
    walkRecords(body, 6, ({ start, end }) => spans.push([start, end]));
    expect(spans[0]![0]).to.equal(0);
    expect(spans.at(-1)![1]).to.equal(body.length);
    for (const [index, [start]] of spans.entries()) if (index > 0) expect(start).to.equal(spans[index - 1]![1]);
  });

  it('throws nothing but a WireError, and names no byte beyond the batch, whatever bytes are changed', () => {
    for (const { name, codec } of batchCases) {
      if (codec !== undefined) continue;
      const body = bodyOf(golden.get(name)!);
      const { count } = readHeader(golden.get(name)!);
      const change = fc.record({ at: fc.nat(Math.max(body.length - 1, 0)), byte: fc.nat(255) });
      const counts = fc.oneof(fc.constant(count), fc.nat(0x7fff_ffff));
      fc.assert(
        fc.property(fc.array(change, { maxLength: 4 }), fc.nat(body.length), counts, (changes, cut, claimed) => {
          const damaged = Buffer.from(body.subarray(0, cut % 3 === 0 ? cut : body.length));
          for (const { at, byte } of changes) if (at < damaged.length) damaged[at] = byte;
          try {
            walkRecords(damaged, claimed, (span) => {
              const { start, end, keyStart, keyLength, valueStart, valueLength, headersStart } = span;
              const places = [start, keyStart, keyStart + Math.max(keyLength, 0), valueStart, headersStart, end];
              expect(places).to.deep.equal([...places].sort((a, b) => a - b));
              expect(valueStart + Math.max(valueLength, 0)).to.equal(headersStart);
              expect(end).to.be.at.most(damaged.length);
              expect(Math.min(keyLength, valueLength)).to.be.at.least(-1);
            });
          } catch (error) {
            expect(error).to.be.instanceOf(WireError);
          }
        }),
        { numRuns: 500 },
      );
    }
  });

  it('is refused when it is cut short anywhere, or counted wrong', () => {
    const body = bodyOf(golden.get('plain')!);
    for (let length = 0; length < body.length; length += 1) {
      expect(() => walkRecords(body.subarray(0, length), 6, () => undefined), `${length} bytes`).to.throw(WireError);
    }
    expect(() => walkRecords(body, 5, () => undefined)).to.throw(WireError, 'follow the last record');
    expect(() => walkRecords(body, 7, () => undefined)).to.throw(WireError);
  });

  it('refuses what stops Kafka’s consumers, and takes every negative length for null as they do', () => {
    const record = (...fields: number[]): Buffer => {
      const inner = new WireWriter();
      inner.int8(0);
      inner.varlong(0);
      inner.varint(0);
      for (const field of fields) inner.varint(field);
      const body = inner.finish();
      const writer = new WireWriter();
      writer.varint(body.length);
      writer.bytes(body);
      return writer.finish();
    };
    const walk = (bytes: Buffer): number[] => {
      const lengths: number[] = [];
      walkRecords(bytes, 1, ({ keyLength, valueLength }) => lengths.push(keyLength, valueLength));
      return lengths;
    };
    expect(walk(record(-1, -1, 0))).to.deep.equal([-1, -1]);
    expect(walk(record(-7, -(2 ** 31), 0))).to.deep.equal([-1, -1]);
    expect(walk(record(-1, -1, 1, 0, -5))).to.deep.equal([-1, -1]);
    expect(() => walk(record(-1, -1, -1))).to.throw(WireError, '-1 headers');
    expect(() => walk(record(-1, -1, 1, -1, -1))).to.throw(WireError, 'no name');
    expect(() => walk(record(-1, -1, 2 ** 31 - 1, 0, 0))).to.throw(WireError);
    expect(() => walk(record(-1, -1, 0, 0))).to.throw(WireError, 'not as long as it announces');
    expect(() => walk(record(-1, -1))).to.throw(WireError);
  });
});

function bodyOf(bytes: Buffer): Buffer {
  return bytes.subarray(batchHeaderBytes);
}

/** As they were before they were made into a batch. */
async function recordsOf(bytes: Buffer): Promise<ReadRecord[]> {
  const header = readHeader(bytes);
  const body = await recordBytes(bytes, 0, header, mebibyte);
  const partOf = (start: number, length: number): Buffer | null =>
    length < 0 ? null : Buffer.from(body.subarray(start, start + length));
  const found: ReadRecord[] = [];
  walkRecords(body, header.count, (span) => {
    const reader = new WireReader(body, span.headersStart, span.end);
    const headers = Array.from({ length: reader.varint() }, (): [string, Buffer | null] => {
      const name = reader.text(reader.varint());
      const length = reader.varint();
      return [name, length < 0 ? null : Buffer.from(reader.slice(length))];
    });
    found.push({
      key: partOf(span.keyStart, span.keyLength),
      value: partOf(span.valueStart, span.valueLength),
      timestampMs: header.baseTimestampMs + span.timestampDelta,
      offsetDelta: span.offsetDelta,
      headers,
    });
  });
  return found;
}
