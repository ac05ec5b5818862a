/** What is wrong with bytes that came over a socket. After it nothing more of them can be understood. */
export class FrameError extends Error {
  /** Of the message that the fault is in, where so much of it could be read: it can be answered. */
  readonly serial: number | undefined;
  readonly reason: 'malformed' | 'too_large';

  constructor(reason: FrameError['reason'], message: string, serial?: number) {
    super(message);
    this.name = 'FrameError';
    this.reason = reason;
    this.serial = serial;
  }
}

export interface Frame {
  /** A signed 32-bit number of the client's choosing; the answer carries the same. */
  readonly serial: number;
  /** The message's buffers joined. A view of what `feed` was given, or a copy. */
  readonly body: Buffer;
}

/** Serial and buffer count, each a big-endian int32. */
const headBytes = 8;
const lengthBytes = 4;
/** Avro's own writers cut messages into buffers of 8 KiB. */
const smallestBuffers = 1024;
const firstBodyBytes = 4096;
const nothing: Buffer = Buffer.alloc(0);

/** Bytes of the framing around a message that is sent as one buffer. */
export const frameOverheadBytes = headBytes + lengthBytes;

/** Writes the framing of a message of `bodyBytes` bytes, to stand in front of it. `buffer` has `frameOverheadBytes` at `at`. */
export function writeFrameHead(buffer: Buffer, at: number, serial: number, bodyBytes: number): void {
  buffer.writeInt32BE(serial, at);
  buffer.writeInt32BE(1, at + 4);
  buffer.writeInt32BE(bodyBytes, at + headBytes);
}

/**
 * Takes Avro's Netty framing apart: `serial:int32 count:int32 (length:int32 byte*)*`, big-endian (Avro's NettyTransportCodec;
 * the specification does not have it). Bytes are fed as they come and frames are taken one at a time, so that whoever reads can
 * stop in between. Memory is taken for bytes that have come, never for bytes that are announced.
 */
export class FrameReader {
  readonly #bodyBytesMax: number;
  readonly #buffersMax: number;
  #input = nothing;
  #at = 0;
  /** The four bytes being read when they do not come at once. */
  #word = 0;
  #wordBytes = 0;
  #state: 'serial' | 'count' | 'length' | 'content' = 'serial';
  #isFirst = true;
  #serial = 0;
  #buffersLeft = 0;
  #contentLeft = 0;
  /** A body that came in parts: its first `#bodyBytes` are there. */
  #body: Buffer | undefined;
  #bodyBytes = 0;
  #bodyDue = 0;

  /** Messages of more than `bodyBytesMax` bytes are refused. */
  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#buffersMax = Math.ceil(bodyBytesMax / smallestBuffers) + 1;
  }

  /** Gives it what has come next. Everything fed before has been taken: `next` has answered undefined. */
  feed(chunk: Buffer): void {
    this.#input = chunk;
    this.#at = 0;
  }

  /** Whether a frame has begun that is not whole. */
  get isWithinFrame(): boolean {
    return this.#state !== 'serial' || this.#wordBytes > 0;
  }

  /** Memory held for the frame that is not whole. */
  get heldBytes(): number {
    return this.#body?.length ?? 0;
  }

  /** The next whole frame, or undefined when more bytes are needed. Throws a `FrameError`, and then is of no more use. */
  next(): Frame | undefined {
    for (;;) {
      if (this.#state === 'content') {
        if (!this.#takeContent()) return this.#letGo();
        this.#buffersLeft -= 1;
        if (this.#buffersLeft === 0) return this.#finish();
        this.#state = 'length';
        continue;
      }
      const word = this.#takeWord();
      if (word === undefined) return this.#letGo();
      switch (this.#state) {
        case 'serial':
          // Clients count up from 0, and below it again after 2^31 calls: who begins there does not speak Avro.
          if (this.#isFirst && word < 0) throw new FrameError('malformed', `a connection begins with serial ${word}`);
          this.#isFirst = false;
          this.#serial = word;
          this.#state = 'count';
          break;
        case 'count':
          this.#startMessage(word);
          this.#state = 'length';
          break;
        default:
          this.#startBuffer(word);
          this.#state = 'content';
      }
    }
  }

  /** All of the input has been taken. It would cost an idle connection 64 KiB to keep it. */
  #letGo(): undefined {
    this.#input = nothing;
    this.#at = 0;
  }

  #startMessage(count: number): void {
    if (count < 1 || count > this.#buffersMax) {
      throw new FrameError('malformed', `a message has 1 to ${this.#buffersMax} buffers, not ${count}`);
    }
    this.#buffersLeft = count;
    this.#bodyDue = 0;
  }

  #startBuffer(length: number): void {
    if (length < 0) throw new FrameError('malformed', `a buffer has ${length} bytes`);
    this.#bodyDue += length;
    if (this.#bodyDue > this.#bodyBytesMax) {
      throw new FrameError('too_large', `a message has at most ${this.#bodyBytesMax} bytes`, this.#serial);
    }
    this.#contentLeft = length;
  }

  /** Whether all of the buffer's content is here. */
  #takeContent(): boolean {
    const isWhole = this.#input.length - this.#at >= this.#contentLeft;
    // Nearly every message is one buffer that came whole: no copy.
    if (isWhole && this.#buffersLeft === 1 && this.#body === undefined) return true;
    const taken = Math.min(this.#contentLeft, this.#input.length - this.#at);
    if (taken > 0) this.#keep(this.#input.subarray(this.#at, this.#at + taken));
    this.#at += taken;
    this.#contentLeft -= taken;
    return isWhole;
  }

  #keep(bytes: Buffer): void {
    const needed = this.#bodyBytes + bytes.length;
    if (this.#body === undefined || this.#body.length < needed) {
      const grown = Buffer.allocUnsafe(
        Math.max(needed, Math.min(this.#bodyBytesMax, Math.max(2 * this.heldBytes, firstBodyBytes))),
      );
      this.#body?.copy(grown, 0, 0, this.#bodyBytes);
      this.#body = grown;
    }
    bytes.copy(this.#body, this.#bodyBytes);
    this.#bodyBytes = needed;
  }

  #finish(): Frame {
    this.#state = 'serial';
    const serial = this.#serial;
    if (this.#body === undefined) {
      const body = this.#input.subarray(this.#at, this.#at + this.#contentLeft);
      this.#at += this.#contentLeft;
      return { serial, body };
    }
    const body = this.#body.subarray(0, this.#bodyBytes);
    this.#body = undefined;
    this.#bodyBytes = 0;
    return { serial, body };
  }

  /** A big-endian int32, once its four bytes are here. */
  #takeWord(): number | undefined {
    const input = this.#input;
    if (this.#wordBytes === 0 && input.length - this.#at >= 4) {
      const word = input.readInt32BE(this.#at);
      this.#at += 4;
      return word;
    }
    while (this.#at < input.length) {
      this.#word = (this.#word << 8) | input[this.#at]!;
      this.#at += 1;
      this.#wordBytes += 1;
      if (this.#wordBytes === 4) {
        this.#wordBytes = 0;
        return this.#word;
      }
    }
    return undefined;
  }
}
