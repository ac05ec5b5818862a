import type { RecordView, Store, StoredValue, StoreSize } from '../../src/store/store.ts';

export interface RecordMeta {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs?: number | undefined;
  readonly contentType?: string | undefined;
}

/**
 * A store with keys and values in buffers of their own, for tests. Each record is laid at another place in one buffer, which
 * the next record overwrites: a store that keeps a reference to it is found out.
 */
export class PlainStore {
  readonly #store: Store;
  readonly #buffer = Buffer.alloc(4096);
  #start = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  put(key: Buffer, value: Buffer, meta: RecordMeta): boolean {
    return this.#store.put(this.#lay(key, value, meta));
  }

  delete(key: Buffer, partition: number, offset: number, nowMs: number): boolean {
    return this.#store.delete(this.#lay(key, Buffer.alloc(0), { partition, offset, timestampMs: 0 }), nowMs);
  }

  get(key: Buffer, nowMs: number): StoredValue | undefined {
    return this.#store.get(key, nowMs);
  }

  look(key: Buffer, nowMs: number): StoredValue | 'absent' | undefined {
    return this.#store.look(key, nowMs);
  }

  sweep(nowMs: number, entriesMax: number): boolean {
    return this.#store.sweep(nowMs, entriesMax);
  }

  clear(): void {
    this.#store.clear();
  }

  entries(nowMs: number): IterableIterator<[key: Buffer, value: StoredValue]> {
    return this.#store.entries(nowMs);
  }

  get size(): StoreSize {
    return this.#store.size;
  }

  set tombstoneRetentionMs(retentionMs: number) {
    this.#store.tombstoneRetentionMs = retentionMs;
  }

  #lay(key: Buffer, value: Buffer, meta: RecordMeta): RecordView {
    this.#buffer.fill(0xee);
    this.#start = (this.#start + 7) % 64;
    const keyStart = this.#start;
    const keyEnd = keyStart + key.copy(this.#buffer, keyStart);
    const valueStart = keyEnd + 3;
    const valueEnd = valueStart + value.copy(this.#buffer, valueStart);
    const { partition, offset, timestampMs, expiresAtMs, contentType } = meta;
    const place = { buffer: this.#buffer, keyStart, keyEnd, valueStart, valueEnd };
    return { ...place, partition, offset, timestampMs, expiresAtMs, contentType };
  }
}
