/**
 * The map from keys to values, in bytes. No I/O, no clock of its own, one thread.
 *
 * A *version* is (partition, offset): within a partition the higher offset is newer, and `put` and `delete` change nothing
 * when the store already holds the key at the same or a higher offset. Applying records again, or late, is therefore
 * harmless as long as tombstones are kept, which is why `delete` leaves one.
 */
export interface Store {
  /** The value under the key; undefined when there is none, or it is deleted, or it has expired by `nowMs`. */
  get(key: Uint8Array, nowMs: number): StoredValue | undefined;

  /** What is known of the key: a live value, or that it was deleted or expired (definitely absent), or nothing at all. */
  look(key: Uint8Array, nowMs: number): StoredValue | 'absent' | undefined;

  /** Copies `value`. Answers whether anything changed. */
  put(key: Uint8Array, value: Uint8Array, meta: RecordMeta): boolean;

  /** Leaves a tombstone, kept at least `tombstoneRetentionMs` after `nowMs`. Answers whether anything changed. */
  delete(key: Uint8Array, partition: number, offset: number, nowMs: number): boolean;

  /**
   * Looks at up to `entriesMax` entries, going on where the last call ended, and drops tombstones that were kept long
   * enough and values that have expired. Call it now and then; each call is short.
   */
  sweep(nowMs: number, entriesMax: number): void;

  /** Drops everything. */
  clear(): void;

  /** Every live value by `nowMs`, in no particular order. The store must not be changed meanwhile. */
  entries(nowMs: number): IterableIterator<[key: Buffer, value: StoredValue]>;

  readonly size: StoreSize;

  /** How long tombstones are kept: the topic's `delete.retention.ms`. */
  tombstoneRetentionMs: number;
}

export interface RecordMeta {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** From the record's `bitacora-expires-at` header. */
  readonly expiresAtMs?: number | undefined;
  /** From the record's `content-type` header. */
  readonly contentType?: string | undefined;
}

export interface StoredValue extends RecordMeta {
  /** The caller's to keep and, if it likes, to change. */
  readonly value: Buffer;
}

export interface StoreSize {
  /** Values held, expired ones included until they are swept. */
  readonly values: number;
  readonly tombstones: number;
  /** Bytes of the keys of both. */
  readonly keyBytes: number;
  readonly valueBytes: number;
}
