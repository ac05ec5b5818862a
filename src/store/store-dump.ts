import { Chunk, copyBytes, granuleBytes } from './chunk-arena.ts';
import type { Entries } from './entries.ts';
import { EntryCursor, writeId } from './entry-layout.ts';
import type { KeyTable } from './key-table.ts';

/** Bytes of the entries in a block, unless there is only one in it. */
export const blockBytesMax = 1024 * 1024;
export const blockEntriesMax = 16_384;
/** Less than a millisecond: each is a cache miss and a copy. */
const entriesPerStep = 1_024;
export const slotBytes = 8;
/** Of an entry, what a pass over those that come next brings into the cache. */
const touchedBytes = 192;
const cacheLineBytes = 64;

/** A hash and the number of its slot in one number, so that sorting these is sorting by hash. */
const slotsMax = 2 ** 21;

/**
 * Some entries of a store, in the order of their hashes, one after the other as they stand in the arena. To each there is a slot:
 * its hash and the granule where it begins, counted from the first entry, four bytes each, little-endian.
 */
export class EntryBlock {
  count = 0;
  tombstones = 0;
  keyBytes = 0;
  valueBytes = 0;
  #chunk: Chunk;
  readonly #slots = Buffer.allocUnsafeSlow(blockEntriesMax * slotBytes);
  readonly #slotView = new DataView(this.#slots.buffer);

  constructor(bytesMax: number) {
    this.#chunk = new Chunk(new ArrayBuffer(bytesMax));
  }

  /** Good until the block is used again. */
  get slots(): Buffer {
    return this.#slots.subarray(0, this.count * slotBytes);
  }

  /** Good until the block is used again. */
  get entries(): Buffer {
    return this.#chunk.bytes.subarray(0, this.#chunk.end);
  }

  hasRoom(bytes: number): boolean {
    return this.count === 0 || (this.count < blockEntriesMax && this.#chunk.end + bytes <= this.#chunk.capacity);
  }

  /** Adds the entry at `position` of its chunk; an `id` of -1 is none. */
  add(hash: number, entry: EntryCursor, position: number, id: number): void {
    if (entry.bytes > this.#chunk.capacity) this.#chunk = new Chunk(new ArrayBuffer(entry.bytes));
    const chunk = this.#chunk;
    const at = this.count * slotBytes;
    this.#slotView.setUint32(at, hash, true);
    this.#slotView.setUint32(at + 4, chunk.end / granuleBytes, true);
    copyBytes(chunk, chunk.end, entry.chunk.view, position, entry.bytes);
    if (id >= 0) writeId(chunk, chunk.end, id);
    chunk.end += entry.bytes;
    this.count += 1;
    this.keyBytes += entry.keyEnd - entry.keyStart;
    if (entry.isTombstone) this.tombstones += 1;
    else this.valueBytes += entry.valueEnd - entry.valueStart;
  }

  empty(bytesMax: number): void {
    // One that was made larger for a large record goes back to its size.
    if (this.#chunk.capacity > bytesMax) this.#chunk = new Chunk(new ArrayBuffer(bytesMax));
    this.#chunk.end = 0;
    this.count = 0;
    this.tombstones = 0;
    this.keyBytes = 0;
    this.valueBytes = 0;
  }
}

/**
 * One pass over all that a store holds, step by step, while it goes on being changed.
 *
 * It goes through the hashes from 0 to 2^32. A step takes the keys of a range of hashes, as they are at this moment, and the next
 * one goes on behind that range. So every key is looked at once, at the moment of its hash, wherever its entry is moved and its
 * segment split meanwhile: neither changes a hash. What comes out is not the store of one moment: a key written after
 * its range was passed is in it as it was before, and one written earlier as it is then. Whoever reads the log again from
 * where it stood before the first step brings all keys to the same moment, because the store keeps the higher offset.
 *
 * Entries get new ids, by which they are numbered in the order in which they come: those of the store have gaps, and two
 * keys may have had the same one at different steps.
 */
export class StoreDump {
  readonly #entries: Entries;
  readonly #table: KeyTable;
  readonly #blockBytes: number;
  readonly #entry: EntryCursor;
  readonly #spare: EntryBlock[] = [];
  #block: EntryBlock;
  #order = new Float64Array(0);
  #nextHash = 0;
  #taken = 0;
  /** Where what is only touched goes, or it would not be read at all. */
  readonly #touched = new Uint32Array(1);

  constructor(entries: Entries, table: KeyTable) {
    this.#entries = entries;
    this.#table = table;
    // A block has to find room in one chunk.
    this.#blockBytes = Math.min(blockBytesMax, entries.arena.chunkBytes);
    this.#entry = new EntryCursor(entries.hasIds);
    this.#block = new EntryBlock(this.#blockBytes);
  }

  get isDone(): boolean {
    return this.#nextHash === 2 ** 32;
  }

  /** Takes some keys more. Answers the blocks that are complete by that, in order; with the last step, all that is left. */
  step(): readonly EntryBlock[] {
    if (this.isDone) return [];
    const { arena, hasIds } = this.#entries;
    const { slots, end } = this.#table.segmentAt(this.#nextHash);
    const complete: EntryBlock[] = [];
    let [taken, bytes, lastHash] = [0, 0, -1];
    const order = this.#inOrder(slots);
    this.#touch(order, slots);
    for (const code of order) {
      const hash = Math.floor(code / slotsMax);
      // Keys of one hash are taken in one step: the next begins at a hash.
      if (hash !== lastHash && (taken >= entriesPerStep || bytes >= this.#blockBytes)) {
        this.#nextHash = hash;
        return complete;
      }
      lastHash = hash;
      const reference = slots[2 * (code % slotsMax) + 1]! >>> 0;
      const position = arena.positionOf(reference);
      this.#entry.read(arena.chunkOf(reference), position);
      if (!this.#block.hasRoom(this.#entry.bytes)) {
        complete.push(this.#block);
        this.#block = this.#spare.pop() ?? new EntryBlock(this.#blockBytes);
      }
      this.#block.add(hash, this.#entry, position, hasIds ? this.#taken : -1);
      this.#taken += 1;
      taken += 1;
      bytes += this.#entry.bytes;
    }
    this.#nextHash = end;
    if (this.isDone && this.#block.count > 0) complete.push(this.#block);
    return complete;
  }

  /** Hands back a block that is no longer needed. */
  reuse(block: EntryBlock): void {
    block.empty(this.#blockBytes);
    this.#spare.push(block);
  }

  /**
   * Reads from each entry that comes next. Nothing depends on what is read, so the processor waits for many of them at once;
   * taking them, it would wait for one after the other, which is two fifths of the time of a dump.
   */
  #touch(order: Float64Array, slots: Int32Array): void {
    const { arena } = this.#entries;
    const end = Math.min(order.length, entriesPerStep);
    let sum = 0;
    for (let i = 0; i < end; i += 1) {
      const reference = slots[2 * (order[i]! % slotsMax) + 1]! >>> 0;
      const { bytes } = arena.chunkOf(reference);
      const position = arena.positionOf(reference);
      for (let at = position; at < position + touchedBytes; at += cacheLineBytes) sum += bytes[at] ?? 0;
    }
    this.#touched[0] = sum;
  }

  /** The segment's slots that are not passed yet, each as its hash times `slotsMax` and its number, in order. */
  #inOrder(slots: Int32Array): Float64Array {
    const slotCount = slots.length / 2;
    if (slotCount > slotsMax) throw new Error(`a segment of ${slotCount} slots: all its keys have one hash`);
    if (this.#order.length < slotCount) this.#order = new Float64Array(slotCount);
    const order = this.#order;
    let count = 0;
    for (let slot = 0; slot < slotCount; slot += 1) {
      if (slots[2 * slot + 1] === 0) continue;
      const hash = slots[2 * slot]! >>> 0;
      if (hash < this.#nextHash) continue;
      order[count] = hash * slotsMax + slot;
      count += 1;
    }
    return order.subarray(0, count).sort();
  }
}
