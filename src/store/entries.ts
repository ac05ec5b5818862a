import { type Chunk, ChunkArena } from './chunk-arena.ts';
import { EntryCursor } from './entry-layout.ts';
import { PagedUint32 } from './paged-uint32.ts';

/** Keys by id, for those that find keys or put them in order. */
export interface Keys {
  hasKey(id: number, bytes: Buffer, start: number, end: number): boolean;

  /** Below 0 when the key of `id` is less than `bytes[start, end)`, in byte order; above 0 when it is greater. */
  compareKey(id: number, bytes: Buffer, start: number, end: number): number;

  /** As `compareKey`, of two ids. */
  compareIds(left: number, right: number): number;

  /** Three bytes of the key from `depth` on, and how many of them there are: such words are in the order of the keys. */
  wordAt(id: number, depth: number): number;
}

/**
 * Where the entry of each key lies. A key has one *id* for as long as the store knows it, whatever is written under it and
 * wherever compaction moves that: the table and the index hold ids, and have nothing to do when an entry moves.
 */
export class Entries implements Keys {
  readonly arena: ChunkArena;
  /** By id; 0 where no key has the id. */
  readonly #references = new PagedUint32();
  readonly #freeIds = new PagedUint32();
  readonly #cursor = new EntryCursor();
  #keepsFreeIds = false;

  constructor(chunkBytes: number) {
    this.arena = new ChunkArena(chunkBytes);
  }

  /** Every id is below this. */
  get idEnd(): number {
    return this.#references.length;
  }

  get bytes(): number {
    return this.#references.bytes + this.#freeIds.bytes;
  }

  /** While it is set, a new key gets a new id, never one that another key had. */
  set keepsFreeIds(keeps: boolean) {
    this.#keepsFreeIds = keeps;
  }

  /** 0: no key has the id. */
  referenceOf(id: number): number {
    return this.#references.get(id);
  }

  add(reference: number): number {
    if (this.#freeIds.length > 0 && !this.#keepsFreeIds) {
      const id = this.#freeIds.pop();
      this.#references.set(id, reference);
      return id;
    }
    this.#references.push(reference);
    return this.#references.length - 1;
  }

  move(id: number, reference: number): void {
    this.#references.set(id, reference);
  }

  remove(id: number): void {
    this.#references.set(id, 0);
    this.#freeIds.push(id);
  }

  clear(): void {
    this.arena.clear();
    this.#references.clear();
    this.#freeIds.clear();
  }

  chunkOf(id: number): Chunk {
    return this.arena.chunkOf(this.#references.get(id));
  }

  /** Takes the entry of `id` apart. What is returned is good until the next call of any method here. */
  read(id: number): EntryCursor {
    const reference = this.#references.get(id);
    this.#cursor.read(this.arena.chunkOf(reference), this.arena.positionOf(reference));
    return this.#cursor;
  }

  hasKey(id: number, bytes: Buffer, start: number, end: number): boolean {
    const { keyStart, keyEnd } = this.read(id);
    const own = this.chunkOf(id).bytes;
    if (keyEnd - keyStart !== end - start) return false;
    for (let i = keyStart, j = start; j < end; i += 1, j += 1) if (own[i] !== bytes[j]) return false;
    return true;
  }

  compareKey(id: number, bytes: Buffer, start: number, end: number): number {
    const { keyStart, keyEnd } = this.read(id);
    const own = this.chunkOf(id).bytes;
    const length = Math.min(keyEnd - keyStart, end - start);
    for (let i = 0; i < length; i += 1) {
      const difference = own[keyStart + i]! - bytes[start + i]!;
      if (difference !== 0) return difference;
    }
    return keyEnd - keyStart - (end - start);
  }

  compareIds(left: number, right: number): number {
    const { keyStart, keyEnd } = this.read(right);
    return this.compareKey(left, this.chunkOf(right).bytes, keyStart, keyEnd);
  }

  wordAt(id: number, depth: number): number {
    const { keyStart, keyEnd } = this.read(id);
    const own = this.chunkOf(id).bytes;
    const at = keyStart + depth;
    const left = keyEnd - at;
    if (left >= 3) return ((own[at]! << 24) | (own[at + 1]! << 16) | (own[at + 2]! << 8) | 3) >>> 0;
    if (left === 2) return ((own[at]! << 24) | (own[at + 1]! << 16) | 2) >>> 0;
    return left === 1 ? ((own[at]! << 24) | 1) >>> 0 : 0;
  }
}
