import type { RecordSlices } from '../../src/log/log.ts';
import { makeApply } from './apply-parts.ts';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';
import { keyAt } from './keys.ts';
import { sampleDigest } from './sample-digest.ts';

/**
 * What was fetched is in memory, as a broker would have sent it, and is checked, walked and, if wanted, applied to a store that is
 * empty at first.
 */
export interface ApplyTask {
  readonly work: 'walk' | 'apply' | 'apply, ordered';
  readonly records: number;
}

export interface ApplyFigures {
  readonly perSecond: number;
}

const { work, records } = taskOf<ApplyTask>();
const valueBytes = 100;
const batchRecords = 1_000;
/** About ten mebibytes. */
const answerBatches = 80;
const unpackedBytesMax = 128 * 1024 * 1024;

const { writeBatch } = await built<typeof import('../../src/protocol/record-batch.ts')>('protocol/record-batch.js');
const { Delivery } = await built<typeof import('../../src/log/wire/delivery.ts')>('log/wire/delivery.js');
const { fetchedBatches } =
  await built<typeof import('../../src/log/wire/fetched-batches.ts')>('log/wire/fetched-batches.js');
const { PartitionCursor } =
  await built<typeof import('../../src/log/wire/partition-cursor.ts')>('log/wire/partition-cursor.js');
const { TransactionFilter } = await built<typeof import('../../src/log/wire/transaction-filter.ts')>(
  'log/wire/transaction-filter.js',
);
const { systemClock: clock } = await built<typeof import('../../src/kernel/clock.ts')>('kernel/clock.js');

const value = Buffer.alloc(valueBytes, 'v');

function answerFrom(firstOffset: number): Buffer {
  const batches: Buffer[] = [];
  for (let i = 0; i < answerBatches && firstOffset + i * batchRecords < records; i += 1) {
    const baseOffset = firstOffset + i * batchRecords;
    const made = Array.from({ length: Math.min(batchRecords, records - baseOffset) }, (_, k) => {
      return { key: Buffer.from(keyAt(baseOffset + k)), value, timestampMs: 1_760_000_000_000 + baseOffset + k };
    });
    batches.push(writeBatch({ baseOffset, leaderEpoch: 0, records: made }));
  }
  return Buffer.concat(batches);
}

const { store, counters, apply } = await makeApply(1, { ordered: work === 'apply, ordered' });
let walked = 0;
const handler = {
  onBatch: async (slices: RecordSlices): Promise<void> => {
    walked += slices.count;
    if (work !== 'walk') apply(slices);
  },
  onGap: () => {},
  onDisturbance: () => {},
  onLineageLost: () => {},
};
const { signal } = new AbortController();
const delivery = new Delivery({ topic: 'bench', handler, clock, unpackedBytesMax, signal });
const cursor = new PartitionCursor(0, { offset: 0, leaderEpoch: -1 });
let elapsedMs = 0;
while (cursor.position < records) {
  const fromOffset = cursor.position;
  const bytes = answerFrom(fromOffset);
  const startedMs = performance.now();
  const filter = new TransactionFilter(null);
  await delivery.deliver({ cursor, fromOffset, records: bytes, found: fetchedBatches(bytes, fromOffset), filter });
  elapsedMs += performance.now() - startedMs;
}
if (walked !== records) throw new Error(`${walked} records were walked`);
if (work !== 'walk') {
  if (counters.applied !== records) throw new Error(`${counters.applied} records were applied`);
  const digest = sampleDigest(records, (key) => store.get(Buffer.from(key), 0)?.value);
  if (digest !== sampleDigest(records, () => value)) throw new Error('the store has other values');
}
tell({ perSecond: (records * 1_000) / elapsedMs } satisfies ApplyFigures);
