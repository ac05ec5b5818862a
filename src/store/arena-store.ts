import type { Chunk } from './chunk-arena.ts';
import { copyBytes } from './chunk-arena.ts';
import { Compactor } from './compactor.ts';
import { Entries } from './entries.ts';
import { type EntryCursor, entryBytes, markDead, writeEntry } from './entry-layout.ts';
import type { KeyHash } from './key-hash.ts';
import { sortByKey } from './key-sort.ts';
import { KeyTable } from './key-table.ts';
import { OrderedIndex } from './ordered-index.ts';
import type { KeyRange, OrderedStore, RecordView, ScanPage, StoredValue, StoreMemory, StoreSize } from './store.ts';

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
const indexStepsPerYield = 128;
const idsPerYield = 4_096;
/** Compaction takes longer for an entry than a sweep. */
const sweptPerCompacted = 8;
const pageBytesMax = 4 * 1024 * 1024;
const passedPerPageMax = 10_000;

/** A value as it was when it was asked for: its bytes have been copied out of the arena. */
class Found implements StoredValue {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
  readonly latin1: string;

  constructor({ bytes }: Chunk, entry: EntryCursor) {
    const { droppableAtMs, contentTypeStart, contentTypeEnd } = entry;
    this.partition = entry.partition;
    this.offset = entry.offset;
    this.timestampMs = entry.timestampMs;
    this.expiresAtMs = droppableAtMs === Number.POSITIVE_INFINITY ? undefined : droppableAtMs;
    this.contentType = contentTypeStart < 0 ? undefined : bytes.toString('latin1', contentTypeStart, contentTypeEnd);
    this.latin1 = bytes.toString('latin1', entry.valueStart, entry.valueEnd);
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
  readonly #hash: KeyHash;
  readonly #entries: Entries;
  readonly #table: KeyTable;
  readonly #compactor: Compactor;
  readonly #index: OrderedIndex | undefined;
  #isIndexed = false;
  #building: Generator<void, void> | undefined;
  #sweptTo = 0;
  /** A view of the buffer that the last record came in: there are many records to a buffer. */
  #source: DataView = emptyView;
  #sourceBuffer: Buffer = empty;
  #values = 0;
  #tombstones = 0;
  #keyBytes = 0;
  #valueBytes = 0;

  constructor({ tombstoneRetentionMs, hash, ordered, sizes = nodeSizes }: ArenaStoreOptions) {
    this.tombstoneRetentionMs = tombstoneRetentionMs;
    this.#hash = hash;
    this.#entries = new Entries(sizes.chunkBytes);
    this.#table = new KeyTable(this.#entries, sizes.segmentSlots);
    this.#index = ordered ? new OrderedIndex(this.#entries, sizes.leafIds) : undefined;
    this.#compactor = new Compactor(this.#entries.arena, (...moved) => this.#relocate(...moved));
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
      referenceBytes: this.#entries.bytes,
      liveBytes: usedBytes - deadBytes,
      deadBytes,
      unusedBytes: capacityBytes - usedBytes,
      indexBytes: this.#index?.bytes ?? 0,
    };
  }

  get(key: Buffer, nowMs: number): StoredValue | undefined {
    const found = this.look(key, nowMs);
    return found === 'absent' ? undefined : found;
  }

  look(key: Buffer, nowMs: number): StoredValue | 'absent' | undefined {
    const id = this.#table.find(this.#hash(key, 0, key.length), key, 0, key.length);
    if (id < 0) return undefined;
    const entry = this.#entries.read(id);
    return entry.isLive(nowMs) ? new Found(this.#entries.chunkOf(id), entry) : 'absent';
  }

  put(record: RecordView): boolean {
    return this.#write(record, false, record.expiresAtMs);
  }

  delete(record: RecordView, nowMs: number): boolean {
    return this.#write(record, true, nowMs + this.tombstoneRetentionMs);
  }

  sweep(nowMs: number, entriesMax: number): void {
    // The buffer is the log's, and may be large.
    this.#sourceBuffer = empty;
    this.#source = emptyView;
    if (this.#building === undefined) this.#dropSome(nowMs, entriesMax);
    this.#compactor.work(entriesMax / sweptPerCompacted);
  }

  clear(): void {
    this.#entries.clear();
    this.#table.clear();
    this.#compactor.clear();
    this.#index?.clear();
    this.#isIndexed = false;
    this.#building = undefined;
    this.#entries.keepsFreeIds = false;
    this.#sweptTo = 0;
    this.#values = 0;
    this.#tombstones = 0;
    this.#keyBytes = 0;
    this.#valueBytes = 0;
  }

  *entries(nowMs: number): IterableIterator<[key: Buffer, value: StoredValue]> {
    for (let id = 0; id < this.#entries.idEnd; id += 1) {
      if (this.#entries.referenceOf(id) === 0) continue;
      const entry = this.#entries.read(id);
      if (entry.isLive(nowMs)) yield this.#pairOf(id, entry);
    }
  }

  get isOrdered(): boolean {
    return this.#isIndexed;
  }

  buildIndex(): boolean {
    if (this.#index === undefined || this.#isIndexed) return true;
    this.#building ??= this.#build(this.#index);
    if (!this.#building.next().done) return false;
    this.#building = undefined;
    this.#entries.keepsFreeIds = false;
    this.#isIndexed = true;
    return true;
  }

  scan({ prefix = empty, from = empty, to, after, limit }: KeyRange, nowMs: number): ScanPage {
    if (this.#index === undefined || !this.#isIndexed) throw new Error('the keys of the store are in no order');
    let first = Buffer.compare(prefix, from) > 0 ? prefix : from;
    const isAfter = after !== undefined && Buffer.compare(after, first) >= 0;
    if (isAfter) first = after;
    const entries: [Buffer, StoredValue][] = [];
    let [passed, bytes] = [0, 0];
    for (const id of this.#index.from(first, 0, first.length)) {
      const entry = this.#entries.read(id);
      const { bytes: own } = this.#entries.chunkOf(id);
      const key = own.subarray(entry.keyStart, entry.keyEnd);
      if (!startsWith(key, prefix) || (to !== undefined && Buffer.compare(key, to) >= 0)) break;
      if (isAfter && key.equals(after)) continue;
      if (entry.isLive(nowMs)) {
        const pair = this.#pairOf(id, entry);
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

  #pairOf(id: number, entry: EntryCursor): [key: Buffer, value: StoredValue] {
    const chunk = this.#entries.chunkOf(id);
    return [Buffer.from(chunk.bytes.subarray(entry.keyStart, entry.keyEnd)), new Found(chunk, entry)];
  }

  #write(record: RecordView, isTombstone: boolean, droppableAtMs: number | undefined): boolean {
    const { buffer, keyStart, keyEnd } = record;
    const entries = this.#entries;
    const hash = this.#hash(buffer, keyStart, keyEnd);
    const id = this.#table.find(hash, buffer, keyStart, keyEnd);
    if (id >= 0) {
      const old = entries.read(id);
      // Another partition's record always gives way.
      if (old.partition === record.partition && old.offset >= record.offset) return false;
    }
    const bytes = entryBytes(record, isTombstone, droppableAtMs);
    const reference = entries.arena.reserve(bytes);
    const position = entries.arena.positionOf(reference);
    const chunk = entries.arena.chunkOf(reference);
    writeEntry(chunk, position, record, this.#sourceOf(buffer), isTombstone, droppableAtMs);
    if (id >= 0) {
      this.#giveUp(id);
      entries.move(id, reference);
    } else {
      const newId = entries.add(reference);
      this.#table.add(hash, newId);
      if (this.#isIndexed) this.#index?.add(newId, buffer, keyStart, keyEnd);
    }
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

  /** Counts the entry of `id` out and gives up its memory. Answers how much that is. */
  #giveUp(id: number): number {
    const { arena } = this.#entries;
    const reference = this.#entries.referenceOf(id);
    const { isTombstone, keyStart, keyEnd, valueStart, valueEnd, bytes } = this.#entries.read(id);
    this.#keyBytes -= keyEnd - keyStart;
    if (isTombstone) {
      this.#tombstones -= 1;
    } else {
      this.#values -= 1;
      this.#valueBytes -= valueEnd - valueStart;
    }
    markDead(arena.chunkOf(reference), arena.positionOf(reference));
    arena.release(reference, bytes);
    return bytes;
  }

  #dropSome(nowMs: number, entriesMax: number): void {
    for (let looked = 0; looked < entriesMax; looked += 1) {
      if (this.#sweptTo >= this.#entries.idEnd) {
        this.#sweptTo = 0;
        return;
      }
      const id = this.#sweptTo;
      this.#sweptTo += 1;
      if (this.#entries.referenceOf(id) !== 0 && this.#entries.read(id).droppableAtMs <= nowMs) this.#drop(id);
    }
  }

  #drop(id: number): void {
    const { keyStart, keyEnd } = this.#entries.read(id);
    const { bytes } = this.#entries.chunkOf(id);
    this.#table.remove(this.#hash(bytes, keyStart, keyEnd), id);
    if (this.#isIndexed) this.#index?.remove(bytes, keyStart, keyEnd);
    this.#compactor.owe(this.#giveUp(id));
    this.#entries.remove(id);
  }

  #relocate(from: Chunk, reference: number, entry: EntryCursor): void {
    const { arena } = this.#entries;
    const hash = this.#hash(from.bytes, entry.keyStart, entry.keyEnd);
    const id = this.#table.find(hash, from.bytes, entry.keyStart, entry.keyEnd);
    const moved = arena.reserve(entry.bytes);
    copyBytes(arena.chunkOf(moved), arena.positionOf(moved), from.view, arena.positionOf(reference), entry.bytes);
    this.#entries.move(id, moved);
    markDead(from, arena.positionOf(reference));
    arena.release(reference, entry.bytes);
  }

  /**
   * Keys that are there are sorted; those that come meanwhile have ids of their own (no id is given out again until then), and
   * are added one by one. None goes meanwhile.
   */
  *#build(index: OrderedIndex): Generator<void, void> {
    const entries = this.#entries;
    entries.keepsFreeIds = true;
    const idEnd = entries.idEnd;
    const ids = new Uint32Array(this.#values + this.#tombstones);
    let count = 0;
    for (let id = 0; id < idEnd; id += 1) {
      if (entries.referenceOf(id) !== 0) ids[count++] = id;
      if (id % idsPerYield === 0) yield;
    }
    yield* sortByKey(ids, entries);
    for (let i = 0; i < ids.length; i += 1) {
      index.append(ids[i]!);
      if (i % idsPerYield === 0) yield;
    }
    for (let id = idEnd; id < entries.idEnd; id += 1) {
      const { keyStart, keyEnd } = entries.read(id);
      index.add(id, entries.chunkOf(id).bytes, keyStart, keyEnd);
      if (id % indexStepsPerYield === 0) yield;
    }
  }
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}
