import { connect, type Socket } from 'node:net';
import { framed } from './avro-bytes.ts';

export interface AnswerFrame {
  readonly serial: number;
  readonly body: Buffer;
}

/** A connection on which a test writes what it likes and reads answers frame by frame. */
export class AvroSocket {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #hasEnded = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#wake();
    });
    // A reset: whoever waits learns of it by the close.
    socket.on('error', () => {});
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#hasEnded = true;
        this.#wake();
      });
    }
  }

  static async open({ port }: { readonly port: number }): Promise<AvroSocket> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new AvroSocket(socket);
  }

  /** Bytes as they are. */
  send(...bytes: Uint8Array[]): void {
    this.#socket.write(Buffer.concat(bytes));
  }

  /** Resolves when the bytes have left this process. */
  async sent(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  /** A frame of one buffer. */
  ask(serial: number, ...body: Uint8Array[]): void {
    this.send(framed(serial, Buffer.concat(body)));
  }

  /** No more will be sent. */
  end(): void {
    this.#socket.end();
  }

  /** From now on what the server sends is not taken. */
  stopReading(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  /** Bytes that were received and are not part of a frame that was read. */
  get rest(): Buffer {
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The next frame, its buffers joined. Rejects when the connection ends before. */
  async answer(): Promise<AnswerFrame> {
    let at = 8;
    await this.#have(at);
    const serial = this.rest.readInt32BE(0);
    const buffers: Buffer[] = [];
    for (let left = this.rest.readInt32BE(4); left > 0; left -= 1) {
      await this.#have(at + 4);
      const length = this.rest.readInt32BE(at);
      await this.#have(at + 4 + length);
      buffers.push(this.rest.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.#chunks = [this.rest.subarray(at)];
    this.#bytes -= at;
    return { serial, body: Buffer.concat(buffers) };
  }

  /** Resolves when the server has closed its side. */
  async closed(): Promise<void> {
    while (!this.#hasEnded) await this.#event();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Ends the connection by an error rather than orderly. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  async #have(bytes: number): Promise<void> {
    while (this.#bytes < bytes) {
      if (this.#hasEnded) throw new Error(`the connection ended after ${this.rest.toString('hex').slice(0, 200)}`);
      await this.#event();
    }
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
