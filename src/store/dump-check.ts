import { Chunk, granuleBytes } from './chunk-arena.ts';
import { EntryCursor } from './entry-layout.ts';
import type { KeyHash } from './key-hash.ts';
import { slotBytes } from './store-dump.ts';

/** After the entries, so that a number that has no end has one there: the longest field that is read without looking is 8. */
const paddingBytes = 64;

/** What is wrong, and with which byte of the block's entries. */
export interface BlockFault {
  readonly at: number;
  readonly what: string;
}

export interface BlockCounts {
  readonly tombstones: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

/** Looks at every entry of a dump, block after block: its fields, its key's hash and place in the order, its number. */
export class DumpCheck {
  readonly #hash: KeyHash;
  readonly #hasIds: boolean;
  readonly #entry: EntryCursor;
  #entries = 0;
  #lastHash = 0;
  /** Keys of that hash. */
  #keys = new Set<string>();

  constructor(hash: KeyHash, hasIds: boolean) {
    this.#hash = hash;
    this.#hasIds = hasIds;
    this.#entry = new EntryCursor(hasIds);
  }

  /** The next block; its counts, if nothing is wrong. */
  check(slots: Buffer, entries: Buffer): BlockCounts | BlockFault {
    const chunk = new Chunk(new ArrayBuffer(entries.length + paddingBytes));
    chunk.bytes.set(entries);
    const counts = { tombstones: 0, keyBytes: 0, valueBytes: 0 };
    let position = 0;
    for (let at = 0; at < slots.length; at += slotBytes) {
      const [hash, granule] = [slots.readUInt32LE(at), slots.readUInt32LE(at + 4)];
      if (granule * granuleBytes !== position)
        return { at: position, what: `an entry begins here, and its slot says ${granule * granuleBytes}` };
      const what = this.#entryFault(chunk, position, entries.length, hash);
      if (what !== undefined) return { at: position, what };
      const entry = this.#entry;
      counts.keyBytes += entry.keyEnd - entry.keyStart;
      if (entry.isTombstone) counts.tombstones += 1;
      else counts.valueBytes += entry.valueEnd - entry.valueStart;
      position += entry.bytes;
      this.#entries += 1;
    }
    return position === entries.length ? counts : { at: position, what: 'bytes that belong to no entry' };
  }

  #entryFault(chunk: Chunk, position: number, end: number, hash: number): string | undefined {
    const entry = this.#entry;
    try {
      entry.read(chunk, position);
    } catch {
      return 'the entry is not whole';
    }
    const { keyStart, keyEnd, contentTypeStart, contentTypeEnd } = entry;
    if (!(position + entry.bytes <= end && keyEnd > keyStart)) return 'the entry is not whole, or has no key';
    if (contentTypeStart >= 0 && contentTypeEnd !== keyStart)
      return 'the content type does not end where the key begins';
    if (entry.isDead) return 'the entry was given up';
    if (!Number.isSafeInteger(entry.offset)) return 'the offset is too large';
    if (this.#hasIds && entry.id !== this.#entries) return `the entry has number ${entry.id}, not ${this.#entries}`;
    if (this.#hash(chunk.bytes, keyStart, keyEnd) >>> 0 !== hash) return 'the slot’s hash is not that of the key';
    if (hash < this.#lastHash) return 'hashes go back';
    if (hash > this.#lastHash) this.#keys.clear();
    this.#lastHash = hash;
    const key = chunk.bytes.toString('latin1', keyStart, keyEnd);
    if (this.#keys.has(key)) return 'the key was there before';
    this.#keys.add(key);
    return undefined;
  }
}
