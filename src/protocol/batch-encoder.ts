import { batchHeaderBytes, sealBatch } from './record-batch.ts';

/** A record to be written; its offset is its place in the batch. */
export interface EncodableRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: ReadonlyMap<string, Buffer>;
  readonly timestampMs: number;
}

/** Whose batch it is, so that a broker knows a repetition (KIP-98). */
export interface BatchProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

const firstBytes = 64 * 1024;
/** More than the lengths, deltas and attributes of one record take: six varints of 5 bytes, one of 10, one byte. */
const recordOverheadBytes = 41;
const headerOverheadBytes = 10;

/**
 * Writes record batches of format 2, not compressed, each over the one before: the hot path of appends. A batch of ten thousand
 * records is one pass over one buffer, and no object is made for a record.
 */
export class BatchEncoder {
  #buffer = Buffer.allocUnsafeSlow(firstBytes);

  /** At least one record. The answer is valid until the next call. */
  encode(records: readonly EncodableRecord[], producer: BatchProducer): Buffer {
    const bytesMax = batchHeaderBytes + recordsBytesMax(records);
    if (this.#buffer.length < bytesMax)
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(bytesMax, this.#buffer.length * 2));
    const buffer = this.#buffer;
    const baseTimestampMs = records[0]!.timestampMs;
    let maxTimestampMs = baseTimestampMs;
    let at = batchHeaderBytes;
    for (let index = 0; index < records.length; index += 1) {
      const record = records[index]!;
      const { timestampMs } = record;
      if (timestampMs > maxTimestampMs) maxTimestampMs = timestampMs;
      const timestampDelta = zigzag(timestampMs - baseTimestampMs);
      at = writeUvarint(buffer, zigzag(recordBytes(record, timestampDelta, index)), at);
      buffer[at] = 0;
      at = writeUvarint(buffer, timestampDelta, at + 1);
      at = writeUvarint(buffer, zigzag(index), at);
      at = writeNullable(buffer, record.key, at);
      at = writeNullable(buffer, record.value, at);
      at = record.headers === undefined ? writeUvarint(buffer, 0, at) : writeHeaders(buffer, record.headers, at);
    }
    const batch = buffer.subarray(0, at);
    sealBatch(batch, producer, {
      codecId: 0,
      count: records.length,
      lastOffsetDelta: records.length - 1,
      baseTimestampMs,
      maxTimestampMs,
    });
    return batch;
  }
}

function recordsBytesMax(records: readonly EncodableRecord[]): number {
  let bytes = 0;
  for (let index = 0; index < records.length; index += 1) {
    const { key, value, headers } = records[index]!;
    bytes += recordOverheadBytes + (key === null ? 0 : key.length) + (value === null ? 0 : value.length);
    if (headers !== undefined) {
      for (const [name, content] of headers) bytes += headerOverheadBytes + Buffer.byteLength(name) + content.length;
    }
  }
  return bytes;
}

/** What stands behind a record's length. */
function recordBytes(record: EncodableRecord, timestampDelta: number, index: number): number {
  const { key, value, headers } = record;
  const bytes =
    1 +
    uvarintBytes(timestampDelta) +
    uvarintBytes(zigzag(index)) +
    (key === null ? 1 : uvarintBytes(zigzag(key.length)) + key.length) +
    (value === null ? 1 : uvarintBytes(zigzag(value.length)) + value.length);
  return headers === undefined ? bytes + 1 : bytes + headersBytes(headers);
}

function headersBytes(headers: ReadonlyMap<string, Buffer>): number {
  let bytes = uvarintBytes(zigzag(headers.size));
  for (const [name, content] of headers) {
    const nameBytes = Buffer.byteLength(name);
    bytes += uvarintBytes(zigzag(nameBytes)) + nameBytes;
    bytes += uvarintBytes(zigzag(content.length)) + content.length;
  }
  return bytes;
}

function writeHeaders(buffer: Buffer, headers: ReadonlyMap<string, Buffer>, start: number): number {
  let at = writeUvarint(buffer, zigzag(headers.size), start);
  for (const [name, content] of headers) {
    const nameBytes = Buffer.byteLength(name);
    at = writeUvarint(buffer, zigzag(nameBytes), at);
    buffer.write(name, at, nameBytes, 'utf8');
    at = writeNullable(buffer, content, at + nameBytes);
  }
  return at;
}

function writeNullable(buffer: Buffer, value: Buffer | null, start: number): number {
  if (value === null) {
    buffer[start] = 1;
    return start + 1;
  }
  const at = writeUvarint(buffer, zigzag(value.length), start);
  buffer.set(value, at);
  return at + value.length;
}

/** As a number, which is exact: no two timestamps in use are 2^52 ms apart. */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}

function uvarintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

function writeUvarint(buffer: Buffer, value: number, start: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    buffer[at] = (rest % 128) | 0x80;
    at += 1;
    rest = Math.floor(rest / 128);
  }
  buffer[at] = rest;
  return at + 1;
}
