import { connect, type Socket } from 'node:net';
import avsc from 'avsc';
import { MalformedError, Walk } from '../avro/wire/bounds.ts';
import { CheckedType } from '../avro/wire/checked-type.ts';
import type { FailureData } from '../avro/wire/database-data.ts';
import { FrameReader } from '../avro/wire/frames.ts';
import { callMetadata, type HandshakeRequest, handshakeRequests, handshakeResponses } from '../avro/wire/handshake.ts';
import { Outbox, Slab } from '../avro/wire/outbox.ts';
import { foreignProtocol, ownProtocol, type Protocol } from '../avro/wire/protocol.ts';
import { ConnectionLostError, DatabaseError } from './errors.ts';

const own = ownProtocol('database.avpr');
const nothing = avsc.Type.forSchema('null');
/** No metadata and no message's name: a call that only shakes hands. */
const ping = Buffer.from([0, 0]);
/** What a node may answer: more than any node of today sends, and a bound. */
const answerBytesMax = 128 * 1024 * 1024;
const closedHere = 'the client closed the connection';

interface Answers {
  readonly responses: CheckedType<unknown>;
  readonly errors: CheckedType<unknown>;
}

interface Pending {
  readonly message: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** One connection to one node, with as many calls under way as there are. */
export class NodeConnection {
  /** Resolves with why, once the connection has ended. */
  readonly closed: Promise<ConnectionLostError>;
  readonly #socket: Socket;
  readonly #reader = new FrameReader(answerBytesMax);
  readonly #outbox: Outbox;
  readonly #prefixes = new Map<string, Buffer>();
  readonly #answers = new Map<string, Answers>();
  readonly #pending = new Map<number, Pending>();
  #server: Protocol = own;
  #serial = 0;
  #flushIsDue = false;
  #queued: { serial: number; message: string; parameters: unknown }[] = [];
  #shaking: { resolve(): void; request: HandshakeRequest } | undefined;
  #retiring = false;
  #lost: ConnectionLostError | undefined;
  #tellClosed: (error: ConnectionLostError) => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#outbox = new Outbox(socket, new Slab());
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#lose(error.message));
    socket.on('end', () => this.#lose('the node closed the connection'));
    socket.on('close', () => this.#lose('the connection ended'));
  }

  /** Connects and shakes hands. Rejects with a `ConnectionLostError`, or when `signal` aborts. */
  static async open(host: string, port: number, signal: AbortSignal): Promise<NodeConnection> {
    const socket = connect({ host, port, noDelay: true, keepAlive: true });
    const connection = new NodeConnection(socket);
    const giveUp = () => connection.#lose('it took too long to connect');
    signal.addEventListener('abort', giveUp);
    try {
      await connection.#shakeHands();
      return connection;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  get isOpen(): boolean {
    return this.#lost === undefined;
  }

  /** Rejects with a `DatabaseError` that the node gave, or a `ConnectionLostError`. `abandon` of the answer forgets the call. */
  call(message: string, parameters: unknown): { readonly answer: Promise<unknown>; abandon(error: unknown): void } {
    const serial = this.#nextSerial();
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#lost !== undefined) return reject(new ConnectionLostError(this.#lost.message, false));
      this.#pending.set(serial, { message, resolve, reject });
      this.#queued.push({ serial, message, parameters });
      this.#flushSoon();
    });
    return {
      answer,
      abandon: (error) => {
        this.#pending.get(serial)?.reject(error);
        this.#forget(serial);
      },
    };
  }

  /** Ends it once every call under way is answered or abandoned. */
  async retire(): Promise<void> {
    this.#retiring = true;
    this.#endIfRetired();
    await this.closed;
  }

  destroy(): void {
    this.#lose(closedHere);
  }

  #forget(serial: number): void {
    this.#pending.delete(serial);
    this.#endIfRetired();
  }

  #endIfRetired(): void {
    if (this.#retiring && this.#pending.size === 0) this.#lose(closedHere);
  }

  /** Serials of calls under way are not given again, should they ever come round. */
  #nextSerial(): number {
    do this.#serial = (this.#serial + 1) & 0x7fff_ffff;
    while (this.#pending.has(this.#serial));
    return this.#serial;
  }

  #shakeHands(): Promise<void> {
    const request = { clientHash: own.hash, clientProtocol: null, serverHash: own.hash };
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) return reject(this.#lost);
      this.closed.then(reject);
      this.#shaking = { resolve, request };
      this.#sendHandshake(request);
    });
  }

  #sendHandshake(request: HandshakeRequest): void {
    this.#outbox.open();
    this.#outbox.put(this.#nextSerial(), Buffer.concat([handshakeRequests.bytesOf(request), ping]), nothing, null);
    this.#outbox.send();
  }

  /** Calls of one turn leave together. */
  #flushSoon(): void {
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#flushIsDue = false;
    const queued = this.#queued;
    this.#queued = [];
    if (this.#lost !== undefined) return;
    this.#outbox.open();
    for (const { serial, message, parameters } of queued) {
      try {
        const { requestType } = own.messages.get(message)!;
        this.#outbox.put(serial, this.#prefixOf(message), requestType, parameters);
      } catch (error) {
        this.#pending.get(serial)?.reject(error);
        this.#forget(serial);
      }
    }
    this.#outbox.send();
  }

  #prefixOf(message: string): Buffer {
    let prefix = this.#prefixes.get(message);
    if (prefix === undefined) {
      prefix = Buffer.concat([Buffer.from([0]), avsc.Type.forSchema('string').toBuffer(message)]);
      this.#prefixes.set(message, prefix);
    }
    return prefix;
  }

  #take(chunk: Buffer): void {
    if (this.#lost !== undefined) return;
    this.#reader.feed(chunk);
    try {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        const walk = new Walk(frame.body, 0);
        if (this.#shaking !== undefined) this.#takeHandshake(walk);
        else this.#takeAnswer(frame.serial, walk);
        if (this.#lost !== undefined) return;
      }
    } catch (error) {
      this.#lose(`the node sent what makes no sense (${(error as Error).message})`);
    }
  }

  #takeHandshake(walk: Walk): void {
    const { resolve, request } = this.#shaking!;
    const { match, serverProtocol, serverHash } = handshakeResponses.read(walk);
    if (match === 'NONE') {
      if (request.clientProtocol !== null) throw new MalformedError('it does not take the protocol that it was sent');
      const again = { clientHash: own.hash, clientProtocol: own.text, serverHash: serverHash ?? own.hash };
      this.#shaking = { resolve, request: again };
      return this.#sendHandshake(again);
    }
    callMetadata.pass(walk);
    if (walk.byte() !== 0) throw new MalformedError('it answers a handshake with an error');
    if (serverProtocol !== null) this.#server = foreignProtocol(serverProtocol);
    this.#shaking = undefined;
    resolve();
  }

  #takeAnswer(serial: number, walk: Walk): void {
    const pending = this.#pending.get(serial);
    // Nobody waits for it any more.
    if (pending === undefined) return;
    callMetadata.pass(walk);
    const isError = walk.byte() !== 0;
    const { responses, errors } = this.#answersOf(pending.message);
    if (isError) pending.reject(errorOf(errors.read(walk)));
    else pending.resolve(responses.read(walk));
    this.#forget(serial);
  }

  #answersOf(message: string): Answers {
    let answers = this.#answers.get(message);
    if (answers === undefined) {
      const ours = own.messages.get(message)!;
      const theirs = this.#server.messages.get(message);
      // A node that does not know the message answers with a string, as every error union begins.
      answers = {
        responses: new CheckedType(ours.responseType, theirs?.responseType),
        errors: new CheckedType(ours.errorType, theirs?.errorType),
      };
      this.#answers.set(message, answers);
    }
    return answers;
  }

  #lose(why: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = new ConnectionLostError(why, true);
    const unsent = new Set(this.#queued.map(({ serial }) => serial));
    for (const [serial, { reject }] of this.#pending) reject(new ConnectionLostError(why, !unsent.has(serial)));
    this.#pending.clear();
    this.#socket.destroy();
    this.#tellClosed(this.#lost);
  }
}

/** What an answer's error union holds: a string for what no message declares. */
function errorOf(error: unknown): DatabaseError {
  if (typeof error === 'string') {
    const [, code, detail] = /^([a-z_]+): (.*)$/s.exec(error) ?? [];
    return new DatabaseError(code ?? 'internal', detail ?? error);
  }
  const { code, status, detail } = error as FailureData;
  return new DatabaseError(code, detail, status);
}
