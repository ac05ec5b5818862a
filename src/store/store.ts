/**
 * The map from keys to values, in bytes. No I/O, no clock of its own, one thread.
 *
 * A *version* is (partition, offset): within a partition the higher offset is newer, and `put` and `delete` change nothing
 * when the store already holds the key at the same or a higher offset. Applying records again, or late, is therefore
 * harmless as long as tombstones are kept, which is why `delete` leaves one.
 */
export interface Store {
  /** The value under the key; undefined when there is none, or it is deleted, or it has expired by `nowMs`. */
  get(key: Buffer, nowMs: number): StoredValue | undefined;

  /** What is known of the key: a live value, or that it was deleted or expired (definitely absent), or nothing at all. */
  look(key: Buffer, nowMs: number): StoredValue | 'absent' | undefined;

  /** Copies key and value out of the record's buffer. Answers whether anything changed. */
  put(record: RecordView): boolean;

  /** Leaves a tombstone, kept at least `tombstoneRetentionMs` after `nowMs`. Answers whether anything changed. */
  delete(record: RecordView, nowMs: number): boolean;

  /**
   * Looks at up to `entriesMax` entries, going on where the last call ended, and drops tombstones that were kept long
   * enough and values that have expired. True when it has come to the end, and the next call begins anew. A call takes some
   * microseconds for each entry that it drops.
   */
  sweep(nowMs: number, entriesMax: number): boolean;

  /** Drops everything. */
  clear(): void;

  /** Every live value by `nowMs`, in no particular order. The store must not be changed meanwhile. */
  entries(nowMs: number): IterableIterator<[key: Buffer, value: StoredValue]>;

  readonly size: StoreSize;

  /** How long tombstones are kept: the topic's `delete.retention.ms`. */
  tombstoneRetentionMs: number;
}

/** A store that also keeps its keys in order, and tells where its memory goes. */
export interface OrderedStore extends Store {
  /**
   * One step of putting the keys in order, of less than a millisecond or so; true when they are. To be called after
   * everything has been read, because keys that come later each cost a search; until then they are in no order, and while it
   * is under way sweeps drop nothing. Always true when the store keeps no order. `clear` undoes it.
   */
  buildIndex(): boolean;

  /** Whether `scan` may be called. */
  readonly isOrdered: boolean;

  /**
   * A page of the live values by `nowMs` with keys in `range`, in byte order of the keys, lower first.
   *
   * A page is what the store holds at the moment of the call. A scan of several pages is not of one moment, but it neither
   * misses nor repeats a key: one that is live from the first page to the last comes exactly once, with the value it has when
   * its page is made; one that comes or goes meanwhile comes once or not at all. No page is long: it ends at `limit` values, at
   * some hundred kibibytes, or after some thousand entries that are not live, so it may be empty and yet not the last.
   */
  scan(range: KeyRange, nowMs: number): ScanPage;

  readonly memory: StoreMemory;
}

/** Keys that meet every bound given. */
export interface KeyRange {
  readonly prefix?: Buffer | undefined;
  /** The least key. */
  readonly from?: Buffer | undefined;
  /** Less than this. */
  readonly to?: Buffer | undefined;
  /** Greater than this: what the page before said. */
  readonly after?: Buffer | undefined;
  /** Values in a page; 1 or more. */
  readonly limit: number;
  /** Leaves the values where they are: those of the page are empty. */
  readonly keysOnly?: boolean;
}

export interface ScanPage {
  readonly entries: readonly (readonly [key: Buffer, value: StoredValue])[];
  /** The `after` of the next page; undefined: this is the last. */
  readonly after: Buffer | undefined;
}

/** Where the memory is, in bytes. The sum is what the store has asked for. */
export interface StoreMemory {
  /** From hashes to entries. */
  readonly tableBytes: number;
  /** Entries of values and tombstones. */
  readonly liveBytes: number;
  /** Entries that were overwritten or dropped, until compaction gets to them. */
  readonly deadBytes: number;
  /** Not written to yet. */
  readonly unusedBytes: number;
  readonly indexBytes: number;
}

/**
 * A record where it lies in a buffer: the key is `buffer[keyStart, keyEnd)`, the value `buffer[valueStart, valueEnd)`. The
 * caller may use one view for record after record, because making a Buffer for each key and value costs a fifth of a replay.
 */
export interface RecordView {
  buffer: Buffer;
  keyStart: number;
  keyEnd: number;
  valueStart: number;
  valueEnd: number;
  partition: number;
  offset: number;
  timestampMs: number;
  /** From the record's `bitacora-expires-at` header. */
  expiresAtMs: number | undefined;
  /** From the record's `content-type` header. */
  contentType: string | undefined;
}

/** A value and its version. It never changes: another record under the key makes another `StoredValue`. */
export interface StoredValue {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
  /** The value in a Buffer of the caller's own, made at each access. */
  readonly value: Buffer;
  /** The value as a string of one character for each byte, which some answers can be made from without a Buffer. */
  readonly latin1: string;
}

export interface StoreSize {
  /** Values held, expired ones included until they are swept. */
  readonly values: number;
  readonly tombstones: number;
  /** Bytes of the keys of both. */
  readonly keyBytes: number;
  readonly valueBytes: number;
}
