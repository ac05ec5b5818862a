import { connect, type Socket } from 'node:net';
import avsc, { type Type } from 'avsc';
import { MalformedError, Walk } from '../avro/wire/bounds.ts';
import { CheckedType } from '../avro/wire/checked-type.ts';
import { FrameReader } from '../avro/wire/frames.ts';
import { callMetadata, type HandshakeRequest, handshakeRequests, handshakeResponses } from '../avro/wire/handshake.ts';
import { Outbox, Slab } from '../avro/wire/outbox.ts';
import { foreignProtocol, ownProtocol, type Protocol } from '../avro/wire/protocol.ts';
import { systemClock } from '../kernel/clock.ts';
import { errorTable } from '../kernel/errors.ts';
import type { Call } from './call.ts';
import type { CallLine } from './call-line.ts';
import { ConnectionLostError, DatabaseError } from './errors.ts';
import { PendingCalls, pendingCallsMax } from './pending-calls.ts';

const own = ownProtocol('database.avpr');
const nothing = avsc.Type.forSchema('null');
const text = avsc.Type.forSchema('string');
const pingTypes: Types = {
  prefix: Buffer.from([0, 0]),
  requestType: nothing,
  responses: new CheckedType(nothing),
  errors: new CheckedType<unknown>(avsc.Type.forSchema(['string'])),
};
/** What a node may answer: more than any node of today sends, and a bound. */
const answerBytesMax = 128 * 1024 * 1024;
const callBytesMax = 16 * 1024 * 1024;
/** Bytes that the socket has not taken. What waits in front of them is known not to have been sent. */
const unsentBytesMax = 256 * 1024;
const quietLooksMax = 3;
const closedHere = 'the client closed the connection';

interface Types {
  /** No metadata, and the message's name. */
  readonly prefix: Buffer;
  readonly requestType: Type;
  readonly responses: CheckedType<unknown>;
  readonly errors: CheckedType<unknown>;
}

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
  /** How often a node that owes an answer is looked at; when nothing has come of it three times, it is silent. */
  readonly lookEveryMs: number;
}

/** What its user is told. Each call that it has taken is told of once. */
export interface ConnectionEvents {
  answered(node: NodeConnection, call: Call, value: unknown): void;
  /** By the node, or before the call was sent. */
  failed(node: NodeConnection, call: Call, error: unknown): void;
  /** It has ended, and these were not answered. */
  lost(node: NodeConnection, calls: readonly Call[], error: ConnectionLostError): void;
  /** For a while nothing has come of the node, not even an answer to a ping. It may come back. */
  silent(node: NodeConnection): void;
  /** There may be room for more calls. */
  room(node: NodeConnection): void;
}

/** One connection to one node, with many calls under way at one time. */
export class NodeConnection {
  /** Resolves when the socket is gone. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #lookEveryMs: number;
  readonly #reader = new FrameReader(answerBytesMax);
  readonly #outbox: Outbox;
  readonly #types = new Map<string, Types>();
  readonly #pending = new PendingCalls();
  #pendingBytes = 0;
  #server: Protocol = own;
  #shaking: { settle(error?: Error): void; serial: number; request: HandshakeRequest } | undefined;
  #retiring = false;
  #lost: ConnectionLostError | undefined;
  #usedMs = systemClock.monotonicMs();
  #cancelLook: (() => void) | undefined;
  #quietLooks = 0;
  #readAtLook = 0;
  #flushedAtLook = 0;
  #hadBacklogAtLook = false;

  private constructor({ host, port, lookEveryMs }: NodeAddress, events: ConnectionEvents) {
    const socket = connect({ host, port, noDelay: true, keepAlive: true });
    this.#socket = socket;
    this.#events = events;
    this.#lookEveryMs = lookEveryMs;
    this.#outbox = new Outbox(socket, new Slab());
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()));
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('drain', () => this.#events.room(this));
    socket.on('error', (error) => this.#lose(reasonOf(error)));
    socket.on('end', () => this.#lose('the node closed the connection'));
    socket.on('close', () => this.#lose('the connection ended'));
  }

  /** Connects and shakes hands. Rejects with a `ConnectionLostError`, also when `signal` aborts. */
  static async open(address: NodeAddress, signal: AbortSignal, events: ConnectionEvents): Promise<NodeConnection> {
    const connection = new NodeConnection(address, events);
    const giveUp = () => connection.#lose('it took too long to connect');
    signal.addEventListener('abort', giveUp);
    try {
      if (signal.aborted) giveUp();
      await connection.#shakeHands();
      return connection;
    } catch (error) {
      await connection.closed;
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  get isOpen(): boolean {
    return this.#lost === undefined;
  }

  /** How long it has had nothing to do. */
  get idleMs(): number {
    return this.#pending.size > 0 ? 0 : systemClock.monotonicMs() - this.#usedMs;
  }

  /**
   * Sends as many of the calls as there is room for, from the first on, but for those that have to wait, and takes them out of
   * the set. Answers how many bytes they have.
   */
  sendFrom(calls: CallLine, hasToWait: (call: Call) => boolean): number {
    let bytes = 0;
    this.#outbox.open();
    for (const call of calls) {
      if (!this.#hasRoom()) break;
      if (hasToWait(call)) continue;
      calls.delete(call.waitingPlace!);
      call.waitingPlace = undefined;
      bytes += call.question.bytes;
      this.#put(call);
    }
    this.#outbox.send();
    this.#usedMs = systemClock.monotonicMs();
    this.#watch();
    return bytes;
  }

  /** The call's answer is not wanted any more. */
  forget(call: Call): void {
    this.#remove(call);
    this.#endIfRetired();
  }

  /** The calls that it owes an answer to. */
  get pending(): readonly Call[] {
    return this.#pending.calls;
  }

  /** Ends it once every call under way is answered or forgotten. */
  retire(): void {
    this.#retiring = true;
    this.#endIfRetired();
  }

  destroy(): void {
    this.#lose(closedHere);
  }

  #hasRoom(): boolean {
    return (
      this.#lost === undefined &&
      this.#pending.size < pendingCallsMax &&
      this.#pendingBytes < callBytesMax &&
      this.#outbox.waitingBytes < unsentBytesMax
    );
  }

  #put(call: Call): void {
    try {
      const { prefix, requestType } = this.#typesOf(call.question.message);
      const serial = this.#pending.nextSerial();
      this.#outbox.put(serial, prefix, requestType, call.question.parameters());
      this.#pending.add(serial, call);
      call.sent = { node: this, serial };
      this.#pendingBytes += call.question.bytes;
    } catch (error) {
      // Not at once: whoever hands over calls is not told of them meanwhile.
      queueMicrotask(() => this.#events.failed(this, call, error));
    }
  }

  #remove(call: Call): void {
    if (!this.#pending.delete(call.sent!.serial)) return;
    this.#pendingBytes -= call.question.bytes;
  }

  #endIfRetired(): void {
    if (this.#retiring && this.#pending.size === 0) this.#lose(closedHere);
  }

  #shakeHands(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) return reject(this.#lost);
      const settle = (error?: Error) => {
        this.#shaking = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#offer({ clientHash: own.hash, clientProtocol: null, serverHash: own.hash }, settle);
    });
  }

  #offer(request: HandshakeRequest, settle: (error?: Error) => void): void {
    const serial = this.#pending.nextSerial();
    this.#shaking = { settle, serial, request };
    this.#outbox.open();
    this.#outbox.put(serial, Buffer.concat([handshakeRequests.bytesOf(request), pingTypes.prefix]), nothing, null);
    this.#outbox.send();
  }

  #take(chunk: Buffer): void {
    if (this.#lost !== undefined) return;
    this.#reader.feed(chunk);
    try {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        const walk = new Walk(frame.body, 0);
        if (this.#shaking !== undefined) this.#takeHandshake(frame.serial, walk);
        else this.#takeAnswer(frame.serial, walk);
        if (this.#lost !== undefined) return;
      }
    } catch (error) {
      this.#lose(`the node sent what makes no sense (${(error as Error).message})`);
      return;
    }
    this.#usedMs = systemClock.monotonicMs();
    this.#events.room(this);
    this.#endIfRetired();
  }

  #takeHandshake(serial: number, walk: Walk): void {
    const { settle, serial: expected, request } = this.#shaking!;
    if (serial !== expected) throw new MalformedError('it answers what it was not asked');
    const { match, serverProtocol, serverHash } = handshakeResponses.read(walk);
    if (match === 'NONE') {
      if (request.clientProtocol !== null) throw new MalformedError('it does not take the protocol that it was sent');
      // Told its own hash, the node has no reason to send its protocol once more.
      if (serverProtocol !== null) this.#server = foreignProtocol(serverProtocol);
      const hash = serverProtocol === null ? own.hash : (serverHash ?? own.hash);
      this.#offer({ clientHash: own.hash, clientProtocol: own.text, serverHash: hash }, settle);
      return;
    }
    callMetadata.pass(walk);
    if (walk.byte() !== 0) throw new MalformedError('it answers a handshake with an error');
    if (serverProtocol !== null) this.#server = foreignProtocol(serverProtocol);
    else if (match === 'CLIENT') throw new MalformedError('it keeps its protocol to itself');
    settle();
  }

  #takeAnswer(serial: number, walk: Walk): void {
    const call = this.#pending.get(serial);
    // Of a ping, or of what nobody waits for any more.
    if (call === undefined) return;
    callMetadata.pass(walk);
    const isError = walk.byte() !== 0;
    const { responses, errors } = this.#typesOf(call.question.message);
    const value = (isError ? errors : responses).read(walk);
    if (walk.at !== walk.bytes.length) throw new MalformedError('bytes follow an answer');
    this.#remove(call);
    if (isError) this.#events.failed(this, call, errorOf(value));
    else this.#events.answered(this, call, value);
  }

  /** Throws a `DatabaseError` when the node does not know the message, or answers it as the client could not read. */
  #typesOf(message: string): Types {
    if (message === '') return pingTypes;
    const known = this.#types.get(message);
    if (known !== undefined) return known;
    const [ours, theirs] = [own.messages.get(message)!, this.#server.messages.get(message)];
    if (theirs === undefined) throw unlike(message, 'it has none of that name');
    let responses: CheckedType<unknown>;
    try {
      responses = new CheckedType(ours.responseType, theirs.responseType);
    } catch (error) {
      throw unlike(message, (error as Error).message.slice(0, 200));
    }
    const prefix = Buffer.concat([Buffer.from([0]), text.toBuffer(message)]);
    // Errors that other versions have beside ours are made sense of by what they carry.
    const types = { prefix, requestType: ours.requestType, responses, errors: new CheckedType(theirs.errorType) };
    this.#types.set(message, types);
    return types;
  }

  /** Looks at the node while it owes answers. */
  #watch(): void {
    if (this.#cancelLook !== undefined || this.#lost !== undefined) return;
    this.#quietLooks = 0;
    this.#readAtLook = this.#socket.bytesRead;
    this.#hadBacklogAtLook = false;
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancelLook = systemClock.after(this.#lookEveryMs, () => {
      this.#cancelLook = undefined;
      if (this.#pending.size === 0) return;
      this.#look();
      if (this.#lost === undefined) this.#lookLater();
    });
  }

  /**
   * A call may take long where nothing is wrong, and a process that hangs keeps its connections: a ping tells them apart. Looks
   * are counted, not timed: a program that was busy itself takes one look before it reads what has come meanwhile.
   */
  #look(): void {
    const { bytesRead, bytesWritten, writableLength } = this.#socket;
    const flushed = bytesWritten - writableLength;
    // What the kernel takes is no sign of life, unless it had no room before.
    const isAlive = bytesRead !== this.#readAtLook || (this.#hadBacklogAtLook && flushed > this.#flushedAtLook);
    this.#quietLooks = isAlive ? 0 : this.#quietLooks + 1;
    this.#readAtLook = bytesRead;
    this.#flushedAtLook = flushed;
    this.#hadBacklogAtLook = writableLength > 0;
    if (!isAlive && writableLength === 0) {
      this.#outbox.open();
      this.#outbox.put(this.#pending.nextSerial(), pingTypes.prefix, nothing, null);
      this.#outbox.send();
    }
    if (this.#quietLooks === quietLooksMax) this.#events.silent(this);
  }

  #lose(why: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = new ConnectionLostError(why);
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#socket.destroy();
    const { calls } = this.#pending;
    this.#pending.clear();
    this.#pendingBytes = 0;
    if (this.#shaking !== undefined) this.#shaking.settle(this.#lost);
    else this.#events.lost(this, calls, this.#lost);
  }
}

function unlike(message: string, why: string): DatabaseError {
  return new DatabaseError('message_unknown', `The node's protocol does not fit the client's ${message}: ${why}.`, 404);
}

/** Every address that a name stands for has its own error, and the one around them says nothing. */
function reasonOf(error: Error): string {
  const [first] = error instanceof AggregateError ? (error.errors as Error[]) : [];
  return first?.message ?? error.message;
}

/** What an answer's error union holds: a string for what no message declares. */
function errorOf(error: unknown): DatabaseError {
  if (typeof error === 'string') return errorOfText(error);
  if (typeof (error as { string?: unknown }).string === 'string')
    return errorOfText((error as { string: string }).string);
  const { code, status, detail } = failureIn(error);
  if (typeof code !== 'string' || typeof status !== 'number') {
    return new DatabaseError(
      'internal',
      'The node answered with an error that this version of the client does not know.',
      500,
    );
  }
  return new DatabaseError(code, String(detail), status);
}

function errorOfText(text: string): DatabaseError {
  const [, code, detail] = /^([a-z_]+): (.*)$/s.exec(text) ?? [];
  if (code === undefined) return new DatabaseError('internal', text, 500);
  return new DatabaseError(
    code,
    detail!,
    Object.hasOwn(errorTable, code) ? errorTable[code as keyof typeof errorTable].status : 500,
  );
}

/** avsc puts the branches of a union that has several records into objects under their names. */
function failureIn(error: unknown): { readonly [field: string]: unknown } {
  const fields = error as Record<string, unknown>;
  const [branch, ...others] = Object.values(fields);
  return typeof branch === 'object' && branch !== null && others.length === 0 ? { ...branch } : fields;
}
