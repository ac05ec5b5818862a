import { crc32c } from '@node-rs/crc32';
import { type Codec, decompress } from './codecs.ts';
import { WireError, WireReader, WireWriter, writeInt64 } from './wire.ts';

/**
 * Record batches, format version 2 (https://kafka.apache.org/documentation/#recordbatch):
 *
 *     0 baseOffset 8 | 8 batchLength 4 | 12 partitionLeaderEpoch 4 | 16 magic 1 | 17 crc 4 | 21 attributes 2 |
 *     23 lastOffsetDelta 4 | 27 baseTimestamp 8 | 35 maxTimestamp 8 | 43 producerId 8 | 51 producerEpoch 2 |
 *     53 baseSequence 4 | 57 count 4 | 61 records
 *
 * batchLength counts from byte 12. The CRC-32C covers everything from byte 21 on, so that a broker may set the base offset and the
 * leader epoch without computing it anew.
 */
export const batchHeaderBytes = 61;
/** Bytes before those that batchLength counts. */
export const batchPrefixBytes = 12;

const at = {
  baseOffset: 0,
  batchLength: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
} as const;

const codecs: readonly (Codec | undefined)[] = [undefined, 'gzip', 'snappy', 'lz4', 'zstd'];
const codecMask = 0x07;
const logAppendTimeFlag = 0x08;
const transactionalFlag = 0x10;
const controlFlag = 0x20;
const deleteHorizonFlag = 0x40;

/** The header of a batch, read once. */
export interface BatchHeader {
  readonly baseOffset: number;
  /** Offset of the last record, or where it was before compaction took it. */
  readonly lastOffset: number;
  /** Bytes of the whole batch. */
  readonly bytes: number;
  readonly leaderEpoch: number;
  readonly attributes: number;
  /** undefined: not compressed. */
  readonly codec: Codec | undefined;
  readonly isLogAppendTime: boolean;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  /** The base timestamp is when tombstones and markers of this batch may go (KIP-534). */
  readonly hasDeleteHorizon: boolean;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  /** -1: not of an idempotent producer. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly count: number;
}

/**
 * Bytes of the batch that begins at `offset`, as its length field says; undefined when even that is not there whole. Nothing else
 * is checked, so the answer may lie beyond the buffer, or be less than a header.
 */
export function announcedBytes(buffer: Buffer, offset: number): number | undefined {
  if (buffer.length - offset < batchPrefixBytes) return undefined;
  return buffer.readInt32BE(offset + at.batchLength) + batchPrefixBytes;
}

/** Throws a `WireError` unless a whole batch of version 2 lies at `offset`. Its CRC is not looked at: see `hasSoundCrc`. */
export function readHeader(buffer: Buffer, offset = 0): BatchHeader {
  const there = buffer.length - offset;
  if (there < batchHeaderBytes)
    throw new WireError(`a batch header has ${batchHeaderBytes} bytes, and ${there} are there`);
  const bytes = announcedBytes(buffer, offset)!;
  if (bytes < batchHeaderBytes || bytes > there) {
    throw new WireError(`a batch announces ${bytes} bytes, and ${there} are there`);
  }
  const magic = buffer.readInt8(offset + at.magic);
  if (magic !== 2) throw new WireError(`a batch has format version ${magic}, and only 2 is known`);
  const attributes = buffer.readInt16BE(offset + at.attributes);
  const codecId = attributes & codecMask;
  if (codecId >= codecs.length) throw new WireError(`a batch has codec ${codecId}, which does not exist`);
  const reader = new WireReader(buffer, offset + at.lastOffsetDelta);
  const lastOffsetDelta = reader.int32();
  const baseTimestampMs = reader.int64();
  const maxTimestampMs = reader.int64();
  const producerId = reader.int64();
  const producerEpoch = reader.int16();
  const baseSequence = reader.int32();
  const count = reader.int32();
  if (lastOffsetDelta < 0 || count < 0 || count > lastOffsetDelta + 1) {
    throw new WireError(`a batch has ${count} records over ${lastOffsetDelta + 1} offsets`);
  }
  const baseOffset = new WireReader(buffer, offset + at.baseOffset).int64();
  return {
    baseOffset,
    lastOffset: baseOffset + lastOffsetDelta,
    bytes,
    leaderEpoch: buffer.readInt32BE(offset + at.leaderEpoch),
    attributes,
    codec: codecs[codecId],
    isLogAppendTime: (attributes & logAppendTimeFlag) !== 0,
    isTransactional: (attributes & transactionalFlag) !== 0,
    isControl: (attributes & controlFlag) !== 0,
    hasDeleteHorizon: (attributes & deleteHorizonFlag) !== 0,
    baseTimestampMs,
    maxTimestampMs,
    producerId,
    producerEpoch,
    baseSequence,
    count,
  };
}

/**
 * The last offset of the batch at `offset`, without an object for its header; undefined where `readHeader` throws. For whoever only
 * has to know where batches end: a replay goes over tens of thousands in one answer.
 */
export function lastOffsetAt(buffer: Buffer, offset: number): number | undefined {
  const bytes = announcedBytes(buffer, offset);
  if (bytes === undefined || bytes < batchHeaderBytes || bytes > buffer.length - offset) return undefined;
  const codecId = buffer.readInt16BE(offset + at.attributes) & codecMask;
  if (buffer.readInt8(offset + at.magic) !== 2 || codecId >= codecs.length) return undefined;
  const lastOffsetDelta = buffer.readInt32BE(offset + at.lastOffsetDelta);
  const count = buffer.readInt32BE(offset + at.count);
  if (lastOffsetDelta < 0 || count < 0 || count > lastOffsetDelta + 1) return undefined;
  const baseOffset = buffer.readInt32BE(offset) * 0x1_0000_0000 + buffer.readUInt32BE(offset + 4);
  return baseOffset + lastOffsetDelta;
}

/** Whether the batch of `bytes` bytes at `offset` is as it was made. */
export function hasSoundCrc(buffer: Buffer, offset: number, bytes: number): boolean {
  return buffer.readUInt32BE(offset + at.crc) === crc32c(buffer.subarray(offset + at.attributes, offset + bytes));
}

/** Sets what a broker sets when it appends a batch, in place; the CRC does not cover it. */
export function assignOffset(buffer: Buffer, offset: number, baseOffset: number, leaderEpoch: number): void {
  writeInt64(buffer, baseOffset, offset + at.baseOffset);
  buffer.writeInt32BE(leaderEpoch, offset + at.leaderEpoch);
}

/** Stamps a batch with the time of the append (`message.timestamp.type=LogAppendTime`), in place, CRC included. */
export function assignAppendTime(buffer: Buffer, offset: number, bytes: number, timestampMs: number): void {
  const attributes = buffer.readInt16BE(offset + at.attributes) | logAppendTimeFlag;
  buffer.writeInt16BE(attributes, offset + at.attributes);
  writeInt64(buffer, timestampMs, offset + at.maxTimestamp);
  buffer.writeUInt32BE(crc32c(buffer.subarray(offset + at.attributes, offset + bytes)), offset + at.crc);
}

/** The records of the batch at `offset`, decompressed: at most `bytesMax` of them. Rejects with a `CodecError`. */
export async function recordBytes(
  buffer: Buffer,
  offset: number,
  header: BatchHeader,
  bytesMax: number,
): Promise<Buffer> {
  const packed = buffer.subarray(offset + batchHeaderBytes, offset + header.bytes);
  return header.codec === undefined || header.count === 0 ? packed : decompress(header.codec, packed, bytesMax);
}

/** A record where it lies in the bytes of its batch. -1 as a length means null. One view serves record after record. */
export interface RecordSpan {
  /** Of the whole record, its own length field included. */
  start: number;
  end: number;
  offsetDelta: number;
  timestampDelta: number;
  keyStart: number;
  keyLength: number;
  valueStart: number;
  valueLength: number;
  /** Where the number of headers stands. */
  headersStart: number;
}

/**
 * Goes over the `count` records in `bytes` and calls `visit` with the same span each time. Throws a `WireError` when they are not
 * what a batch of so many records holds, to the last byte.
 */
export function walkRecords(bytes: Buffer, count: number, visit: (record: RecordSpan) => void): void {
  const span: RecordSpan = {
    start: 0,
    end: 0,
    offsetDelta: 0,
    timestampDelta: 0,
    keyStart: 0,
    keyLength: 0,
    valueStart: 0,
    valueLength: 0,
    headersStart: 0,
  };
  const reader = new WireReader(bytes);
  for (let index = 0; index < count; index += 1) {
    span.start = reader.at;
    const length = reader.varint();
    if (length < 0 || length > reader.remaining) {
      throw new WireError(`a record announces ${length} bytes, and ${reader.remaining} are there`);
    }
    span.end = reader.at + length;
    reader.skip(1);
    span.timestampDelta = reader.varlong();
    span.offsetDelta = reader.varint();
    span.keyLength = skipNullable(reader);
    span.keyStart = reader.at - Math.max(span.keyLength, 0);
    span.valueLength = skipNullable(reader);
    span.valueStart = reader.at - Math.max(span.valueLength, 0);
    span.headersStart = reader.at;
    skipHeaders(reader);
    if (reader.at !== span.end) throw new WireError('a record is not as long as it announces');
    visit(span);
  }
  if (reader.remaining > 0) throw new WireError(`${reader.remaining} bytes follow the last record of a batch`);
}

/** Answers the length of what was skipped: -1 for any that is negative, which all mean null to Kafka. */
function skipNullable(reader: WireReader): number {
  const length = reader.varint();
  if (length < 0) return -1;
  if (length > 0) reader.skip(length);
  return length;
}

/** A consumer stops at headers that it cannot read, so they are looked at before a batch is taken. */
function skipHeaders(reader: WireReader): void {
  const count = reader.varint();
  if (count < 0) throw new WireError(`a record has ${count} headers`);
  for (let left = count; left > 0; left -= 1) {
    if (skipNullable(reader) < 0) throw new WireError('a header of a record has no name');
    skipNullable(reader);
  }
}

export interface NewRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: ReadonlyArray<readonly [name: string, value: Buffer | null]>;
  readonly timestampMs: number;
  /** By default the records follow one another without gaps. */
  readonly offsetDelta?: number;
}

export interface NewBatch {
  readonly baseOffset?: number;
  /** Where the batch ends, when that is beyond its last record. */
  readonly lastOffsetDelta?: number;
  readonly leaderEpoch?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  readonly isLogAppendTime?: boolean;
  /** When tombstones in it may go; it takes the place of the base timestamp (KIP-534). */
  readonly deleteHorizonMs?: number;
  readonly records: readonly NewRecord[];
}

/** Makes a batch, not compressed. */
export function writeBatch(batch: NewBatch): Buffer {
  const { records } = batch;
  const baseTimestampMs = batch.deleteHorizonMs ?? records[0]?.timestampMs ?? -1;
  const body = new WireWriter();
  let maxTimestampMs = -1;
  for (const [index, record] of records.entries()) {
    maxTimestampMs = Math.max(maxTimestampMs, record.timestampMs);
    writeRecord(body, record, record.timestampMs - baseTimestampMs, record.offsetDelta ?? index);
  }
  const lastDelta = records.length === 0 ? 0 : (records.at(-1)!.offsetDelta ?? records.length - 1);
  return assemble(batch, body.finish(), {
    codecId: 0,
    count: records.length,
    lastOffsetDelta: batch.lastOffsetDelta ?? lastDelta,
    baseTimestampMs,
    maxTimestampMs,
  });
}

interface Assembly {
  readonly codecId: number;
  readonly count: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
}

function assemble(batch: Omit<NewBatch, 'records'>, body: Buffer, assembly: Assembly): Buffer {
  const buffer = Buffer.alloc(batchHeaderBytes + body.length);
  body.copy(buffer, batchHeaderBytes);
  sealBatch(buffer, batch, assembly);
  return buffer;
}

/** Writes the header before the records, which are in their place and take the buffer to its end. */
export function sealBatch(buffer: Buffer, batch: Omit<NewBatch, 'records'>, assembly: Assembly): void {
  const attributes =
    assembly.codecId |
    (batch.isLogAppendTime ? logAppendTimeFlag : 0) |
    (batch.isTransactional ? transactionalFlag : 0) |
    (batch.isControl ? controlFlag : 0) |
    (batch.deleteHorizonMs === undefined ? 0 : deleteHorizonFlag);
  assignOffset(buffer, 0, batch.baseOffset ?? 0, batch.leaderEpoch ?? -1);
  buffer.writeInt32BE(buffer.length - batchPrefixBytes, at.batchLength);
  buffer.writeInt8(2, at.magic);
  buffer.writeInt16BE(attributes, at.attributes);
  buffer.writeInt32BE(assembly.lastOffsetDelta, at.lastOffsetDelta);
  writeInt64(buffer, assembly.baseTimestampMs, at.baseTimestamp);
  writeInt64(buffer, assembly.maxTimestampMs, at.maxTimestamp);
  writeInt64(buffer, batch.producerId ?? -1, at.producerId);
  buffer.writeInt16BE(batch.producerEpoch ?? -1, at.producerEpoch);
  buffer.writeInt32BE(batch.baseSequence ?? -1, at.baseSequence);
  buffer.writeInt32BE(assembly.count, at.count);
  buffer.writeUInt32BE(crc32c(buffer.subarray(at.attributes)), at.crc);
}

function writeRecord(writer: WireWriter, record: NewRecord, timestampDelta: number, offsetDelta: number): void {
  const inner = new WireWriter((record.key?.length ?? 0) + (record.value?.length ?? 0) + 64);
  inner.int8(0);
  inner.varlong(timestampDelta);
  inner.varint(offsetDelta);
  writeNullable(inner, record.key);
  writeNullable(inner, record.value);
  const { headers = [] } = record;
  inner.varint(headers.length);
  for (const [name, value] of headers) {
    const length = Buffer.byteLength(name);
    inner.varint(length);
    inner.text(name, length);
    writeNullable(inner, value);
  }
  const bytes = inner.finish();
  writer.varint(bytes.length);
  writer.bytes(bytes);
}

function writeNullable(writer: WireWriter, value: Buffer | null): void {
  writer.varint(value === null ? -1 : value.length);
  if (value !== null) writer.bytes(value);
}
