import { createHash } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import avsc, { type Type } from 'avsc';
import { Walk } from '../../../src/avro/wire/bounds.ts';
import { CheckedType } from '../../../src/avro/wire/checked-type.ts';
import { FrameReader } from '../../../src/avro/wire/frames.ts';
import {
  callMetadata,
  type HandshakeRequest,
  type HandshakeResponse,
  handshakeRequests,
  handshakeResponses,
} from '../../../src/avro/wire/handshake.ts';
import { foreignProtocol, type MessageTypes, ownProtocol, type Protocol } from '../../../src/avro/wire/protocol.ts';

export const database = ownProtocol('database.avpr');
const text = new CheckedType<string>(avsc.Type.forSchema('string'));

/** The protocol of a node of another version: ours, changed. */
// biome-ignore lint/suspicious/noExplicitAny: a protocol is JSON of any shape.
export function otherProtocol(change: (json: any) => void): Protocol {
  const json = JSON.parse(database.text);
  change(json);
  const text = JSON.stringify(json);
  // Its own, so with the defaults, which nobody else's have a use for.
  const messages = avsc.Service.forProtocol(json).messages as readonly MessageTypes[];
  const hash = createHash('md5').update(text).digest();
  return { name: database.name, text, hash, messages: new Map(messages.map((message) => [message.name, message])) };
}

/** A message around `body` in Avro's Netty framing. */
export function framed(serial: number, body: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeInt32BE(serial, 0);
  head.writeInt32BE(1, 4);
  head.writeInt32BE(body.length, 8);
  return Buffer.concat([head, body]);
}

/** A call as a scripted node got it. */
export class ScriptedCall {
  readonly socket: Socket;
  readonly serial: number;
  readonly message: string;
  // biome-ignore lint/suspicious/noExplicitAny: each message has its own.
  readonly parameters: any;
  readonly #protocol: Protocol;

  constructor(socket: Socket, serial: number, message: string, parameters: unknown, protocol: Protocol) {
    this.socket = socket;
    this.serial = serial;
    this.message = message;
    this.parameters = parameters;
    this.#protocol = protocol;
  }

  /** The key or value in text. */
  get key(): string {
    return this.parameters.key.toString();
  }

  get value(): string {
    return this.parameters.value.toString();
  }

  answer(value: unknown): void {
    this.#send(0, this.#protocol.messages.get(this.message)!.responseType, value);
  }

  written(offset = 0, partition = 0): void {
    this.answer({ partition, offset, timestampMs: 1, applied: true });
  }

  reading(value: string | null, { partition = 0, position = 1 } = {}): void {
    const found = {
      value: Buffer.from(value ?? ''),
      partition,
      offset: 0,
      timestampMs: 1,
      expiresAtMs: null,
      contentType: null,
    };
    this.answer({ found: value === null ? null : found, source: 'LOG', partition, position });
  }

  fail(code: string, status: number, detail = 'as the test has it'): void {
    this.failWith({ code, status, detail });
  }

  failWith(error: unknown): void {
    this.#send(1, this.#protocol.messages.get(this.message)!.errorType, error);
  }

  #send(flag: number, type: Type, value: unknown): void {
    this.socket.write(framed(this.serial, Buffer.concat([Buffer.from([0, flag]), type.toBuffer(value)])));
  }
}

/** Something that listens where a node should be, and does with each call what a test says. */
export class ScriptedNode {
  protocol = database;
  /** Called for each connection; false: what comes on it is nobody's business. */
  onConnection: (socket: Socket) => boolean = () => true;
  onHandshake: (request: HandshakeRequest) => HandshakeResponse = ({ serverHash }) =>
    serverHash.equals(this.protocol.hash)
      ? { match: 'BOTH', serverProtocol: null, serverHash: null }
      : { match: 'CLIENT', serverProtocol: this.protocol.text, serverHash: this.protocol.hash };
  onCall: (call: ScriptedCall) => void = () => {};
  answersPings = true;
  readonly calls: ScriptedCall[] = [];
  pings = 0;
  connections = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #port = 0;

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#take(socket));
  }

  static async start(host = '127.0.0.1'): Promise<ScriptedNode> {
    const node = new ScriptedNode();
    await node.listen(host);
    return node;
  }

  /** Listens, again at the same port where it has before. */
  async listen(host = '127.0.0.1'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, host, resolve);
    });
    this.#port = (this.#server.address() as { port: number }).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get port(): number {
    return this.#port;
  }

  get open(): number {
    return this.#open.size;
  }

  /** Ends every connection, as a process that is killed does. */
  drop(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async stop(): Promise<void> {
    this.drop();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** The calls once there are so many of them. */
  async called(count: number): Promise<readonly ScriptedCall[]> {
    while (this.calls.length < count) await sleep(2);
    return this.calls;
  }

  #take(socket: Socket): void {
    this.connections += 1;
    this.#open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#open.delete(socket));
    if (!this.onConnection(socket)) return void socket.resume();
    const reader = new FrameReader(256 * 1024 * 1024);
    let client: Protocol | undefined;
    socket.on('data', (chunk: Buffer) => {
      reader.feed(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        const { serial, body } = frame;
        const walk = new Walk(body, 0);
        let head = Buffer.alloc(0);
        if (client === undefined) {
          const request = handshakeRequests.read(walk);
          const response = this.onHandshake(request);
          head = Buffer.from(handshakeResponses.bytesOf(response));
          if (response.match === 'NONE') {
            socket.write(framed(serial, head));
            continue;
          }
          client = request.clientProtocol === null ? database : foreignProtocol(request.clientProtocol);
        }
        callMetadata.pass(walk);
        const message = text.read(walk);
        if (message === '') {
          if (head.length === 0) this.pings += 1;
          if (head.length > 0 || this.answersPings)
            socket.write(framed(serial, Buffer.concat([head, Buffer.from([0, 0])])));
          continue;
        }
        const ours = this.protocol.messages.get(message)!;
        const parameters = new CheckedType<unknown>(ours.requestType, database.messages.get(message)!.requestType).read(
          walk,
        );
        const call = new ScriptedCall(socket, serial, message, parameters, this.protocol);
        this.calls.push(call);
        this.onCall(call);
      }
    });
  }
}
