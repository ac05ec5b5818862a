import { copyBytes } from './chunk-arena.ts';
import { Compactor } from './compactor.ts';
import { Entries, EntryWalk } from './entries.ts';
import { type EntryCursor, entryBytes, markDead, writeEntry } from './entry-layout.ts';
import type { KeyHash } from './key-hash.ts';
import { sortByKey } from './key-sort.ts';
import { KeyTable } from './key-table.ts';
import { OrderedIndex } from './ordered-index.ts';
import { PagedUint32 } from './paged-uint32.ts';
import type { KeyRange, OrderedStore, RecordView, ScanPage, StoredValue, StoreMemory, StoreSize } from './store.ts';
import { StoreDump } from './store-dump.ts';
import { type DumpTotals, StoreRestore } from './store-restore.ts';

export interface ArenaStoreOptions {
  readonly tombstoneRetentionMs: number;
  readonly hash: KeyHash;
  /** Whether there may be scans. */
  readonly ordered: boolean;
  /** Other than what a node needs: for tests, which have few keys and want to see every case. */
  readonly sizes?: ArenaSizes;
}

export interface ArenaSizes {
  /** A power of two. */
  readonly chunkBytes: number;
  /** A power of two. */
  readonly segmentSlots: number;
  readonly leafIds: number;
}

const nodeSizes: ArenaSizes = { chunkBytes: 64 * 1024 * 1024, segmentSlots: 4_096, leafIds: 1_024 };

const empty = Buffer.alloc(0);
const emptyView = new DataView(empty.buffer, 0, 0);
/** Keys that are searched for, and keys that are only gone past, between two steps of building the index. */
const indexStepsPerYield = 64;
const idsPerYield = 2_048;
/** Compaction takes longer for an entry than a sweep. */
const sweptPerCompacted = 8;
const pageBytesMax = 256 * 1024;
const passedPerPageMax = 10_000;

/** A value as it was when it was asked for: its bytes have been copied out of the arena. */
class Found implements StoredValue {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
  readonly latin1: string;

  constructor(entry: EntryCursor, withValue = true) {
    const { bytes } = entry.chunk;
    const { droppableAtMs, contentTypeStart, contentTypeEnd } = entry;
    this.partition = entry.partition;
    this.offset = entry.offset;
    this.timestampMs = entry.timestampMs;
    this.expiresAtMs = droppableAtMs === Number.POSITIVE_INFINITY ? undefined : droppableAtMs;
    this.contentType = contentTypeStart < 0 ? undefined : bytes.toString('latin1', contentTypeStart, contentTypeEnd);
    this.latin1 = withValue ? bytes.toString('latin1', entry.valueStart, entry.valueEnd) : '';
  }

  get value(): Buffer {
    return Buffer.from(this.latin1, 'latin1');
  }
}

/**
 * The store outside of V8's heap: entries in an arena of large chunks, found through a table of hashes, and, if wanted, an
 * index of their order. There is no object for each key, so nothing for the garbage collector to visit, and no limit at 2^24
 * keys as a Map has it.
 *
 * Nothing here takes long at once. The table grows segment by segment, the arena chunk by chunk; what is overwritten is
 * reclaimed in step with writing (see `Compactor`); the index is built step by step.
 */
export class ArenaStore implements OrderedStore {
  tombstoneRetentionMs: number;
  readonly #sizes: ArenaSizes;
  #hash: KeyHash;
  readonly #entries: Entries;
  #table: KeyTable;
  readonly #compactor: Compactor;
  readonly #index: OrderedIndex | undefined;
  #isIndexed = false;
  #building: Generator<void, void> | undefined;
  readonly #swept: EntryWalk;
  /** A view of the buffer that the last record came in: there are many records to a buffer. */
  #source: DataView = emptyView;
  #sourceBuffer: Buffer = empty;
  #values = 0;
  #tombstones = 0;
  #keyBytes = 0;
  #valueBytes = 0;

  constructor({ tombstoneRetentionMs, hash, ordered, sizes = nodeSizes }: ArenaStoreOptions) {
    this.tombstoneRetentionMs = tombstoneRetentionMs;
    this.#sizes = sizes;
    this.#hash = hash;
    this.#entries = new Entries(sizes.chunkBytes, ordered);
    this.#table = new KeyTable(this.#entries, sizes.segmentSlots);
    this.#index = ordered ? new OrderedIndex(this.#entries, sizes.leafIds) : undefined;
    this.#compactor = new Compactor(this.#entries, (reference, entry) => this.#relocate(reference, entry));
    this.#swept = new EntryWalk(this.#entries);
  }

  get size(): StoreSize {
    return {
      values: this.#values,
      tombstones: this.#tombstones,
      keyBytes: this.#keyBytes,
      valueBytes: this.#valueBytes,
    };
  }

  get memory(): StoreMemory {
    const { capacityBytes, usedBytes, deadBytes } = this.#entries.arena;
    return {
      tableBytes: this.#table.bytes,
      liveBytes: usedBytes - deadBytes,
      deadBytes,
      unusedBytes: capacityBytes - usedBytes,
      indexBytes: this.#index === undefined ? 0 : this.#index.bytes + this.#entries.idBytes,
    };
  }

  get(key: Buffer, nowMs: number): StoredValue | undefined {
    const found = this.look(key, nowMs);
    return found === 'absent' ? undefined : found;
  }

  look(key: Buffer, nowMs: number): StoredValue | 'absent' | undefined {
    const reference = this.#table.find(this.#hash(key, 0, key.length), key, 0, key.length);
    if (reference === 0) return undefined;
    const entry = this.#entries.read(reference);
    return entry.isLive(nowMs) ? new Found(entry) : 'absent';
  }

  put(record: RecordView): boolean {
    return this.#write(record, false, record.expiresAtMs);
  }

  delete(record: RecordView, nowMs: number): boolean {
    return this.#write(record, true, nowMs + this.tombstoneRetentionMs);
  }

  sweep(nowMs: number, entriesMax: number): boolean {
    // The buffer is the log's, and may be large.
    this.#sourceBuffer = empty;
    this.#source = emptyView;
    const isRound = this.#building !== undefined || this.#dropSome(nowMs, entriesMax);
    this.#compactor.work(entriesMax / sweptPerCompacted);
    return isRound;
  }

  clear(): void {
    this.#entries.clear();
    this.#table.clear();
    this.#compactor.clear();
    this.#index?.clear();
    this.#isIndexed = false;
    this.#building = undefined;
    this.#swept.restart();
    this.#values = 0;
    this.#tombstones = 0;
    this.#keyBytes = 0;
    this.#valueBytes = 0;
  }

  *entries(nowMs: number): IterableIterator<[key: Buffer, value: StoredValue]> {
    const walk = new EntryWalk(this.#entries);
    while (walk.step()) if (walk.entry.isLive(nowMs)) yield pairOf(walk.entry);
  }

  /** Whether there may be scans. A dump of a store that keeps no order does not fit one that does, nor the reverse. */
  get keepsOrder(): boolean {
    return this.#index !== undefined;
  }

  /** A pass over everything. To be given up when the store is cleared. */
  dump(): StoreDump {
    return new StoreDump(this.#entries, this.#table);
  }

  /** Drops everything, to be filled with what a dump held, whose hashes are those of `hash`. */
  restore(hash: KeyHash, totals: DumpTotals): StoreRestore {
    this.clear();
    const table = new KeyTable(this.#entries, this.#sizes.segmentSlots);
    return new StoreRestore(this.#entries, table, totals, () => {
      this.#table = table;
      this.#hash = hash;
      this.#values = totals.entries - totals.tombstones;
      this.#tombstones = totals.tombstones;
      this.#keyBytes = totals.keyBytes;
      this.#valueBytes = totals.valueBytes;
    });
  }

  get isOrdered(): boolean {
    return this.#isIndexed;
  }

  buildIndex(): boolean {
    if (this.#index === undefined || this.#isIndexed) return true;
    this.#building ??= this.#build(this.#index);
    if (!this.#building.next().done) return false;
    this.#building = undefined;
    this.#isIndexed = true;
    return true;
  }

  scan({ prefix = empty, from = empty, to, after, limit, keysOnly = false }: KeyRange, nowMs: number): ScanPage {
    if (this.#index === undefined || !this.#isIndexed) throw new Error('the keys of the store are in no order');
    let first = Buffer.compare(prefix, from) > 0 ? prefix : from;
    const isAfter = after !== undefined && Buffer.compare(after, first) >= 0;
    if (isAfter) first = after;
    const entries: [Buffer, StoredValue][] = [];
    let [passed, bytes] = [0, 0];
    for (const id of this.#index.from(first, 0, first.length)) {
      const entry = this.#entries.read(this.#entries.referenceOf(id));
      const key = entry.chunk.bytes.subarray(entry.keyStart, entry.keyEnd);
      if (!startsWith(key, prefix) || (to !== undefined && Buffer.compare(key, to) >= 0)) break;
      if (isAfter && key.equals(after)) continue;
      if (entry.isLive(nowMs)) {
        const pair = pairOf(entry, !keysOnly);
        entries.push(pair);
        bytes += key.length + pair[1].latin1.length;
      } else {
        passed += 1;
      }
      if (entries.length >= limit || bytes >= pageBytesMax || passed >= passedPerPageMax) {
        return { entries, after: Buffer.from(key) };
      }
    }
    return { entries, after: undefined };
  }

  #write(record: RecordView, isTombstone: boolean, droppableAtMs: number | undefined): boolean {
    const { buffer, keyStart, keyEnd } = record;
    const entries = this.#entries;
    const hash = this.#hash(buffer, keyStart, keyEnd);
    const oldReference = this.#table.find(hash, buffer, keyStart, keyEnd);
    let id = -1;
    if (oldReference !== 0) {
      const old = entries.read(oldReference);
      // Another partition's record always gives way.
      if (old.partition === record.partition && old.offset >= record.offset) return false;
      id = old.id;
    }
    const bytes = entryBytes(record, isTombstone, droppableAtMs, entries.hasIds);
    const reference = entries.arena.reserve(bytes);
    if (oldReference === 0) {
      this.#table.add(hash, reference);
      if (entries.hasIds) id = entries.addId(reference, this.#building !== undefined);
    } else {
      this.#giveUp(oldReference);
      this.#table.move(hash, oldReference, reference);
      if (entries.hasIds) entries.moveId(id, reference);
    }
    const chunk = entries.arena.chunkOf(reference);
    const position = entries.arena.positionOf(reference);
    writeEntry(chunk, position, record, this.#sourceOf(buffer), isTombstone, droppableAtMs, id);
    if (oldReference === 0 && this.#isIndexed) this.#index?.add(id, buffer, keyStart, keyEnd);
    this.#keyBytes += keyEnd - keyStart;
    if (isTombstone) {
      this.#tombstones += 1;
    } else {
      this.#values += 1;
      this.#valueBytes += record.valueEnd - record.valueStart;
    }
    this.#compactor.written(bytes);
    return true;
  }

  #sourceOf(buffer: Buffer): DataView {
    if (buffer !== this.#sourceBuffer) {
      this.#sourceBuffer = buffer;
      this.#source = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    }
    return this.#source;
  }

  /** Counts the entry out and gives up its memory. Answers how much that is. */
  #giveUp(reference: number): number {
    const { isTombstone, keyStart, keyEnd, valueStart, valueEnd, bytes } = this.#entries.read(reference);
    this.#keyBytes -= keyEnd - keyStart;
    if (isTombstone) {
      this.#tombstones -= 1;
    } else {
      this.#values -= 1;
      this.#valueBytes -= valueEnd - valueStart;
    }
    this.#release(reference, bytes);
    return bytes;
  }

  #release(reference: number, bytes: number): void {
    const { arena } = this.#entries;
    markDead(arena.chunkOf(reference), arena.positionOf(reference));
    arena.release(reference, bytes);
  }

  /** Whether that was the last entry. */
  #dropSome(nowMs: number, entriesMax: number): boolean {
    for (let looked = 0; looked < entriesMax; looked += 1) {
      if (!this.#swept.step()) return true;
      if (this.#swept.entry.droppableAtMs <= nowMs) this.#drop(this.#swept.reference, this.#swept.entry);
    }
    return false;
  }

  #drop(reference: number, { chunk, keyStart, keyEnd, id }: EntryCursor): void {
    this.#table.remove(this.#hash(chunk.bytes, keyStart, keyEnd), reference);
    if (this.#isIndexed) this.#index?.remove(chunk.bytes, keyStart, keyEnd);
    if (this.#entries.hasIds) this.#entries.removeId(id);
    this.#compactor.owe(this.#giveUp(reference));
  }

  #relocate(reference: number, { chunk, keyStart, keyEnd, bytes, id }: EntryCursor): void {
    const { arena } = this.#entries;
    const moved = arena.reserve(bytes);
    copyBytes(arena.chunkOf(moved), arena.positionOf(moved), chunk.view, arena.positionOf(reference), bytes);
    this.#table.move(this.#hash(chunk.bytes, keyStart, keyEnd), reference, moved);
    if (this.#entries.hasIds) this.#entries.moveId(id, moved);
    this.#release(reference, bytes);
  }

  /**
   * Keys that are there are sorted; those that come meanwhile have ids of their own (no id is given out again until then), and
   * are added one by one. None goes meanwhile.
   */
  *#build(index: OrderedIndex): Generator<void, void> {
    const entries = this.#entries;
    const idEnd = entries.idEnd;
    const ids = new PagedUint32();
    for (let id = 0; id < idEnd; id += 1) {
      if (entries.referenceOf(id) !== 0) ids.push(id);
      if (id % idsPerYield === 0) yield;
    }
    yield* sortByKey(ids, entries);
    for (let i = 0; i < ids.length; i += 1) {
      index.append(ids.get(i));
      if (i % idsPerYield === 0) yield;
    }
    for (let id = idEnd; id < entries.idEnd; id += 1) {
      const { chunk, keyStart, keyEnd } = entries.read(entries.referenceOf(id));
      index.add(id, chunk.bytes, keyStart, keyEnd);
      if (id % indexStepsPerYield === 0) yield;
    }
  }
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

function pairOf(entry: EntryCursor, withValue = true): [key: Buffer, value: StoredValue] {
  return [Buffer.from(entry.chunk.bytes.subarray(entry.keyStart, entry.keyEnd)), new Found(entry, withValue)];
}
