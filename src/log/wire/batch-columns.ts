import type { BatchHeader } from '../../protocol/record-batch.ts';
import { WireError, WireReader } from '../../protocol/wire.ts';
import type { RecordHeaders, RecordSlices } from '../log.ts';

/** Records in one `RecordSlices` at most: the columns of so many stay in a processor's cache. */
export const sliceRecordsMax = 4_096;

const noBytes = Buffer.alloc(0);

/**
 * Fills the columns of `RecordSlices` from the records of one batch, where they lie. It believes exactly what `walkRecords` of
 * record-batch.ts believes, written out here because this loop is what a replay spends its time in: no object, no closure and
 * no call for a record whose numbers have one or two bytes, as nearly all have. The arrays are made once and used for every batch.
 *
 * Two things `walkRecords` leaves to whoever knows of offsets:
 * - a record below the position is passed over: a fetch in the middle of a batch is answered with the whole batch;
 * - a record beyond the last offset of its batch is refused, since the position would step back behind it.
 */
export class BatchColumns {
  readonly #offsets = new Float64Array(sliceRecordsMax);
  readonly #timestampsMs = new Float64Array(sliceRecordsMax);
  readonly #keyStarts = new Float64Array(sliceRecordsMax);
  readonly #keyLengths = new Int32Array(sliceRecordsMax);
  readonly #valueStarts = new Float64Array(sliceRecordsMax);
  readonly #valueLengths = new Int32Array(sliceRecordsMax);
  #headers: Map<number, RecordHeaders> | undefined;
  #partition = 0;
  #bytes: Buffer = noBytes;
  /** For the numbers that are longer than the loop reads by itself. */
  #reader = new WireReader(noBytes);
  #at = 0;
  #left = 0;
  /** The lowest offset that is still to be delivered. */
  #position = 0;
  #baseOffset = 0;
  #lastOffset = -1;
  #leaderEpoch = -1;
  #baseTimestampMs = 0;
  /** What every record is stamped with; NaN where each has a time of its own. */
  #appendTimeMs = Number.NaN;

  /** Begins a batch: `bytes` are its records, unpacked. */
  start(partition: number, bytes: Buffer, header: BatchHeader, position: number): void {
    this.#partition = partition;
    this.#bytes = bytes;
    this.#reader = new WireReader(bytes);
    this.#at = 0;
    this.#left = header.count;
    this.#position = position;
    this.#baseOffset = header.baseOffset;
    this.#lastOffset = header.lastOffset;
    this.#leaderEpoch = header.leaderEpoch;
    this.#baseTimestampMs = header.baseTimestampMs;
    this.#appendTimeMs = header.isLogAppendTime ? header.maxTimestampMs : Number.NaN;
  }

  /** Lets go of the batch's memory. */
  end(): void {
    this.#bytes = noBytes;
    this.#reader = new WireReader(noBytes);
    this.#headers = undefined;
    this.#left = 0;
    this.#at = 0;
  }

  /**
   * The next records of the batch; undefined when there are no more. Throws a `WireError` where they are not what a batch of so
   * many records holds; slices before that have been sound.
   */
  next(): RecordSlices | undefined {
    this.#headers = undefined;
    const count = this.#fill();
    if (this.#left === 0 && this.#at < this.#bytes.length) {
      throw new WireError(`${this.#bytes.length - this.#at} bytes follow the last record of a batch`);
    }
    if (count === 0) return undefined;
    return {
      partition: this.#partition,
      count,
      buffer: this.#bytes,
      offsets: this.#offsets,
      timestampsMs: this.#timestampsMs,
      keyStarts: this.#keyStarts,
      keyLengths: this.#keyLengths,
      valueStarts: this.#valueStarts,
      valueLengths: this.#valueLengths,
      headers: this.#headers,
      // Compaction may have taken the records at the end of the batch.
      nextOffset: this.#left === 0 ? Math.max(this.#lastOffset + 1, this.#position) : this.#position,
      leaderEpoch: this.#leaderEpoch,
    };
  }

  #fill(): number {
    const bytes = this.#bytes;
    const reader = this.#reader;
    const bytesEnd = bytes.length;
    const baseOffset = this.#baseOffset;
    const lastOffset = this.#lastOffset;
    const baseTimestampMs = this.#baseTimestampMs;
    const appendTimeMs = this.#appendTimeMs;
    const hasAppendTime = !Number.isNaN(appendTimeMs);
    const offsets = this.#offsets;
    const timestampsMs = this.#timestampsMs;
    const keyStarts = this.#keyStarts;
    const keyLengths = this.#keyLengths;
    const valueStarts = this.#valueStarts;
    const valueLengths = this.#valueLengths;
    let position = this.#position;
    let left = this.#left;
    let at = this.#at;
    let count = 0;
    while (left > 0 && count < sliceRecordsMax) {
      left -= 1;
      // Each number is zigzag: twice the value, or twice its complement and one. Bounds first: a read beyond them is slow.
      let raw = at < bytesEnd ? bytes[at]! : 0x80;
      if (raw < 0x80) at += 1;
      else if (at + 1 < bytesEnd && bytes[at + 1]! < 0x80) {
        raw = (raw & 0x7f) | (bytes[at + 1]! << 7);
        at += 2;
      } else {
        reader.at = at;
        reader.end = bytesEnd;
        raw = reader.uvarint();
        at = reader.at;
      }
      const length = (raw >>> 1) ^ -(raw & 1);
      if (length < 0 || length > bytesEnd - at) {
        throw new WireError(`a record announces ${length} bytes, and ${bytesEnd - at} are there`);
      }
      const end = at + length;
      // Past the record's attributes, of which none is in use.
      at += 1;

      let timestampDelta: number;
      raw = at < end ? bytes[at]! : 0x80;
      if (raw < 0x80) {
        at += 1;
        timestampDelta = (raw >>> 1) ^ -(raw & 1);
      } else if (at + 1 < end && bytes[at + 1]! < 0x80) {
        raw = (raw & 0x7f) | (bytes[at + 1]! << 7);
        at += 2;
        timestampDelta = (raw >>> 1) ^ -(raw & 1);
      } else {
        reader.at = at;
        reader.end = end;
        timestampDelta = reader.varlong();
        at = reader.at;
      }

      raw = at < end ? bytes[at]! : 0x80;
      if (raw < 0x80) at += 1;
      else if (at + 1 < end && bytes[at + 1]! < 0x80) {
        raw = (raw & 0x7f) | (bytes[at + 1]! << 7);
        at += 2;
      } else {
        reader.at = at;
        reader.end = end;
        raw = reader.uvarint();
        at = reader.at;
      }
      const offset = baseOffset + ((raw >>> 1) ^ -(raw & 1));

      raw = at < end ? bytes[at]! : 0x80;
      if (raw < 0x80) at += 1;
      else if (at + 1 < end && bytes[at + 1]! < 0x80) {
        raw = (raw & 0x7f) | (bytes[at + 1]! << 7);
        at += 2;
      } else {
        reader.at = at;
        reader.end = end;
        raw = reader.uvarint();
        at = reader.at;
      }
      // Any length below 0 means null to Kafka.
      const keyLength = (raw & 1) === 0 ? raw >>> 1 : -1;
      const keyStart = at;
      if (keyLength > 0) at += keyLength;

      raw = at < end ? bytes[at]! : 0x80;
      if (raw < 0x80) at += 1;
      else if (at + 1 < end && bytes[at + 1]! < 0x80) {
        raw = (raw & 0x7f) | (bytes[at + 1]! << 7);
        at += 2;
      } else {
        reader.at = at;
        reader.end = end;
        raw = reader.uvarint();
        at = reader.at;
      }
      const valueLength = (raw & 1) === 0 ? raw >>> 1 : -1;
      const valueStart = at;
      if (valueLength > 0) at += valueLength;

      let headers: RecordHeaders | undefined;
      if (at < end && bytes[at] === 0) at += 1;
      else {
        reader.at = at;
        reader.end = end;
        headers = headersAt(reader);
        at = reader.at;
      }
      if (at !== end) throw new WireError('a record is not as long as it announces');
      if (offset > lastOffset)
        throw new WireError(`a record has offset ${offset}, and its batch ends at ${lastOffset}`);
      if (offset < position) continue;
      position = offset + 1;
      offsets[count] = offset;
      timestampsMs[count] = hasAppendTime ? appendTimeMs : baseTimestampMs + timestampDelta;
      keyStarts[count] = keyStart;
      keyLengths[count] = keyLength;
      valueStarts[count] = valueStart;
      valueLengths[count] = valueLength;
      if (headers !== undefined) {
        this.#headers ??= new Map();
        this.#headers.set(count, headers);
      }
      count += 1;
    }
    this.#position = position;
    this.#left = left;
    this.#at = at;
    return count;
  }
}

/**
 * A header that is there several times counts as its last value, as Kafka's own `lastHeader` has it; one whose last value is null
 * is as good as none.
 */
function headersAt(reader: WireReader): RecordHeaders | undefined {
  const count = reader.varint();
  if (count < 0) throw new WireError(`a record has ${count} headers`);
  let headers: Map<string, Buffer> | undefined;
  for (let left = count; left > 0; left -= 1) {
    const nameLength = reader.varint();
    if (nameLength < 0) throw new WireError('a header of a record has no name');
    const name = reader.text(nameLength);
    const valueLength = reader.varint();
    headers ??= new Map();
    if (valueLength < 0) headers.delete(name);
    else headers.set(name, reader.slice(valueLength));
  }
  return headers === undefined || headers.size === 0 ? undefined : headers;
}
