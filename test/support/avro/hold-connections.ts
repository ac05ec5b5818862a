import { connect, type Socket } from 'node:net';
import { Walk } from '../../../src/avro/wire/bounds.ts';
import { CheckedType } from '../../../src/avro/wire/checked-type.ts';
import type { GetParameters, ReadingData } from '../../../src/avro/wire/database-data.ts';
import { FrameReader, frameOverheadBytes, writeFrameHead } from '../../../src/avro/wire/frames.ts';
import { callMetadata, handshakeRequests, handshakeResponses } from '../../../src/avro/wire/handshake.ts';
import { ownProtocol } from '../../../src/avro/wire/protocol.ts';

/** A program, for `fork`: opens connections to a node's Avro socket, shakes hands on each and makes one call, then holds them. */
export interface HoldTask {
  readonly port: number;
  readonly connections: number;
  /** Of the first call on each connection. */
  readonly firstKeyBytes: number;
}

/** What it tells when all connections are held. */
export interface Held {
  readonly held: number;
}

/** Has it get the key on every connection that it holds. */
export interface AskAll {
  readonly key: string;
}

export interface AllAsked {
  /** How many connections brought the value, as text. */
  readonly answersByValue: Readonly<Record<string, number>>;
  /** Connections that have ended. */
  readonly lost: number;
}

/** A server's queue of connections that it has not taken yet is short. */
const openingMax = 200;
const protocol = ownProtocol('database.avpr');
const get = protocol.messages.get('get')!;
const readings = new CheckedType<ReadingData>(get.responseType);

class HeldConnection {
  readonly #socket: Socket;
  readonly #reader = new FrameReader(1_048_576);
  isLost = false;
  #resolve: (walk: Walk) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#reader.feed(chunk);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        this.#resolve(new Walk(frame.body, 0));
      }
    });
    this.#socket.on('error', (error) => this.#lose(error));
    this.#socket.on('close', () => this.#lose(new Error('the node closed the connection')));
  }

  async shakeHands(): Promise<void> {
    const request = { clientHash: protocol.hash, clientProtocol: null, serverHash: protocol.hash };
    // No metadata, and no message's name: there is no call behind it.
    const walk = await this.#ask(Buffer.concat([handshakeRequests.bytesOf(request), Buffer.from([0, 0])]));
    const { match } = handshakeResponses.read(walk);
    if (match !== 'BOTH') throw new Error(`the handshake ended in ${match}`);
  }

  /** The value as text; empty when there is none. */
  async get(key: string): Promise<string> {
    const parameters: GetParameters = { key: Buffer.from(key), consistency: 'LOCAL', positions: [] };
    const name = Buffer.from('get');
    const head = Buffer.from([0, 2 * name.length, ...name]);
    const walk = await this.#ask(Buffer.concat([head, get.requestType.toBuffer(parameters)]));
    callMetadata.pass(walk);
    if (walk.byte() !== 0) throw new Error('a call was answered with an error');
    return readings.read(walk).found?.value.toString() ?? '';
  }

  #ask(body: Buffer): Promise<Walk> {
    if (this.isLost) return Promise.reject(new Error('the connection has ended'));
    const head = Buffer.alloc(frameOverheadBytes);
    writeFrameHead(head, 0, 1, body.length);
    this.#socket.write(Buffer.concat([head, body]));
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  #lose(error: Error): void {
    this.isLost = true;
    this.#reject(error);
  }
}

const { port, connections, firstKeyBytes } = JSON.parse(process.argv[2]!) as HoldTask;
process.on('disconnect', () => process.exit());
const all: HeldConnection[] = [];
const open = async (): Promise<void> => {
  while (all.length < connections) {
    const connection = new HeldConnection(port);
    all.push(connection);
    await connection.shakeHands();
    await connection.get('k'.repeat(firstKeyBytes));
  }
};
process.on('message', ({ key }: AskAll) => {
  const answers = all.map((connection) => connection.get(key).catch(() => undefined));
  void Promise.all(answers).then((values) => {
    const answersByValue: Record<string, number> = {};
    for (const value of values) {
      if (value !== undefined) answersByValue[value] = (answersByValue[value] ?? 0) + 1;
    }
    const lost = all.filter(({ isLost }) => isLost).length;
    process.send!({ answersByValue, lost } satisfies AllAsked);
  });
});
await Promise.all(Array.from({ length: openingMax }, open));
process.send!({ held: all.filter(({ isLost }) => !isLost).length } satisfies Held);
