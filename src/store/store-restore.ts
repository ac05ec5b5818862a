import { granuleBytes } from './chunk-arena.ts';
import type { Entries } from './entries.ts';
import type { KeyTable } from './key-table.ts';
import { slotBytes } from './store-dump.ts';

/** Among random hashes of 32 bits there are never so many alike; each costs a search through all the others. */
const keysOfHashMax = 1_024;

/** What the blocks of a dump held together. */
export interface DumpTotals {
  readonly entries: number;
  readonly tombstones: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

/** Where the entries of a block are to be put. */
export interface BlockPlace {
  readonly reference: number;
  readonly bytes: Buffer;
}

/**
 * Fills a store with the blocks of a dump, without looking at any key. Blocks are put where they are to lie, and their slots
 * added, in the order of the dump. Nothing of it is seen before `finish`; a restore that is not finished is undone by the
 * store's `clear`.
 */
export class StoreRestore {
  readonly #entries: Entries;
  readonly #table: KeyTable;
  readonly #presizing: Generator<void, void>;
  readonly #onFinish: () => void;
  #lastHash = 0;
  #keysOfHash = 0;

  constructor(entries: Entries, table: KeyTable, totals: DumpTotals, onFinish: () => void) {
    this.#entries = entries;
    this.#table = table;
    this.#presizing = table.presize(totals.entries);
    this.#onFinish = onFinish;
  }

  /** A step of making room, to be taken until it answers true, before the first block is added. */
  prepare(): boolean {
    return this.#presizing.next().done === true;
  }

  /** Room for the entries of the next block; undefined: this store has none for a block like that. */
  reserve(count: number, entryBytes: number): BlockPlace | undefined {
    const { arena } = this.#entries;
    if (entryBytes % granuleBytes !== 0 || (count > 1 && entryBytes > arena.chunkBytes)) return undefined;
    const reference = arena.reserve(entryBytes);
    const position = arena.positionOf(reference);
    return { reference, bytes: arena.chunkOf(reference).bytes.subarray(position, position + entryBytes) };
  }

  /** Adds the slots of a block whose entries are in their place. False: they do not fit those. */
  add({ reference, bytes }: BlockPlace, slots: Buffer): boolean {
    const { hasIds } = this.#entries;
    const granules = bytes.length / granuleBytes;
    const view = new DataView(slots.buffer, slots.byteOffset, slots.length);
    let last = -1;
    for (let at = 0; at < slots.length; at += slotBytes) {
      const granule = view.getUint32(at + 4, true);
      if (granule <= last || granule >= granules || (at === 0 && granule !== 0)) return false;
      last = granule;
      if (!this.#isNextHash(view.getUint32(at, true))) return false;
      this.#table.add(view.getInt32(at, true), reference + granule);
      // The entries of a dump are numbered, and these are the numbers.
      if (hasIds) this.#entries.addId(reference + granule, true);
    }
    return true;
  }

  /** A dump is in the order of its hashes. */
  #isNextHash(hash: number): boolean {
    if (hash < this.#lastHash) return false;
    this.#keysOfHash = hash === this.#lastHash ? this.#keysOfHash + 1 : 1;
    this.#lastHash = hash;
    return this.#keysOfHash <= keysOfHashMax;
  }

  finish(): void {
    this.#onFinish();
  }
}
