/** Less is allocated as it comes. */
const pooledBytesMin = 64 * 1024;
/** More is rare, and would keep much memory from others. */
const pooledBytesMax = 4 * 1024 * 1024;

/**
 * Buffers for the records of answers. They are outside of the heap of JavaScript, and each that is left to the garbage collector brings its
 * next run nearer: without a pool, readers of old records keep it busy. A buffer that is never given back is collected like any other.
 */
export class BufferPool {
  readonly #idleBytesMax: number;
  /** By size, a power of two. */
  readonly #idle = new Map<number, Buffer[]>();
  #idleBytes = 0;

  constructor(idleBytesMax: number) {
    this.#idleBytesMax = idleBytesMax;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of `bytes` bytes whose content is undefined. */
  take(bytes: number): Buffer {
    if (bytes < pooledBytesMin || bytes > pooledBytesMax) return Buffer.allocUnsafe(bytes);
    const size = 2 ** Math.ceil(Math.log2(bytes));
    const idle = this.#idle.get(size)?.pop();
    if (idle !== undefined) this.#idleBytes -= size;
    return (idle ?? Buffer.allocUnsafeSlow(size)).subarray(0, bytes);
  }

  /** Takes back what `take` gave, when nobody will look at it again. */
  give(buffer: Buffer): void {
    const size = buffer.buffer.byteLength;
    if (buffer.length < pooledBytesMin || buffer.length > pooledBytesMax) return;
    if (this.#idleBytes + size > this.#idleBytesMax) return;
    const whole = Buffer.from(buffer.buffer);
    const idle = this.#idle.get(size);
    if (idle === undefined) this.#idle.set(size, [whole]);
    else idle.push(whole);
    this.#idleBytes += size;
  }
}
