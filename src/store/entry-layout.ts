import { type Chunk, copyBytes, wholeGranules } from './chunk-arena.ts';
import type { RecordView } from './store.ts';

/*
 * An entry in a chunk, in whole granules:
 *
 *   head         varint   partition * 4, +1 when the entry was given up, +2 when it has traits
 *   keyLength    varint
 *   valueLength  varint   0 in a tombstone
 *   offset       varint
 *   id           4 bytes, little-endian; only in a store in order
 *   traits       1 byte   only when the head says so: the sum of the numbers below
 *   timestampMs  6 bytes, unsigned, little-endian; with `wideTimestamp` 8 bytes, a float64
 *   droppableAt  8 bytes, a float64; only with `droppable`
 *   contentType  varint length, then bytes; only with `typed`
 *   key, value
 *
 * A varint is 7 bits a byte, low ones first. With keys of 15 bytes and values of 100 all that comes to 128 bytes up to
 * offset 2^28 and partition 31 (136 in order), which is why the traits hide in a bit of the partition's byte and the timestamp, whose
 * varint would have 6 bytes for the next 110 years, is written without a loop.
 */

/** To be raised with every change of the above: snapshots hold entries as they lie here. */
export const entryLayoutVersion = 1;

/** Of a key of one byte that has nothing else: 11, in whole granules. */
export const entryBytesMin = 16;

const deadBit = 1;
const traitsBit = 2;
const headUnit = 4;

const tombstone = 1;
const droppable = 2;
const typed = 4;
const wideTimestamp = 8;

const idBytes = 4;
const timestampBytes = 6;
const timestampMsMax = 2 ** 48;
const wordsUnit = 2 ** 32;
/** The unit of the eighth byte: no number below 2^53 has more. */
const varintUnitMax = 2 ** 49;
/** Numbers below this take four bytes at most, which integer arithmetic can make. */
const shortVarintMax = 1 << 28;

/** Bytes of the entry for a record, in whole granules; `isTombstone` leaves its value out. */
export function entryBytes(
  record: RecordView,
  isTombstone: boolean,
  droppableAtMs: number | undefined,
  hasId: boolean,
): number {
  const keyLength = record.keyEnd - record.keyStart;
  const valueLength = isTombstone ? 0 : record.valueEnd - record.valueStart;
  const { contentType } = record;
  const traits = traitsOf(record, isTombstone, droppableAtMs);
  const bytes =
    varintBytes(record.partition * headUnit) +
    varintBytes(keyLength) +
    varintBytes(valueLength) +
    varintBytes(record.offset) +
    (hasId ? idBytes : 0) +
    (traits === 0 ? 0 : 1) +
    ((traits & wideTimestamp) === 0 ? timestampBytes : 8) +
    ((traits & droppable) === 0 ? 0 : 8) +
    (contentType === undefined || isTombstone ? 0 : varintBytes(contentType.length) + contentType.length) +
    keyLength +
    valueLength;
  return wholeGranules(bytes);
}

/** Writes the entry for a record whose buffer `source` is a view of; an `id` of -1 is none. */
export function writeEntry(
  chunk: Chunk,
  position: number,
  record: RecordView,
  source: DataView,
  isTombstone: boolean,
  droppableAtMs: number | undefined,
  id: number,
): void {
  const { bytes, view } = chunk;
  const { timestampMs } = record;
  const keyLength = record.keyEnd - record.keyStart;
  const valueLength = isTombstone ? 0 : record.valueEnd - record.valueStart;
  const traits = traitsOf(record, isTombstone, droppableAtMs);
  let at = writeVarint(bytes, position, record.partition * headUnit + (traits === 0 ? 0 : traitsBit));
  at = writeVarint(bytes, at, keyLength);
  at = writeVarint(bytes, at, valueLength);
  at = writeVarint(bytes, at, record.offset);
  if (id >= 0) {
    view.setInt32(at, id, true);
    at += idBytes;
  }
  if (traits !== 0) {
    bytes[at] = traits;
    at += 1;
  }
  if ((traits & wideTimestamp) === 0) {
    view.setUint32(at, timestampMs, true);
    view.setUint16(at + 4, timestampMs / wordsUnit, true);
    at += timestampBytes;
  } else {
    view.setFloat64(at, timestampMs, true);
    at += 8;
  }
  if ((traits & droppable) !== 0) {
    view.setFloat64(at, droppableAtMs!, true);
    at += 8;
  }
  if ((traits & typed) !== 0) {
    const contentType = record.contentType!;
    at = writeVarint(bytes, at, contentType.length);
    for (let i = 0; i < contentType.length; i += 1) bytes[at + i] = contentType.charCodeAt(i);
    at += contentType.length;
  }
  copyBytes(chunk, at, source, record.keyStart, keyLength);
  copyBytes(chunk, at + keyLength, source, record.valueStart, valueLength);
}

/** Marks the entry as given up, for whoever walks its chunk. */
export function markDead(chunk: Chunk, position: number): void {
  chunk.bytes[position]! |= deadBit;
}

/** Gives the entry, of a store in order, another id. */
export function writeId({ bytes, view }: Chunk, position: number, id: number): void {
  let at = position;
  for (let varints = 0; varints < 4; at += 1) if (bytes[at]! < 0x80) varints += 1;
  view.setInt32(at, id, true);
}

function traitsOf(record: RecordView, isTombstone: boolean, droppableAtMs: number | undefined): number {
  const { timestampMs } = record;
  return (
    (isTombstone ? tombstone : record.contentType === undefined ? 0 : typed) +
    (droppableAtMs === undefined ? 0 : droppable) +
    (timestampMs >= 0 && timestampMs < timestampMsMax ? 0 : wideTimestamp)
  );
}

function varintBytes(value: number): number {
  if (value < 1 << 7) return 1;
  if (value < 1 << 14) return 2;
  if (value < 1 << 21) return 3;
  if (value < shortVarintMax) return 4;
  return 4 + varintBytes(Math.floor(value / shortVarintMax));
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  if (value >= shortVarintMax) {
    const low = value % shortVarintMax;
    for (let shift = 0; shift < 28; shift += 7) bytes[at++] = ((low >>> shift) & 0x7f) | 0x80;
    rest = Math.floor(value / shortVarintMax);
  }
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** An entry taken apart. One of these serves entry after entry. */
export class EntryCursor {
  /** Where the entry is. */
  chunk!: Chunk;
  partition = 0;
  offset = 0;
  id = -1;
  timestampMs = 0;
  isDead = false;
  isTombstone = false;
  /** When the entry may go; Infinity: never by itself. */
  droppableAtMs = Number.POSITIVE_INFINITY;
  /** -1: no content type. */
  contentTypeStart = -1;
  contentTypeEnd = -1;
  keyStart = 0;
  keyEnd = 0;
  valueEnd = 0;
  /** Of the entry, in whole granules. */
  bytes = 0;
  readonly #hasId: boolean;
  #at = 0;

  constructor(hasId: boolean) {
    this.#hasId = hasId;
  }

  get valueStart(): number {
    return this.keyEnd;
  }

  isLive(nowMs: number): boolean {
    return !this.isTombstone && this.droppableAtMs > nowMs;
  }

  read(chunk: Chunk, position: number): void {
    const { bytes, view } = chunk;
    this.chunk = chunk;
    this.#at = position;
    const head = this.#varint(bytes);
    const keyLength = this.#varint(bytes);
    const valueLength = this.#varint(bytes);
    this.partition = Math.floor(head / headUnit);
    this.isDead = (head & deadBit) !== 0;
    this.offset = this.#varint(bytes);
    if (this.#hasId) {
      this.id = view.getInt32(this.#at, true);
      this.#at += idBytes;
    }
    if ((head & traitsBit) === 0) {
      this.isTombstone = false;
      this.droppableAtMs = Number.POSITIVE_INFINITY;
      this.contentTypeStart = -1;
      this.timestampMs = view.getUint32(this.#at, true) + view.getUint16(this.#at + 4, true) * wordsUnit;
      this.#at += timestampBytes;
    } else {
      this.#readTraits(bytes, view);
    }
    this.keyStart = this.#at;
    this.keyEnd = this.keyStart + keyLength;
    this.valueEnd = this.keyEnd + valueLength;
    this.bytes = wholeGranules(this.valueEnd - position);
  }

  #readTraits(bytes: Buffer, view: DataView): void {
    const traits = bytes[this.#at]!;
    let at = this.#at + 1;
    this.isTombstone = (traits & tombstone) !== 0;
    if ((traits & wideTimestamp) === 0) {
      this.timestampMs = view.getUint32(at, true) + view.getUint16(at + 4, true) * wordsUnit;
      at += timestampBytes;
    } else {
      this.timestampMs = view.getFloat64(at, true);
      at += 8;
    }
    this.droppableAtMs = Number.POSITIVE_INFINITY;
    if ((traits & droppable) !== 0) {
      this.droppableAtMs = view.getFloat64(at, true);
      at += 8;
    }
    this.#at = at;
    this.contentTypeStart = -1;
    if ((traits & typed) !== 0) {
      const length = this.#varint(bytes);
      this.contentTypeStart = this.#at;
      this.contentTypeEnd = this.#at + length;
      this.#at += length;
    }
  }

  #varint(bytes: Buffer): number {
    let at = this.#at;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#at = at;
        return value;
      }
    }
    // Bounded, because an entry may come from a file; beyond the end of its bytes there is nothing that ends a number.
    for (let unit = shortVarintMax; ; unit *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80 || unit === varintUnitMax) {
        this.#at = at;
        return value;
      }
    }
  }
}
