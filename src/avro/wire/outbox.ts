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

/** What node:net has no public names for. */
type SocketWithHandle = Pick<Socket, 'writableLength'> & {
  readonly bytesWritten?: number;
  /** What has left the stream's queue for the handle's. */
  readonly _bytesDispatched?: number;
  readonly _handle?: { readonly writeQueueSize?: number } | null;
};

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
  /** Bytes given to the socket. */
  #sentBytes = 0;

  constructor(socket: Socket, slab: Slab) {
    this.#socket = socket;
    this.#slab = slab;
    this.#start = slab.filled;
  }

  /** Bytes that the other side has not taken. Between `open` and `send`. */
  get waitingBytes(): number {
    return this.#slab.filled - this.#start + this.#socket.writableLength;
  }

  /**
   * Bytes that the system has taken for the other side. `writableLength` falls only when all of a write has been taken, which
   * lasts minutes for a large one over a slow line: a socket's handle knows how much of it is left, and node:net's idle timer
   * looks there for the same reason. Streams without one count whole writes.
   */
  get takenBytes(): number {
    const { bytesWritten, _bytesDispatched, _handle, writableLength } = this.#socket as SocketWithHandle;
    if (_bytesDispatched === undefined || bytesWritten === undefined) return this.#sentBytes - writableLength;
    return this.#sentBytes - (bytesWritten - _bytesDispatched) - (_handle?.writeQueueSize ?? 0);
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
    if (filled === this.#start) return;
    const piece = buffer.subarray(this.#start, filled);
    this.#start = filled;
    this.#sentBytes += piece.length;
    // What waits keeps all of its slab: many small answers, each in a slab that others have filled, would keep as many slabs.
    const isWaste = this.#socket.writableLength > 0 && 2 * piece.length < buffer.length;
    this.#socket.write(isWaste ? copyOf(piece) : piece);
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

/** In memory of its own: Buffer's pool would be kept as the slab is. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
