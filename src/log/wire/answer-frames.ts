import type { Clock } from '../../kernel/clock.ts';
import { WireError } from '../../protocol/wire.ts';

/** One read of the socket takes so much, unless it goes into an answer of its own. */
const headBytesMax = 64 * 1024;
/** One answer that is being read while another is still looked at: more are not of use to one connection. */
const idleBuffersMax = 2;
const idleMs = 10_000;

/**
 * Buffers for large answers: a replay has thousands of several MiB each, and whoever allocates each anew spends more time in
 * the kernel's page faults than on the records. What is not given back is collected as garbage.
 */
export class AnswerMemory {
  readonly #clock: Clock;
  readonly #idle: Buffer[] = [];
  #cancelDrop: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get idleBuffers(): number {
    return this.#idle.length;
  }

  /** A buffer of `bytes` bytes whose content is undefined. */
  take(bytes: number): Buffer {
    const index = this.#idle.findIndex((buffer) => buffer.length >= bytes);
    if (index >= 0) return this.#idle.splice(index, 1)[0]!.subarray(0, bytes);
    // Answers to the same request differ a little in length, and the pages that are not written to take no memory.
    return Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(Math.max(bytes, headBytesMax)))).subarray(0, bytes);
  }

  /** Takes back what `take` gave, when nobody will look at it again. Once reading has caught up the memory is of no use any more. */
  give(buffer: Buffer): void {
    this.#cancelDrop();
    this.#idle.push(Buffer.from(buffer.buffer));
    if (this.#idle.length > idleBuffersMax) this.#idle.shift();
    this.#cancelDrop = this.#clock.after(idleMs, () => this.drop());
  }

  drop(): void {
    this.#cancelDrop();
    this.#idle.length = 0;
  }
}

/** An answer. */
export interface AnswerFrame {
  /** Without its length. */
  readonly bytes: Buffer;
  /** Of the connection's memory, to which it may be given back. */
  readonly isPooled: boolean;
}

/**
 * Puts the bytes of a connection together into answers: an int32 length, then so many bytes. The socket reads straight into
 * `room()`, which is the answer itself once its length is known: of a large answer only the first bytes are ever copied.
 */
export class AnswerFrames {
  readonly #answerBytesMax: number;
  readonly #memory: AnswerMemory;
  readonly #head = Buffer.allocUnsafeSlow(headBytesMax);
  /** Bytes in the head that wait for those behind them: never a whole length. */
  #headBytes = 0;
  #frame: Buffer | undefined;
  #frameBytes = 0;
  #isPooled = false;

  constructor(options: { readonly answerBytesMax: number; readonly memory: AnswerMemory }) {
    this.#answerBytesMax = options.answerBytesMax;
    this.#memory = options.memory;
  }

  /** Some of an answer is there, and not all of it. */
  get isWithinAnswer(): boolean {
    return this.#frame !== undefined || this.#headBytes > 0;
  }

  /** Where the next bytes go; never empty. */
  room(): Buffer {
    return this.#frame === undefined ? this.#head.subarray(this.#headBytes) : this.#frame.subarray(this.#frameBytes);
  }

  /**
   * So many bytes are in the room now. Answers the frames that are complete by them, in memory of their own. Throws a
   * `WireError` for a length that is not allowed, before any memory is taken for it: nothing after it can be trusted.
   */
  took(bytes: number): AnswerFrame[] {
    const complete: AnswerFrame[] = [];
    if (this.#frame !== undefined) {
      this.#frameBytes += bytes;
      if (this.#frameBytes === this.#frame.length) {
        complete.push({ bytes: this.#frame, isPooled: this.#isPooled });
        this.#frame = undefined;
      }
      return complete;
    }
    const end = this.#headBytes + bytes;
    let at = 0;
    while (end - at >= 4) {
      const length = this.#checked(this.#head.readInt32BE(at));
      at += 4;
      if (end - at < length) {
        this.#begin(length, at, end);
        return complete;
      }
      complete.push({ bytes: Buffer.from(this.#head.subarray(at, at + length)), isPooled: false });
      at += length;
    }
    this.#head.copy(this.#head, 0, at, end);
    this.#headBytes = end - at;
    return complete;
  }

  #begin(length: number, at: number, end: number): void {
    this.#isPooled = length > headBytesMax;
    this.#frame = this.#isPooled ? this.#memory.take(length) : Buffer.allocUnsafe(length);
    this.#head.copy(this.#frame, 0, at, end);
    this.#frameBytes = end - at;
    this.#headBytes = 0;
  }

  #checked(length: number): number {
    if (length >= 4 && length <= this.#answerBytesMax) return length;
    throw new WireError(`an answer of ${length} bytes is announced, and ${this.#answerBytesMax} are the limit`);
  }
}
