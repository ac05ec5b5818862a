import type { RecordMeta, Store, StoredValue, StoreSize } from './store.ts';

interface Entry {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** When the entry may go: a value's expiry, the end of a tombstone's retention. Infinity: never by itself. */
  readonly droppableAtMs: number;
  readonly contentType: string | undefined;
  /** The value, one character for each byte (latin1); null in a tombstone. */
  readonly bytes: string | null;
}

/**
 * The store behind a plain Map. Keys and values are strings of one character a byte: V8 keeps such strings at one byte a
 * character, without the 200 bytes and the finalizer that a Buffer of its own would cost each value, and without pinning a
 * shared slab for as long as one value in it lives.
 */
export class MapStore implements Store {
  tombstoneRetentionMs: number;
  readonly #map = new Map<string, Entry>();
  #sweeping: IterableIterator<[string, Entry]> | undefined;
  #values = 0;
  #tombstones = 0;
  #keyBytes = 0;
  #valueBytes = 0;

  constructor(tombstoneRetentionMs: number) {
    this.tombstoneRetentionMs = tombstoneRetentionMs;
  }

  get size(): StoreSize {
    return {
      values: this.#values,
      tombstones: this.#tombstones,
      keyBytes: this.#keyBytes,
      valueBytes: this.#valueBytes,
    };
  }

  get(key: Uint8Array, nowMs: number): StoredValue | undefined {
    const found = this.look(key, nowMs);
    return found === 'absent' ? undefined : found;
  }

  look(key: Uint8Array, nowMs: number): StoredValue | 'absent' | undefined {
    const entry = this.#map.get(latin1(key));
    if (entry === undefined) return undefined;
    return isLive(entry, nowMs) ? stored(entry) : 'absent';
  }

  put(key: Uint8Array, value: Uint8Array, meta: RecordMeta): boolean {
    const name = latin1(key);
    if (!this.#displace(name, meta.partition, meta.offset)) return false;
    const { partition, offset, timestampMs, expiresAtMs = Number.POSITIVE_INFINITY, contentType } = meta;
    const bytes = latin1(value);
    this.#map.set(name, { partition, offset, timestampMs, droppableAtMs: expiresAtMs, contentType, bytes });
    this.#values += 1;
    this.#keyBytes += name.length;
    this.#valueBytes += value.length;
    return true;
  }

  delete(key: Uint8Array, partition: number, offset: number, nowMs: number): boolean {
    const name = latin1(key);
    if (!this.#displace(name, partition, offset)) return false;
    const droppableAtMs = nowMs + this.tombstoneRetentionMs;
    this.#map.set(name, { partition, offset, timestampMs: 0, droppableAtMs, contentType: undefined, bytes: null });
    this.#tombstones += 1;
    this.#keyBytes += name.length;
    return true;
  }

  sweep(nowMs: number, entriesMax: number): void {
    this.#sweeping ??= this.#map.entries();
    for (let looked = 0; looked < entriesMax; looked += 1) {
      const next = this.#sweeping.next();
      if (next.done) {
        this.#sweeping = undefined;
        return;
      }
      const [name, entry] = next.value;
      if (entry.droppableAtMs <= nowMs) {
        this.#uncount(name, entry);
        this.#map.delete(name);
      }
    }
  }

  clear(): void {
    this.#map.clear();
    this.#sweeping = undefined;
    this.#values = 0;
    this.#tombstones = 0;
    this.#keyBytes = 0;
    this.#valueBytes = 0;
  }

  *entries(nowMs: number): IterableIterator<[key: Buffer, value: StoredValue]> {
    for (const [name, entry] of this.#map) {
      if (isLive(entry, nowMs)) yield [Buffer.from(name, 'latin1'), stored(entry)];
    }
  }

  /** Makes way for a record; false when what is there is as new or newer. Another partition's record always gives way. */
  #displace(name: string, partition: number, offset: number): boolean {
    const old = this.#map.get(name);
    if (old === undefined) return true;
    if (old.partition === partition && old.offset >= offset) return false;
    this.#uncount(name, old);
    return true;
  }

  #uncount(name: string, entry: Entry): void {
    this.#keyBytes -= name.length;
    if (entry.bytes === null) {
      this.#tombstones -= 1;
    } else {
      this.#values -= 1;
      this.#valueBytes -= entry.bytes.length;
    }
  }
}

type LiveEntry = Entry & { readonly bytes: string };

function isLive(entry: Entry, nowMs: number): entry is LiveEntry {
  return entry.bytes !== null && entry.droppableAtMs > nowMs;
}

function stored({ partition, offset, timestampMs, droppableAtMs, contentType, bytes }: LiveEntry): StoredValue {
  const expiresAtMs = droppableAtMs === Number.POSITIVE_INFINITY ? undefined : droppableAtMs;
  return { partition, offset, timestampMs, expiresAtMs, contentType, value: Buffer.from(bytes, 'latin1') };
}

function latin1(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString('latin1');
}
