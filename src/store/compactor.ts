import type { Chunk, ChunkArena } from './chunk-arena.ts';
import type { Entries } from './entries.ts';
import { EntryCursor } from './entry-layout.ts';

/** Compaction begins when this part of what entries use is given up. */
const deadPartMax = 0.2;
/**
 * For every byte that is written, this many of a chunk are walked. The chunk that is chosen is given up for a fifth at least,
 * so five would hold the balance.
 */
const walkedPerWritten = 8;
/**
 * Bounds of one call: some tens of microseconds for the least of them, a millisecond or two after a record of a mebibyte. With
 * records as large as that more than a fifth may be given up for a while.
 */
const entriesPerCall = 128;
const writtenBytesPerEntry = 256;
const movedBytesPerCall = 2 * 1024 * 1024;

/** Moves a live entry out of its chunk, and gives up where it was. */
export type Relocate = (reference: number, entry: EntryCursor) => void;

/**
 * Gets memory back from chunks that are only partly given up: takes the chunk of which the most is, moves what lives to where
 * new entries go, and the chunk is free. It does so a little at a time, in step with what is written, so that no call is
 * long and what is given up stays about a fifth of the whole.
 */
export class Compactor {
  readonly #arena: ChunkArena;
  readonly #relocate: Relocate;
  readonly #entry: EntryCursor;
  #chunk: Chunk | undefined;
  #chunkNumber = 0;
  #position = 0;
  #owedBytes = 0;
  /** No chunk is looked for before this much is given up: none was worth it the last time. */
  #deadBytesAtNextLook = 0;

  constructor({ arena, hasIds }: Entries, relocate: Relocate) {
    this.#arena = arena;
    this.#entry = new EntryCursor(hasIds);
    this.#relocate = relocate;
  }

  /** To be called with the bytes of each entry that was written. */
  written(bytes: number): void {
    if (this.#chunk === undefined && this.#arena.deadBytes < this.#arena.usedBytes * deadPartMax) return;
    this.#owedBytes += bytes * walkedPerWritten;
    this.work(entriesPerCall + bytes / writtenBytesPerEntry);
  }

  /** Adds to what is owed: bytes given up without anything having been written. */
  owe(bytes: number): void {
    this.#owedBytes += bytes * walkedPerWritten;
  }

  /** Walks past up to `entriesMax` entries, or what is owed. */
  work(entriesMax: number): void {
    const arena = this.#arena;
    let movedBytes = 0;
    for (let walked = 0; walked < entriesMax && movedBytes < movedBytesPerCall && this.#owedBytes > 0; walked += 1) {
      if (this.#chunk === undefined || this.#chunk.isFree) {
        if (!this.#choose()) {
          this.#owedBytes = 0;
          return;
        }
      }
      const chunk = this.#chunk!;
      const entry = this.#entry;
      entry.read(chunk, this.#position);
      // Moving the last entry that lives frees the chunk, so this is noted first.
      const reference = arena.referenceTo(this.#chunkNumber, this.#position);
      this.#position += entry.bytes;
      this.#owedBytes -= entry.bytes;
      if (entry.isDead) continue;
      movedBytes += entry.bytes;
      this.#relocate(reference, entry);
    }
  }

  clear(): void {
    this.#chunk = undefined;
    this.#owedBytes = 0;
    this.#deadBytesAtNextLook = 0;
  }

  #choose(): boolean {
    const { deadBytes, usedBytes } = this.#arena;
    this.#chunk = undefined;
    if (deadBytes < usedBytes * deadPartMax || deadBytes < this.#deadBytesAtNextLook) return false;
    const number = this.#arena.mostlyDead();
    const chunk = number === undefined ? undefined : this.#arena.chunkNumbered(number);
    if (chunk === undefined || chunk.deadBytes < chunk.end * deadPartMax) {
      this.#deadBytesAtNextLook = deadBytes + usedBytes / 64;
      return false;
    }
    this.#deadBytesAtNextLook = 0;
    this.#chunk = chunk;
    this.#chunkNumber = number!;
    this.#position = 0;
    return true;
  }
}
