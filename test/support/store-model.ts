import type { StoreSize } from '../../src/store/store.ts';
import type { RecordMeta } from './plain-store.ts';

interface Held {
  readonly key: string;
  readonly meta: RecordMeta;
  /** In hexadecimal; undefined in a tombstone. */
  readonly value: string | undefined;
  readonly droppableAtMs: number;
}

/** What of a value can be compared: everything, the bytes in hexadecimal. */
export interface SeenValue {
  readonly value: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
}

/** What a store is to do, said as plainly as can be: a map of hexadecimal strings that forgets nothing by itself. */
export class StoreModel {
  readonly #held = new Map<string, Held>();
  tombstoneRetentionMs: number;

  constructor(tombstoneRetentionMs: number) {
    this.tombstoneRetentionMs = tombstoneRetentionMs;
  }

  put(key: string, value: string, meta: RecordMeta): boolean {
    return this.#take({ key, meta, value, droppableAtMs: meta.expiresAtMs ?? Number.POSITIVE_INFINITY });
  }

  delete(key: string, partition: number, offset: number, nowMs: number): boolean {
    const meta = { partition, offset, timestampMs: 0 };
    return this.#take({ key, meta, value: undefined, droppableAtMs: nowMs + this.tombstoneRetentionMs });
  }

  sweep(nowMs: number): void {
    for (const { key, droppableAtMs } of [...this.#held.values()]) if (droppableAtMs <= nowMs) this.#held.delete(key);
  }

  clear(): void {
    this.#held.clear();
  }

  look(key: string, nowMs: number): SeenValue | 'absent' | undefined {
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    const { value, meta, droppableAtMs } = held;
    if (value === undefined || droppableAtMs <= nowMs) return 'absent';
    const { partition, offset, timestampMs, expiresAtMs, contentType } = meta;
    return { value, partition, offset, timestampMs, expiresAtMs, contentType };
  }

  live(nowMs: number): Map<string, SeenValue> {
    const live = new Map<string, SeenValue>();
    for (const key of this.#held.keys()) {
      const seen = this.look(key, nowMs);
      if (seen !== undefined && seen !== 'absent') live.set(key, seen);
    }
    return live;
  }

  get size(): StoreSize {
    const held = [...this.#held.values()];
    const bytes = (hex: string | undefined) => (hex?.length ?? 0) / 2;
    return {
      values: held.filter(({ value }) => value !== undefined).length,
      tombstones: held.filter(({ value }) => value === undefined).length,
      keyBytes: held.reduce((sum, { key }) => sum + bytes(key), 0),
      valueBytes: held.reduce((sum, { value }) => sum + bytes(value), 0),
    };
  }

  #take(next: Held): boolean {
    const old = this.#held.get(next.key);
    if (old !== undefined && old.meta.partition === next.meta.partition && old.meta.offset >= next.meta.offset)
      return false;
    this.#held.set(next.key, next);
    return true;
  }
}
