import type { KeyRange, Scan, ScanPage, StoredValue } from '../database/database.ts';
import type { Encoder } from './wire/outbox.ts';
import {
  first,
  nearestLong,
  second,
  utf8BytesMax,
  writeLong,
  writeLongOrNull,
  writeTextOrNull,
} from './write-datum.ts';

/** An entry without its bytes has at most four numbers of ten bytes, three lengths of five and three flags. */
const aroundBytesMax = 64;
/** A position is two numbers. */
const positionBytesMax = 20;

/** A page that is read when it is written. */
export class UnreadPage {
  readonly scan: Scan;
  readonly #range: KeyRange;
  #page: ScanPage | undefined;

  constructor(scan: Scan, range: KeyRange) {
    this.scan = scan;
    this.#range = range;
  }

  get keysOnly(): boolean {
    return this.#range.keysOnly ?? false;
  }

  /** The same each time. Throws what `Scan.page` throws. */
  read(): ScanPage {
    this.#page ??= this.scan.page(this.#range);
    return this.#page;
  }
}

/**
 * Writes `ScanPage` of `schemas/database.avdl`. What is in the page is read out of the store now and not before: a client may have
 * many such calls under way, and a page is as much as a large value.
 */
export const scanEncoder: Encoder<UnreadPage> = {
  encode(unread, buffer, start) {
    const { entries, after } = unread.read();
    const { positions } = unread.scan;
    let bytesMax = 2 * aroundBytesMax + (after?.length ?? 0) + positionBytesMax * positions.length;
    for (const [key, stored] of entries) bytesMax += entryBytesMax(key, stored);
    if (buffer.length - start < bytesMax) return buffer.length - start - bytesMax;
    let at = start;
    if (entries.length > 0) at = writeLong(buffer, at, entries.length);
    for (const [key, stored] of entries) at = writeEntry(buffer, at, key, stored, unread.keysOnly);
    buffer[at++] = 0;
    buffer[at++] = after === undefined ? first : second;
    if (after !== undefined) at = writeBytes(buffer, at, after);
    if (positions.length > 0) at = writeLong(buffer, at, positions.length);
    for (const [partition, position] of positions.entries()) {
      at = writeLong(buffer, at, partition);
      at = writeLong(buffer, at, position);
    }
    buffer[at++] = 0;
    return at;
  },
};

function entryBytesMax(key: Buffer, { latin1, contentType }: StoredValue): number {
  return aroundBytesMax + key.length + latin1.length + utf8BytesMax * (contentType?.length ?? 0);
}

function writeEntry(buffer: Buffer, start: number, key: Buffer, stored: StoredValue, keysOnly: boolean): number {
  const { latin1, partition, offset, timestampMs, expiresAtMs, contentType } = stored;
  let at = writeBytes(buffer, start, key);
  buffer[at++] = keysOnly ? first : second;
  if (!keysOnly) {
    at = writeLong(buffer, at, latin1.length);
    at += buffer.write(latin1, at, 'latin1');
  }
  at = writeLong(buffer, at, partition);
  at = writeLong(buffer, at, offset);
  at = writeLong(buffer, at, nearestLong(timestampMs));
  at = writeLongOrNull(buffer, at, expiresAtMs);
  return writeTextOrNull(buffer, at, contentType);
}

function writeBytes(buffer: Buffer, start: number, bytes: Buffer): number {
  const at = writeLong(buffer, start, bytes.length);
  return at + bytes.copy(buffer, at);
}
