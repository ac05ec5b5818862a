import type { RecordHeaders, RecordSlices } from '../log/log.ts';
import type { Partitioner } from '../log/partitioner.ts';
import type { RecordView, Store } from '../store/store.ts';
import type { KeyArrivals } from './key-arrivals.ts';

/** Longest key that is served, in bytes. */
export const keyBytesMax = 65_536;

export const expiresAtHeader = 'bitacora-expires-at';
export const contentTypeHeader = 'content-type';

/** What became of the records read so far. Every record is counted in exactly one of them. */
export interface ApplyCounters {
  applied: number;
  /** As old as, or older than, what the store holds under the key: a record read twice. */
  superseded: number;
  withoutKey: number;
  /** Keys of more than `keyBytesMax` bytes. */
  keyTooLong: number;
  /** Outside the key's home partition: another producer partitions keys differently, or partitions were added. */
  misplaced: number;
}

export interface ApplyContext {
  readonly store: Store;
  readonly partitioner: Partitioner;
  readonly partitions: number;
  readonly counters: ApplyCounters;
  /** Highest record timestamp seen in each partition; -1 before the first. */
  readonly newestMs: number[];
  readonly arrivals: KeyArrivals;
}

/**
 * Applies records to the store: the whole step from log to map, and a pure function of the records, the store and `nowMs`
 * (which only dates tombstones). What it skips, every node skips alike.
 */
export function applyRecords(context: ApplyContext, slices: RecordSlices, nowMs: number): void {
  const { store, partitioner, partitions, counters, newestMs, arrivals } = context;
  const { partition, count, buffer, offsets, timestampsMs, keyStarts, keyLengths, valueStarts, valueLengths } = slices;
  const record: RecordView = { ...emptyRecord, buffer, partition };
  let newest = newestMs[partition] ?? -1;
  for (let i = 0; i < count; i += 1) {
    const timestampMs = timestampsMs[i]!;
    if (timestampMs > newest) newest = timestampMs;
    const keyLength = keyLengths[i]!;
    if (keyLength <= 0) {
      counters.withoutKey += 1;
      continue;
    }
    if (keyLength > keyBytesMax) {
      counters.keyTooLong += 1;
      continue;
    }
    const keyStart = keyStarts[i]!;
    const keyEnd = keyStart + keyLength;
    if (partitions > 1 && partitioner(buffer.subarray(keyStart, keyEnd), partitions) !== partition) {
      counters.misplaced += 1;
      continue;
    }
    const headers = slices.headers?.get(i);
    record.keyStart = keyStart;
    record.keyEnd = keyEnd;
    record.offset = offsets[i]!;
    record.timestampMs = timestampMs;
    record.expiresAtMs = headers && expiryOf(headers);
    record.contentType = headers?.get(contentTypeHeader)?.toString('latin1');
    record.valueStart = valueStarts[i]!;
    record.valueEnd = record.valueStart + valueLengths[i]!;
    const changed = valueLengths[i]! < 0 ? store.delete(record, nowMs) : store.put(record);
    if (changed) counters.applied += 1;
    else counters.superseded += 1;
    if (arrivals.size > 0) arrivals.arrived(buffer, keyStart, keyEnd);
  }
  newestMs[partition] = newest;
}

const emptyRecord: RecordView = {
  buffer: Buffer.alloc(0),
  keyStart: 0,
  keyEnd: 0,
  valueStart: 0,
  valueEnd: 0,
  partition: 0,
  offset: 0,
  timestampMs: 0,
  expiresAtMs: undefined,
  contentType: undefined,
};

/** Milliseconds since the epoch in ASCII digits; anything else is no expiry. */
function expiryOf(headers: RecordHeaders): number | undefined {
  const text = headers.get(expiresAtHeader)?.toString('latin1');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
