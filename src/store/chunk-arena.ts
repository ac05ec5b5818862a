import { FatalError } from '../kernel/errors.ts';

/** Entries begin at multiples of this, so that 32 bits of reference reach 32 GiB. */
export const granuleBytes = 8;
const granuleBits = 3;
const firstChunkBytes = 64 * 1024;
/** Up to this length, copying word by word beats a call into V8 and the view that it needs. */
const wordCopyBytesMax = 192;

/** A piece of memory that is filled once, from front to back, and given up as a whole. */
export class Chunk {
  readonly bytes: Buffer;
  readonly view: DataView;
  end = 0;
  deadBytes = 0;
  isFree = false;

  constructor(memory: ArrayBuffer) {
    this.bytes = Buffer.from(memory);
    this.view = new DataView(memory);
  }

  get capacity(): number {
    return this.bytes.length;
  }
}

/** `bytes` and what it takes to the next place where an entry may begin. */
export function wholeGranules(bytes: number): number {
  return (bytes + granuleBytes - 1) & -granuleBytes;
}

/** Copies `length` bytes; the two places never lie in one chunk. */
export function copyBytes(to: Chunk, toStart: number, from: DataView, fromStart: number, length: number): void {
  if (length > wordCopyBytesMax) {
    to.bytes.set(new Uint8Array(from.buffer, from.byteOffset + fromStart, length), toStart);
    return;
  }
  const { view } = to;
  const wordsEnd = length & ~3;
  for (let i = 0; i < wordsEnd; i += 4) view.setInt32(toStart + i, from.getInt32(fromStart + i, true), true);
  for (let i = wordsEnd; i < length; i += 1) view.setUint8(toStart + i, from.getUint8(fromStart + i));
}

/**
 * Memory for entries, in chunks that are filled one after the other. A *reference* is the number of a granule, counted over
 * all chunks as if each had the full size; 0 is no reference. Nothing is overwritten: who gives up an entry says so with
 * `release`, and a chunk whose entries are all given up is free. Making it so for a chunk that is only mostly given up is
 * the compactor's business.
 */
export class ChunkArena {
  readonly chunkBytes: number;
  readonly #shift: number;
  readonly #mask: number;
  readonly #chunksMax: number;
  /** By number. Number 0 is never used, which makes 0 no reference. */
  #chunks: (Chunk | undefined)[] = [undefined];
  #freeNumbers: number[] = [];
  /** One full-sized piece of memory that was given up last: whoever writes and compacts goes round with it. */
  #spare: ArrayBuffer | undefined;
  #current: Chunk | undefined;
  #currentNumber = 0;
  #capacityBytes = 0;
  #usedBytes = 0;
  #deadBytes = 0;

  /** `chunkBytes` is a power of two. */
  constructor(chunkBytes: number) {
    this.chunkBytes = chunkBytes;
    this.#shift = Math.log2(chunkBytes) - granuleBits;
    this.#mask = chunkBytes / granuleBytes - 1;
    this.#chunksMax = 2 ** (32 - this.#shift);
  }

  /** Of all chunks, the spare one included. */
  get capacityBytes(): number {
    return this.#capacityBytes + (this.#spare?.byteLength ?? 0);
  }

  /** By entries, given up or not. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** By entries that were given up. */
  get deadBytes(): number {
    return this.#deadBytes;
  }

  chunkOf(reference: number): Chunk {
    return this.#chunks[reference >>> this.#shift]!;
  }

  positionOf(reference: number): number {
    return (reference & this.#mask) * granuleBytes;
  }

  /** Room for an entry of `bytes`, whole granules, whose reference this is. */
  reserve(bytes: number): number {
    if (bytes > this.chunkBytes) return this.#reserveAlone(bytes);
    let chunk = this.#current;
    if (chunk === undefined || chunk.end + bytes > chunk.capacity) chunk = this.#open(bytes);
    const reference = this.#currentNumber * (this.#mask + 1) + chunk.end / granuleBytes;
    chunk.end += bytes;
    this.#usedBytes += bytes;
    return reference;
  }

  /** Gives up the `bytes` of the entry at `reference`. */
  release(reference: number, bytes: number): void {
    const number = reference >>> this.#shift;
    const chunk = this.#chunks[number]!;
    chunk.deadBytes += bytes;
    this.#deadBytes += bytes;
    if (chunk.deadBytes === chunk.end && number !== this.#currentNumber) this.#free(number, chunk);
  }

  /** The number of the chunk, no longer being filled, of which the greatest part is given up; undefined: there is none. */
  mostlyDead(): number | undefined {
    let most: number | undefined;
    let mostPart = 0;
    for (let number = 1; number < this.#chunks.length; number += 1) {
      const chunk = this.#chunks[number];
      if (chunk === undefined || number === this.#currentNumber) continue;
      const part = chunk.deadBytes / chunk.end;
      if (part > mostPart) {
        most = number;
        mostPart = part;
      }
    }
    return most;
  }

  /** Every chunk's number is below this. */
  get chunkNumberEnd(): number {
    return this.#chunks.length;
  }

  /** undefined: no chunk has the number. */
  chunkNumbered(number: number): Chunk | undefined {
    return this.#chunks[number];
  }

  /** The reference of what begins at `position` in the chunk of that number. */
  referenceTo(number: number, position: number): number {
    return number * (this.#mask + 1) + position / granuleBytes;
  }

  clear(): void {
    this.#chunks = [undefined];
    this.#freeNumbers = [];
    this.#spare = undefined;
    this.#current = undefined;
    this.#currentNumber = 0;
    this.#capacityBytes = 0;
    this.#usedBytes = 0;
    this.#deadBytes = 0;
  }

  /** Chunks double up to their full size, so that a store with little in it is small. */
  #open(bytes: number): Chunk {
    const [fullNumber, full] = [this.#currentNumber, this.#current];
    let capacity = Math.min(this.chunkBytes, firstChunkBytes);
    while (capacity < this.chunkBytes && (capacity < this.#capacityBytes || capacity < bytes)) capacity *= 2;
    const chunk = new Chunk(this.#memory(capacity));
    this.#currentNumber = this.#add(chunk);
    this.#current = chunk;
    if (full !== undefined && full.deadBytes === full.end) this.#free(fullNumber, full);
    return chunk;
  }

  #memory(capacity: number): ArrayBuffer {
    const spare = this.#spare;
    if (spare?.byteLength !== capacity) return new ArrayBuffer(capacity);
    this.#spare = undefined;
    return spare;
  }

  /** A record that is larger than a chunk gets one of its own, which is free as soon as the record is given up. */
  #reserveAlone(bytes: number): number {
    const chunk = new Chunk(new ArrayBuffer(bytes));
    chunk.end = bytes;
    const number = this.#add(chunk);
    this.#usedBytes += bytes;
    return number * (this.#mask + 1);
  }

  #add(chunk: Chunk): number {
    const number = this.#freeNumbers.pop() ?? this.#chunks.length;
    if (number >= this.#chunksMax) {
      throw new FatalError(
        `the topic does not fit: a node holds ${((this.#chunksMax - 1) * this.chunkBytes) / 2 ** 30} GiB`,
      );
    }
    this.#chunks[number] = chunk;
    this.#capacityBytes += chunk.capacity;
    return number;
  }

  #free(number: number, chunk: Chunk): void {
    this.#capacityBytes -= chunk.capacity;
    this.#usedBytes -= chunk.end;
    this.#deadBytes -= chunk.deadBytes;
    this.#chunks[number] = undefined;
    this.#freeNumbers.push(number);
    chunk.isFree = true;
    if (chunk.capacity === this.chunkBytes) this.#spare ??= chunk.bytes.buffer as ArrayBuffer;
  }
}
