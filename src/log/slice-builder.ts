import type { RecordHeaders, RecordSlices } from './log.ts';

const capacityMax = 4096;

/**
 * Fills the columns of `RecordSlices` from records that are already views into one memory block. The arrays are made once
 * and used for every batch.
 */
export class SliceBuilder {
  readonly #offsets = new Float64Array(capacityMax);
  readonly #timestampsMs = new Float64Array(capacityMax);
  readonly #keyStarts = new Float64Array(capacityMax);
  readonly #keyLengths = new Int32Array(capacityMax);
  readonly #valueStarts = new Float64Array(capacityMax);
  readonly #valueLengths = new Int32Array(capacityMax);
  #headers: Map<number, RecordHeaders> | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #block: ArrayBufferLike = this.#buffer.buffer;
  #partition = 0;
  #count = 0;

  /** Begins a batch over the memory block that `slice` is a view of. */
  start(partition: number, slice: Buffer | null): void {
    this.#partition = partition;
    this.#count = 0;
    this.#headers = undefined;
    this.#block = slice?.buffer ?? this.#block;
    this.#buffer = Buffer.from(this.#block);
  }

  /** Whether the batch has room, and `slice` lies in its memory block. */
  takes(slice: Buffer | null): boolean {
    return this.#count < capacityMax && (slice === null || slice.buffer === this.#block);
  }

  get count(): number {
    return this.#count;
  }

  add(
    offset: number,
    timestampMs: number,
    key: Buffer | null,
    value: Buffer | null,
    headers: RecordHeaders | undefined,
  ): void {
    const i = this.#count;
    this.#count = i + 1;
    this.#offsets[i] = offset;
    this.#timestampsMs[i] = timestampMs;
    this.#keyStarts[i] = key === null ? 0 : key.byteOffset;
    this.#keyLengths[i] = key === null ? -1 : key.length;
    this.#valueStarts[i] = value === null ? 0 : value.byteOffset;
    this.#valueLengths[i] = value === null ? -1 : value.length;
    if (headers !== undefined) {
      this.#headers ??= new Map();
      this.#headers.set(i, headers);
    }
  }

  finish(nextOffset: number, leaderEpoch: number): RecordSlices {
    return {
      partition: this.#partition,
      count: this.#count,
      buffer: this.#buffer,
      offsets: this.#offsets,
      timestampsMs: this.#timestampsMs,
      keyStarts: this.#keyStarts,
      keyLengths: this.#keyLengths,
      valueStarts: this.#valueStarts,
      valueLengths: this.#valueLengths,
      headers: this.#headers,
      nextOffset,
      leaderEpoch,
    };
  }
}
