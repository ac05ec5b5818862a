import type { Codec } from '../../../src/protocol/codecs.ts';
import type { NewBatch, NewRecord } from '../../../src/protocol/record-batch.ts';

export interface BatchCase {
  /** Without spaces: it stands before the bytes in the file of golden batches. */
  readonly name: string;
  readonly codec?: Codec;
  readonly batch: NewBatch;
  /** What the record of a control batch says. */
  readonly marker?: { readonly type: 'COMMIT' | 'ABORT'; readonly coordinatorEpoch: number };
}

const startMs = 1_700_000_000_000;

const records: readonly NewRecord[] = [
  { key: Buffer.from('a'), value: Buffer.from('first'), timestampMs: startMs },
  { key: null, value: Buffer.from('no key'), timestampMs: startMs + 5 },
  { key: Buffer.from('b'), value: null, timestampMs: startMs - 3 },
  { key: Buffer.alloc(0), value: Buffer.alloc(0), timestampMs: startMs + 100_000 },
  {
    key: Buffer.from('c'),
    value: Buffer.from('with headers'),
    timestampMs: startMs,
    headers: [
      ['content-type', Buffer.from('text/plain')],
      ['null', null],
      ['', Buffer.alloc(0)],
      ['ñandú', Buffer.from([0, 0xff])],
    ],
  },
  { key: Buffer.from('d'.repeat(200)), value: Buffer.alloc(3000, 'repeated '), timestampMs: startMs + 1 },
];

function control(type: 'COMMIT' | 'ABORT', coordinatorEpoch: number): NewRecord {
  const key = Buffer.alloc(4);
  key.writeInt16BE(type === 'COMMIT' ? 1 : 0, 2);
  const value = Buffer.alloc(6);
  value.writeInt32BE(coordinatorEpoch, 2);
  return { key, value, timestampMs: startMs };
}

function markerCase(type: 'COMMIT' | 'ABORT', coordinatorEpoch: number): BatchCase {
  return {
    name: type.toLowerCase(),
    marker: { type, coordinatorEpoch },
    batch: {
      baseOffset: 12,
      producerId: 4000,
      producerEpoch: 1,
      leaderEpoch: 2,
      isTransactional: true,
      isControl: true,
      records: [control(type, coordinatorEpoch)],
    },
  };
}

export const batchCases: readonly BatchCase[] = [
  { name: 'plain', batch: { records } },
  { name: 'one-record', batch: { baseOffset: 2 ** 40, leaderEpoch: 7, records: records.slice(0, 1) } },
  ...(['gzip', 'snappy', 'lz4', 'zstd'] as const).map((codec) => ({
    name: codec,
    codec,
    batch: { baseOffset: 99, records },
  })),
  {
    name: 'idempotent',
    batch: { producerId: 2 ** 33, producerEpoch: 32_767, baseSequence: 2_147_483_647, leaderEpoch: 3, records },
  },
  {
    name: 'transactional',
    batch: { baseOffset: 7, producerId: 4000, producerEpoch: 0, baseSequence: 0, isTransactional: true, records },
  },
  markerCase('COMMIT', 9),
  markerCase('ABORT', 0),
  {
    name: 'compacted',
    batch: {
      baseOffset: 1000,
      lastOffsetDelta: 50,
      records: records.slice(0, 3).map((record, index) => ({ ...record, offsetDelta: 3 + index * 20 })),
    },
  },
  { name: 'delete-horizon', batch: { deleteHorizonMs: startMs + 86_400_000, records: records.slice(0, 3) } },
  {
    name: 'emptied',
    batch: {
      baseOffset: 500,
      lastOffsetDelta: 9,
      leaderEpoch: 4,
      producerId: 4000,
      producerEpoch: 2,
      baseSequence: 30,
      isTransactional: true,
      records: [],
    },
  },
];

export const lastDeltaOf = ({ records: each, lastOffsetDelta }: NewBatch): number =>
  lastOffsetDelta ?? each.at(-1)?.offsetDelta ?? Math.max(each.length - 1, 0);

/** The same as the question that KafkaOracle.java takes. */
export function forKafka({ codec, batch, marker }: BatchCase): object {
  const hexOf = (bytes: Buffer | null): string | null => bytes?.toString('hex') ?? null;
  return {
    codec: codec ?? 'none',
    baseOffset: batch.baseOffset ?? 0,
    lastOffsetDelta: lastDeltaOf(batch),
    leaderEpoch: batch.leaderEpoch ?? -1,
    producerId: batch.producerId ?? -1,
    producerEpoch: batch.producerEpoch ?? -1,
    baseSequence: batch.baseSequence ?? -1,
    isTransactional: batch.isTransactional ?? false,
    isControl: batch.isControl ?? false,
    deleteHorizonMs: batch.deleteHorizonMs ?? null,
    records: batch.records.map((record, index) => ({
      ...marker,
      timestampMs: record.timestampMs,
      offsetDelta: record.offsetDelta ?? index,
      key: hexOf(record.key),
      value: hexOf(record.value),
      headers: (record.headers ?? []).map(([name, value]) => [name, hexOf(value)]),
    })),
  };
}
