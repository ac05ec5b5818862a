import type { Socket } from 'node:net';
import { frameOverheadBytes, writeFrameHead } from './frames.ts';

const slabBytes = 65_536;
/** Less room than this at a slab's end is left alone. */
const usefulBytes = 1_024;

/** Writes values of one Avro type. avsc's types are encoders. */
export interface Encoder<T = unknown> {
  /** Answers where what it wrote ends, or, when there was no room for it, by how much the room fell short, below zero. */
  encode(value: T, buffer: Buffer, at: number): number;
}

/** Memory that connections write their messages into, one after the other; an idle one has none of its own. */
export class Slab {
  buffer: Buffer = Buffer.alloc(0);
  /** What is behind it nobody uses. */
  filled = 0;
}

/**
 * Messages on their way to a socket: written one behind the other, and sent together. A write of its own for each costs more
 * than everything else that a message takes. A series of `put` goes from `open` to `send` without anything else in between,
 * since connections share a slab.
 */
export class Outbox {
  readonly #socket: Socket;
  readonly #slab: Slab;
  /** Where in the slab begins what has not been sent. */
  #start = 0;

  constructor(socket: Socket, slab: Slab) {
    this.#socket = socket;
    this.#slab = slab;
    this.#start = slab.filled;
  }

  /** Bytes that the other side has not taken. Between `open` and `send`. */
  get waitingBytes(): number {
    return this.#slab.filled - this.#start + this.#socket.writableLength;
  }

  open(): void {
    this.#start = this.#slab.filled;
  }

  /** One message: the prefix, and behind it `value` by its type. Throws the encoder's error for a value that is not of the type. */
  put(serial: number, prefix: Buffer, type: Encoder, value: unknown): void {
    const before = frameOverheadBytes + prefix.length;
    const slab = this.#slab;
    this.#makeRoom(before + usefulBytes, before + slabBytes);
    let end = type.encode(value, slab.buffer, slab.filled + before);
    while (end < 0) {
      const needed = slab.buffer.length - slab.filled - end;
      this.#makeRoom(needed, needed);
      end = type.encode(value, slab.buffer, slab.filled + before);
    }
    writeFrameHead(slab.buffer, slab.filled, serial, end - slab.filled - frameOverheadBytes);
    prefix.copy(slab.buffer, slab.filled + frameOverheadBytes);
    slab.filled = end;
  }

  send(): void {
    const { buffer, filled } = this.#slab;
    if (filled > this.#start) this.#socket.write(buffer.subarray(this.#start, filled));
    this.#start = filled;
  }

  #makeRoom(needed: number, newBytes: number): void {
    const slab = this.#slab;
    if (slab.buffer.length - slab.filled >= needed) return;
    this.send();
    slab.buffer = Buffer.allocUnsafeSlow(newBytes);
    slab.filled = 0;
    this.#start = 0;
  }
}
