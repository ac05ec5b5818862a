import type { RecordSlices } from '../../src/log/log.ts';
import type { ApplyCounters } from '../../src/replica/apply.ts';
import type { ArenaStore } from '../../src/store/arena-store.ts';
import { built } from './built.ts';

export interface ApplyParts {
  readonly store: ArenaStore;
  readonly counters: ApplyCounters;
  /** What the replica does with records that come. */
  apply(slices: RecordSlices): void;
}

/** The step from the log to the store, of the built program. */
export async function makeApply(partitions: number, { ordered }: { ordered: boolean }): Promise<ApplyParts> {
  const { applyRecords } = await built<typeof import('../../src/replica/apply.ts')>('replica/apply.js');
  const { KeyArrivals } = await built<typeof import('../../src/replica/key-arrivals.ts')>('replica/key-arrivals.js');
  const { ArenaStore } = await built<typeof import('../../src/store/arena-store.ts')>('store/arena-store.js');
  const { keyHash } = await built<typeof import('../../src/store/key-hash.ts')>('store/key-hash.js');
  const { partitioners } = await built<typeof import('../../src/log/partitioner.ts')>('log/partitioner.js');
  const store = new ArenaStore({ tombstoneRetentionMs: 86_400_000, hash: keyHash([0x1234, 0x5678]), ordered });
  const counters: ApplyCounters = { applied: 0, superseded: 0, withoutKey: 0, keyTooLong: 0, misplaced: 0 };
  const context = {
    store,
    partitioner: partitioners.murmur2,
    partitions,
    counters,
    newestMs: Array.from({ length: partitions }, () => -1),
    arrivals: new KeyArrivals(),
  };
  return { store, counters, apply: (slices) => applyRecords(context, slices, Date.now()) };
}
