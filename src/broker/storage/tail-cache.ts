const chunkBytes = 128 * 1024;
const cacheBytesMax = 8 * chunkBytes;
/** So much appended without a reader, and there is none. */
const unreadBytesMax = 4 * cacheBytesMax;

interface Chunk {
  readonly buffer: Buffer;
  length: number;
  readonly firstOffset: number;
  /** Of each batch, in order. */
  readonly lastOffsets: number[];
  readonly ends: number[];
}

/** What all tails together take in memory; over the limit those are cleared first that were not read for longest. */
export class TailMemory {
  readonly #bytesMax: number;
  /** With their bytes, in the order of their last reads. */
  readonly #tails = new Map<TailCache, number>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  noteRead(tail: TailCache): void {
    const bytes = this.#tails.get(tail);
    if (bytes === undefined) return;
    this.#tails.delete(tail);
    this.#tails.set(tail, bytes);
  }

  /** The tail has so many bytes now. May clear any tail, this one too. */
  hold(tail: TailCache, bytes: number): void {
    this.#bytes += bytes - (this.#tails.get(tail) ?? 0);
    this.#tails.set(tail, bytes);
    for (const oldest of this.#tails.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      oldest.clear();
    }
  }

  release(tail: TailCache): void {
    this.#bytes -= this.#tails.get(tail) ?? 0;
    this.#tails.delete(tail);
  }
}

/** One for all partitions, since there may be thousands of them. */
export const tailMemory = new TailMemory(32 * 1024 * 1024);

/**
 * The last batches in memory, for those who read at the end of the log: about a megabyte, and only while somebody does. What was given
 * out stays as it is: chunks are filled once and then left to the garbage collector.
 */
export class TailCache {
  readonly #memory: TailMemory;
  #chunks: Chunk[] = [];
  #bytes = 0;
  #isWanted = false;
  #unreadBytes = 0;
  #wasReadSinceCheck = false;

  constructor(memory: TailMemory) {
    this.#memory = memory;
  }

  /** Somebody has read up to the end. */
  want(): void {
    this.#isWanted = true;
    this.#noteRead();
  }

  /** Takes a copy of a batch that was appended. */
  append(batch: Buffer, baseOffset: number, lastOffset: number): void {
    if (!this.#isWanted) return;
    this.#unreadBytes += batch.length;
    if (this.#unreadBytes > unreadBytesMax) {
      this.clear();
      return;
    }
    const chunk = this.#chunkFor(batch.length, baseOffset);
    batch.copy(chunk.buffer, chunk.length);
    chunk.length += batch.length;
    chunk.lastOffsets.push(lastOffset);
    chunk.ends.push(chunk.length);
  }

  /**
   * Whole batches from the one that holds `offset` up to, and not including, `endOffset`, as far as `maxBytes` goes; undefined: they
   * are not all here. `minOneBatch`: the first batch is given even when it alone is larger.
   */
  read(
    offset: number,
    endOffset: number,
    limits: { maxBytes: number; minOneBatch: boolean },
  ): { records: Buffer; nextOffset: number } | undefined {
    const first = this.#chunks.findLastIndex(({ firstOffset }) => firstOffset <= offset);
    if (first < 0) return undefined;
    this.#noteRead();
    const parts: Buffer[] = [];
    let bytes = 0;
    let nextOffset = offset;
    for (const chunk of this.#chunks.slice(first)) {
      const { lastOffsets, ends } = chunk;
      const from = lastOffsets.findIndex((last) => last >= offset);
      if (from < 0) return undefined;
      const start = from === 0 ? 0 : ends[from - 1]!;
      let end = start;
      let next = from;
      while (next < ends.length && lastOffsets[next]! < endOffset) {
        const isTooMuch = bytes + ends[next]! - start > limits.maxBytes;
        if (isTooMuch && !(limits.minOneBatch && bytes === 0 && next === from)) break;
        end = ends[next]!;
        nextOffset = lastOffsets[next]! + 1;
        next += 1;
      }
      if (end > start) parts.push(chunk.buffer.subarray(start, end));
      bytes += end - start;
      if (next < ends.length || bytes >= limits.maxBytes) break;
    }
    return { records: parts.length === 1 ? parts[0]! : Buffer.concat(parts), nextOffset };
  }

  /** Is called now and then: nothing is kept for readers that have gone. */
  check(): void {
    if (!this.#wasReadSinceCheck) this.clear();
    this.#wasReadSinceCheck = false;
  }

  clear(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.#isWanted = false;
    this.#unreadBytes = 0;
    this.#memory.release(this);
  }

  #noteRead(): void {
    this.#unreadBytes = 0;
    this.#wasReadSinceCheck = true;
    this.#memory.noteRead(this);
  }

  #chunkFor(bytes: number, baseOffset: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.buffer.length - last.length >= bytes) return last;
    const chunk: Chunk = {
      buffer: Buffer.allocUnsafeSlow(Math.max(chunkBytes, bytes)),
      length: 0,
      firstOffset: baseOffset,
      lastOffsets: [],
      ends: [],
    };
    this.#chunks.push(chunk);
    this.#bytes += chunk.buffer.length;
    while (this.#bytes > cacheBytesMax && this.#chunks.length > 1) this.#bytes -= this.#chunks.shift()!.buffer.length;
    this.#memory.hold(this, this.#bytes);
    return chunk;
  }
}
