import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { includesVersion, type Message, type MessageInput, type MessageValue } from '../../../src/protocol/schema.ts';
import { WireReader, WireWriter } from '../../../src/protocol/wire.ts';

const apiVersionsKey = 18;

/** A request without the length before it. */
export function requestFrame<M extends Message>(
  message: M,
  value: MessageInput<M>,
  { version, correlationId = 1 }: { version: number; correlationId?: number },
): Buffer {
  const writer = new WireWriter();
  writer.int16(message.apiKey);
  writer.int16(version);
  writer.int32(correlationId);
  writer.int16(-1);
  if (includesVersion(message.flexible, version)) writer.uvarint(0);
  message.encode(writer, value as never, version);
  return writer.finish();
}

/** A frame as it goes over the wire. */
export function withLength(frame: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}

/** The body of a response, to its last byte. Throws a `WireError` for anything that is not one. */
export function readResponse<M extends Message>(message: M, frame: Buffer, version: number): MessageValue<M> {
  const reader = new WireReader(frame);
  reader.int32();
  if (message.apiKey !== apiVersionsKey && includesVersion(message.flexible, version)) {
    if (reader.uvarint() !== 0) throw new Error(`${message.name} has tags in its header, which Kafka has none of`);
  }
  return message.decode(frame.subarray(reader.at), version) as MessageValue<M>;
}

/** A connection that requests are written to as bytes, and that answers come from in their order. */
export class WireClient {
  readonly socket: Socket;
  readonly #frames: Buffer[] = [];
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** With fewer there is nothing to be done. */
  #neededBytes = 4;
  #isClosed = false;
  #wake: () => void = () => undefined;
  #correlationId = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  static async dial(port: number): Promise<WireClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new WireClient(socket);
  }

  send(frame: Buffer): void {
    this.socket.write(withLength(frame));
  }

  /** The next answer without its length; undefined: the connection has ended, or `patienceMs` have passed. */
  async next(patienceMs: number): Promise<Buffer | undefined> {
    if (this.#frames.length === 0 && !this.#isClosed) await this.#news(patienceMs);
    return this.#frames.shift();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Asks and waits for the answer. Rejects when there is none in `patienceMs`. */
  async ask<Q extends Message, S extends Message>(
    [request, response]: readonly [Q, S],
    value: MessageInput<Q>,
    { version, patienceMs = 20_000 }: { version: number; patienceMs?: number },
  ): Promise<MessageValue<S>> {
    this.#correlationId += 1;
    this.send(requestFrame(request, value, { version, correlationId: this.#correlationId }));
    const frame = await this.next(patienceMs);
    if (frame === undefined) {
      throw new Error(
        `${request.name}: ${this.#isClosed ? 'the connection ended' : `nothing within ${patienceMs} ms`}`,
      );
    }
    if (frame.readInt32BE(0) !== this.#correlationId)
      throw new Error(`${request.name}: the answer is to another request`);
    return readResponse(response, frame, version);
  }

  end(): void {
    this.socket.destroy();
  }

  async #news(patienceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, patienceMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    // Put together once a frame is whole: some are large.
    while (this.#heldBytes >= this.#neededBytes) {
      const held = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      const end = 4 + (held.length < 4 ? 0 : held.readInt32BE(0));
      if (end < 4) {
        this.socket.destroy();
        return;
      }
      const isWhole = held.length >= end;
      if (isWhole) this.#frames.push(held.subarray(4, end));
      this.#chunks = [isWhole ? held.subarray(end) : held];
      this.#heldBytes = this.#chunks[0]!.length;
      this.#neededBytes = isWhole ? 4 : end;
    }
    if (this.#frames.length > 0) this.#wake();
  }
}
