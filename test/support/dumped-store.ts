import type { ArenaStore } from '../../src/store/arena-store.ts';
import type { KeyHash } from '../../src/store/key-hash.ts';
import type { StoreDump } from '../../src/store/store-dump.ts';
import type { DumpTotals } from '../../src/store/store-restore.ts';

interface KeptBlock extends Omit<DumpTotals, 'entries'> {
  readonly count: number;
  readonly slots: Buffer;
  readonly entries: Buffer;
}

/** A dump that is kept in memory. */
export class DumpedStore {
  readonly blocks: readonly KeptBlock[];

  /** `between` is called after each step. */
  constructor(dump: StoreDump, between: () => void = () => {}) {
    const blocks: KeptBlock[] = [];
    while (!dump.isDone) {
      for (const block of dump.step()) {
        const { count, tombstones, keyBytes, valueBytes } = block;
        const [slots, entries] = [Buffer.from(block.slots), Buffer.from(block.entries)];
        blocks.push({ count, tombstones, keyBytes, valueBytes, slots, entries });
        dump.reuse(block);
      }
      between();
    }
    this.blocks = blocks;
  }

  get totals(): DumpTotals {
    const sum = (name: 'count' | 'tombstones' | 'keyBytes' | 'valueBytes') =>
      this.blocks.reduce((total, block) => total + block[name], 0);
    const entries = sum('count');
    return { entries, tombstones: sum('tombstones'), keyBytes: sum('keyBytes'), valueBytes: sum('valueBytes') };
  }

  restoreTo(store: ArenaStore, hash: KeyHash): void {
    const restore = store.restore(hash, this.totals);
    while (!restore.prepare());
    for (const { count, slots, entries } of this.blocks) {
      const place = restore.reserve(count, entries.length);
      if (place === undefined) throw new Error('a block has no place');
      entries.copy(place.bytes);
      if (!restore.add(place, slots)) throw new Error('the slots of a block do not fit it');
    }
    restore.finish();
  }
}
