import type { RecordView, Store, StoredValue, StoreSize } from './store.ts';

/** What is known of a key: a value, or, without one, that it was deleted. Never changed once made. */
class Entry {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** When the entry may go: a value's expiry, the end of a tombstone's retention. null: never by itself. */
  readonly droppableAtMs: number | null;
  readonly contentType: string | undefined;
  /** The value, one character for each byte; null in a tombstone. */
  readonly bytes: string | null;

  constructor(record: RecordView, bytes: string | null, droppableAtMs: number | null) {
    this.partition = record.partition;
    this.offset = record.offset;
    this.timestampMs = record.timestampMs;
    this.droppableAtMs = droppableAtMs;
    this.contentType = record.contentType;
    this.bytes = bytes;
  }

  isDroppable(nowMs: number): boolean {
    return this.droppableAtMs !== null && this.droppableAtMs <= nowMs;
  }

  isLive(nowMs: number): this is Entry & StoredValue {
    return this.bytes !== null && !this.isDroppable(nowMs);
  }

  get value(): Buffer {
    return Buffer.from(this.latin1, 'latin1');
  }

  get latin1(): string {
    return this.bytes ?? '';
  }

  get expiresAtMs(): number | undefined {
    return this.droppableAtMs ?? undefined;
  }
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

  get(key: Buffer, nowMs: number): StoredValue | undefined {
    const found = this.look(key, nowMs);
    return found === 'absent' ? undefined : found;
  }

  look(key: Buffer, nowMs: number): StoredValue | 'absent' | undefined {
    const entry = this.#map.get(key.toString('latin1'));
    if (entry === undefined) return undefined;
    return entry.isLive(nowMs) ? entry : 'absent';
  }

  put(record: RecordView): boolean {
    const { buffer, valueStart, valueEnd, expiresAtMs = null } = record;
    const name = buffer.toString('latin1', record.keyStart, record.keyEnd);
    if (!this.#displace(name, record)) return false;
    this.#map.set(name, new Entry(record, buffer.toString('latin1', valueStart, valueEnd), expiresAtMs));
    this.#values += 1;
    this.#keyBytes += name.length;
    this.#valueBytes += valueEnd - valueStart;
    return true;
  }

  delete(record: RecordView, nowMs: number): boolean {
    const name = record.buffer.toString('latin1', record.keyStart, record.keyEnd);
    if (!this.#displace(name, record)) return false;
    this.#map.set(name, new Entry(record, null, nowMs + this.tombstoneRetentionMs));
    this.#tombstones += 1;
    this.#keyBytes += name.length;
    return true;
  }

  sweep(nowMs: number, entriesMax: number): boolean {
    this.#sweeping ??= this.#map.entries();
    for (let looked = 0; looked < entriesMax; looked += 1) {
      const next = this.#sweeping.next();
      if (next.done) {
        this.#sweeping = undefined;
        return true;
      }
      const [name, entry] = next.value;
      if (entry.isDroppable(nowMs)) {
        this.#uncount(name, entry);
        this.#map.delete(name);
      }
    }
    return false;
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
      if (entry.isLive(nowMs)) yield [Buffer.from(name, 'latin1'), entry];
    }
  }

  /** Makes way for a record; false when what is there is as new or newer. Another partition's record always gives way. */
  #displace(name: string, { partition, offset }: RecordView): boolean {
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
