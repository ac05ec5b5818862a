const offsetEntryBytes = 8;
const timeEntryBytes = 12;
const firstRoomBytes = 256;

/**
 * The two sparse indexes of a segment in Kafka's format: `.index` (offset relative to the base 4 | position of its batch 4) and
 * `.timeindex` (timestamp 8 | relative offset 4). An offset is the last one of its batch; a time entry is the largest timestamp up to
 * there and the batch that has it.
 */
export class SegmentIndex {
  readonly #baseOffset: number;
  #offsets: Buffer;
  #offsetsLength: number;
  #times: Buffer;
  #timesLength: number;

  constructor(baseOffset: number, offsets: Buffer = Buffer.alloc(0), times: Buffer = Buffer.alloc(0)) {
    this.#baseOffset = baseOffset;
    this.#offsets = offsets;
    this.#offsetsLength = offsets.length;
    this.#times = times;
    this.#timesLength = times.length;
  }

  get offsetsFile(): Buffer {
    return this.#offsets.subarray(0, this.#offsetsLength);
  }

  get timesFile(): Buffer {
    return this.#times.subarray(0, this.#timesLength);
  }

  addOffset(lastOffset: number, position: number): void {
    this.#offsets = withRoom(this.#offsets, this.#offsetsLength, offsetEntryBytes);
    this.#offsets.writeInt32BE(lastOffset - this.#baseOffset, this.#offsetsLength);
    this.#offsets.writeInt32BE(position, this.#offsetsLength + 4);
    this.#offsetsLength += offsetEntryBytes;
  }

  /** Does nothing unless the timestamp is larger than all before, as Kafka's tools expect it. */
  addTime(timestampMs: number, lastOffset: number): void {
    const at = this.#timesLength;
    if (timestampMs <= (at === 0 ? -1 : this.#timestampAt(at - timeEntryBytes))) return;
    this.#times = withRoom(this.#times, at, timeEntryBytes);
    this.#times.writeBigInt64BE(BigInt(timestampMs), at);
    this.#times.writeInt32BE(lastOffset - this.#baseOffset, at + 8);
    this.#timesLength = at + timeEntryBytes;
  }

  /** Position of a batch at or before the one that holds the offset. */
  positionBefore(offset: number): number {
    const relative = offset - this.#baseOffset;
    const found = lastIndexWhere(
      this.#offsetsLength / offsetEntryBytes,
      (index) => this.#offsets.readInt32BE(index * offsetEntryBytes) <= relative,
    );
    return found < 0 ? 0 : this.#offsets.readInt32BE(found * offsetEntryBytes + 4);
  }

  /** An offset before which every timestamp is below `timestampMs`. */
  offsetBefore(timestampMs: number): number {
    const found = lastIndexWhere(
      this.#timesLength / timeEntryBytes,
      (index) => this.#timestampAt(index * timeEntryBytes) < timestampMs,
    );
    return this.#baseOffset + (found < 0 ? 0 : this.#times.readInt32BE(found * timeEntryBytes + 8));
  }

  #timestampAt(at: number): number {
    return Number(this.#times.readBigInt64BE(at));
  }
}

function withRoom(buffer: Buffer, length: number, bytes: number): Buffer {
  if (length + bytes <= buffer.length) return buffer;
  const larger = Buffer.allocUnsafe(Math.max(firstRoomBytes, buffer.length * 2));
  buffer.copy(larger, 0, 0, length);
  return larger;
}

/** The last of `count` indexes for which `holds` is true, of which there are none after the first that is false; -1: there is none. */
function lastIndexWhere(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
