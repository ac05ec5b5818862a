import { type Chunk, ChunkArena } from './chunk-arena.ts';
import { EntryCursor } from './entry-layout.ts';
import { PagedUint32 } from './paged-uint32.ts';

const firstBit = 1 << 31;

/** Keys by the reference of their entry. */
export interface KeysByReference {
  hasKey(reference: number, bytes: Buffer, start: number, end: number): boolean;
}

/** Keys by id. */
export interface KeysById {
  /** Below 0 when the key of `id` is less than `bytes[start, end)`, in byte order; above 0 when it is greater. */
  compareKey(id: number, bytes: Buffer, start: number, end: number): number;

  /** As `compareKey`, of two ids. */
  compareIds(left: number, right: number): number;

  /**
   * Three bytes of the key from `depth` on, and, in the last two bits, how many of them there are: such words are in the
   * order of the keys. Signed, with the first bit turned over, because a number of 32 bits without a sign may be an object.
   */
  wordAt(id: number, depth: number): number;

  /** The key, one character a byte. */
  textOf(id: number): string;
}

/**
 * Entries by their references, and, for a store in order, by *ids*. A key has one id for as long as the store knows it,
 * whatever is written under it and wherever compaction moves that: an entry that moves needs no search in the index. The
 * entry has the id in it, so that a look-up, which the table answers with a reference, is spared a cache miss on the way.
 */
export class Entries implements KeysByReference, KeysById {
  readonly arena: ChunkArena;
  readonly hasIds: boolean;
  /** By id; 0 where no key has the id. */
  readonly #references = new PagedUint32();
  readonly #freeIds = new PagedUint32();
  readonly #cursor: EntryCursor;

  constructor(chunkBytes: number, hasIds: boolean) {
    this.arena = new ChunkArena(chunkBytes);
    this.hasIds = hasIds;
    this.#cursor = new EntryCursor(hasIds);
  }

  /** Every id is below this. */
  get idEnd(): number {
    return this.#references.length;
  }

  /** Of what is by id. */
  get idBytes(): number {
    return this.#references.bytes + this.#freeIds.bytes;
  }

  /** 0: no key has the id. */
  referenceOf(id: number): number {
    return this.#references.get(id);
  }

  /** An id for a new key; with `isFresh` not one that another key had. */
  addId(reference: number, isFresh: boolean): number {
    if (this.#freeIds.length > 0 && !isFresh) {
      const id = this.#freeIds.pop();
      this.#references.set(id, reference);
      return id;
    }
    this.#references.push(reference);
    return this.#references.length - 1;
  }

  moveId(id: number, reference: number): void {
    this.#references.set(id, reference);
  }

  removeId(id: number): void {
    this.#references.set(id, 0);
    this.#freeIds.push(id);
  }

  clear(): void {
    this.arena.clear();
    this.#references.clear();
    this.#freeIds.clear();
  }

  /** Takes the entry at `reference` apart. What is returned is good until the next call of any method that reads one. */
  read(reference: number): EntryCursor {
    this.#cursor.read(this.arena.chunkOf(reference), this.arena.positionOf(reference));
    return this.#cursor;
  }

  hasKey(reference: number, bytes: Buffer, start: number, end: number): boolean {
    const chunk = this.arena.chunkOf(reference);
    const cursor = this.#cursor;
    cursor.read(chunk, this.arena.positionOf(reference));
    const own = chunk.bytes;
    if (cursor.keyEnd - cursor.keyStart !== end - start) return false;
    for (let i = cursor.keyStart, j = start; j < end; i += 1, j += 1) if (own[i] !== bytes[j]) return false;
    return true;
  }

  compareKey(id: number, bytes: Buffer, start: number, end: number): number {
    const { keyStart, keyEnd, chunk } = this.#readId(id);
    const own = chunk.bytes;
    const length = Math.min(keyEnd - keyStart, end - start);
    for (let i = 0; i < length; i += 1) {
      const difference = own[keyStart + i]! - bytes[start + i]!;
      if (difference !== 0) return difference;
    }
    return keyEnd - keyStart - (end - start);
  }

  compareIds(left: number, right: number): number {
    const { keyStart, keyEnd, chunk } = this.#readId(right);
    return this.compareKey(left, chunk.bytes, keyStart, keyEnd);
  }

  wordAt(id: number, depth: number): number {
    const { keyStart, keyEnd, chunk } = this.#readId(id);
    const own = chunk.bytes;
    const at = keyStart + depth;
    const left = keyEnd - at;
    let word = firstBit | Math.max(0, Math.min(left, 3));
    if (left > 0) word ^= own[at]! << 24;
    if (left > 1) word |= own[at + 1]! << 16;
    if (left > 2) word |= own[at + 2]! << 8;
    return word;
  }

  textOf(id: number): string {
    const { keyStart, keyEnd, chunk } = this.#readId(id);
    return chunk.bytes.toString('latin1', keyStart, keyEnd);
  }

  #readId(id: number): EntryCursor {
    return this.read(this.#references.get(id));
  }
}

/** Goes past all entries of an arena, chunk by chunk, as they come and go and move. */
export class EntryWalk {
  readonly entry: EntryCursor;
  readonly #arena: ChunkArena;
  #chunk: Chunk | undefined;
  #chunkNumber = 0;
  #next = 0;
  #reference = 0;

  constructor({ arena, hasIds }: Entries) {
    this.#arena = arena;
    this.entry = new EntryCursor(hasIds);
  }

  /** Of the entry that was read last. */
  get reference(): number {
    return this.#reference;
  }

  /** Reads the next entry that was not given up; false, once, at the end, and then it begins anew. */
  step(): boolean {
    for (;;) {
      const chunk = this.#chunk;
      // Another chunk may have come in the place of one that is free, and then the position means nothing.
      if (chunk === undefined || chunk.isFree || this.#next >= chunk.end) {
        this.#chunkNumber += 1;
        this.#next = 0;
        if (this.#chunkNumber >= this.#arena.chunkNumberEnd) {
          this.restart();
          return false;
        }
        this.#chunk = this.#arena.chunkNumbered(this.#chunkNumber);
        continue;
      }
      this.entry.read(chunk, this.#next);
      this.#reference = this.#arena.referenceTo(this.#chunkNumber, this.#next);
      this.#next += this.entry.bytes;
      if (!this.entry.isDead) return true;
    }
  }

  restart(): void {
    this.#chunk = undefined;
    this.#chunkNumber = 0;
    this.#next = 0;
  }
}
