import type { Socket } from 'node:net';
import avsc from 'avsc';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/logger.ts';
import { Begun, type Call, type Calls } from './calls.ts';
import type { Handshakes } from './handshakes.ts';
import type { CallMetrics, CloseReason } from './metrics.ts';
import { MalformedError, SchemaRefusedError, Walk } from './wire/bounds.ts';
import { type Frame, FrameError, FrameReader } from './wire/frames.ts';
import { callMetadata, handshakeRequests, handshakeResponses } from './wire/handshake.ts';
import { Outbox, type Slab } from './wire/outbox.ts';

export interface ConnectionLimits {
  readonly messageBytesMax: number;
  /** Calls of one connection that are being carried out, and the bytes of their requests. */
  readonly callsMax: number;
  /** A value within a request counts as `bytesOfValue` more: a key of one byte that waits for a position takes as much, and more. */
  readonly callBytesMax: number;
  /** Answers that wait for the client to take them; it is not read from meanwhile. */
  readonly answerBytesMax: number;
  /** From the connection to the end of its handshake. */
  readonly handshakeTimeoutMs: number;
  /** From the first byte of a message to its last, and for a client to take some of what waits for it. */
  readonly messageTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** What all connections together hold of what has come. */
export interface HeldMemory {
  /** Of messages of which a part has come. Above `bytesMax` the connection that holds most of it is closed. */
  bytes: number;
  readonly bytesMax: number;
  /** Of requests that are being carried out. From `callBytesMax` on no connection takes a call. */
  callBytes: number;
  readonly callBytesMax: number;
  readonly connections: ReadonlySet<Connection>;
}

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly handshakes: Handshakes;
  readonly limits: ConnectionLimits;
  readonly held: HeldMemory;
  readonly slab: Slab;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CallMetrics;
}

interface Finished {
  readonly serial: number;
  readonly handshake: Buffer | undefined;
  readonly call: Call;
  readonly requestBytes: number;
  readonly value: unknown;
  readonly error: unknown;
}

/** How long what a client still sends is thrown away after the last answer, so that it reads that before a reset. */
const lingerMs = 1_000;
/** A client that has sent nothing for so long, while the node drains, has nothing on its way. */
const quietMs = 500;
/** For how long one that does not stop is refused what it sends. */
const refusingMs = 3_000;
const bytesOfValue = 512;
/** Calls that fail one after the other before others have their turn: an error costs some ten times what an answer does. */
const failuresAtOnceMax = 200;
/** A client that does not know the node's protocol asks once, and sends its own the second time. */
const unknownProtocolsMax = 8;
const systemErrors = avsc.Type.forSchema(['string']);
const nothing = avsc.Type.forSchema('null');
/** In front of a response, or of an error: no metadata, and which of the two follows. */
const succeeded = Buffer.from([0, 0]);
const failed = Buffer.from([0, 1]);

/**
 * One client: frames in, calls out to the handlers, answers back under their serials in whatever order they are done. Reads
 * stop while there is too much to do or to send.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #reader: FrameReader;
  readonly #outbox: Outbox;
  readonly #finished: Finished[] = [];
  #calls: Calls | undefined;
  #callsOpen = 0;
  #callBytes = 0;
  #heldBytes = 0;
  #pumpIsDue = false;
  #turnIsDue = false;
  /** A call has not begun with all of its work, which others would overtake. */
  #isBeginning = false;
  /** Calls that have failed since others had their turn. */
  #failures = 0;
  /** Handshakes of which it was not known which protocol is meant. */
  #unknownProtocols = 0;
  /** No call is taken any more; the connection ends with the last answer. */
  #ending: CloseReason | undefined;
  /** Since when calls that still come are refused. */
  #drainingSinceMs: number | undefined;
  /** The client has closed its side. */
  #hasAskedAll = false;
  #lingering = false;
  readonly #openedMs: number;
  #activeMs: number;
  #frameBeganMs: number | undefined;
  /** What had been taken when it was last looked, and since when something has waited and no more was taken. */
  #takenBytes = 0;
  #stuckMs: number | undefined;
  /** When the last answer was taken. */
  #lingeringSinceMs: number | undefined;

  constructor(options: ConnectionOptions) {
    const { socket, limits, slab, clock } = options;
    this.#options = options;
    this.#reader = new FrameReader(limits.messageBytesMax);
    this.#outbox = new Outbox(socket, slab);
    this.#openedMs = clock.monotonicMs();
    this.#activeMs = this.#openedMs;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('drain', () => this.#pump());
    socket.on('end', () => {
      this.#hasAskedAll = true;
      this.#pump();
    });
    // What broke it is the client's affair; calls under way run on.
    socket.on('error', () => this.#destroy('broken'));
    socket.on('close', () => this.#letGo());
  }

  /** Closes what has been silent, unfinished or stuck for too long. Call it about once a second. */
  check(nowMs: number): void {
    const { handshakeTimeoutMs, messageTimeoutMs, idleTimeoutMs } = this.#options.limits;
    const isOver = (sinceMs: number | undefined, timeoutMs: number) =>
      sinceMs !== undefined && nowMs - sinceMs > timeoutMs;
    const { socket } = this.#options;
    if (socket.isPaused()) {
      // It may wait for calls of other connections to end, of which it hears nothing.
      this.#pump();
      // Who is not read from cannot show that it is not idle.
      this.#activeMs = nowMs;
    }
    const { takenBytes } = this.#outbox;
    if (takenBytes > this.#takenBytes) {
      this.#takenBytes = takenBytes;
      // Who takes what waits for it is not idle.
      if (this.#stuckMs !== undefined) this.#activeMs = nowMs;
      this.#stuckMs = undefined;
    }
    if (socket.writableLength === 0) this.#stuckMs = undefined;
    else this.#stuckMs ??= nowMs;
    if (this.#lingering) {
      if (isOver(this.#lingeringSinceMs, lingerMs) || isOver(this.#stuckMs, messageTimeoutMs)) socket.destroy();
      return;
    }
    if (this.#calls === undefined && isOver(this.#openedMs, handshakeTimeoutMs)) this.#destroy('handshake_timeout');
    else if (isOver(this.#stuckMs, messageTimeoutMs)) this.#destroy('not_reading');
    else if (!socket.isPaused() && isOver(this.#frameBeganMs, messageTimeoutMs)) this.#end('message_timeout');
    else if (this.#callsOpen > 0) return;
    else if (isOver(this.#activeMs, idleTimeoutMs)) this.#end('idle');
    else if (
      isOver(this.#drainingSinceMs, refusingMs) ||
      (this.#drainingSinceMs !== undefined && isOver(this.#activeMs, quietMs))
    )
      this.#end('draining');
  }

  /**
   * Answers what is under way, and closes. What still comes is refused for a while, so that clients hear that it was not done: of
   * what is on its way when the connection ends they could not tell.
   */
  drain(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#drainingSinceMs ??= nowMs;
    if (this.#calls === undefined) this.#destroy('draining');
    else this.check(nowMs);
  }

  destroy(): void {
    this.#destroy('draining');
  }

  #take(chunk: Buffer): void {
    if (this.#lingering || this.#ending !== undefined) return;
    this.#activeMs = this.#options.clock.monotonicMs();
    this.#reader.feed(chunk);
    this.#pump();
  }

  /** Answers what is done, takes what has come, as far as there is room for it. */
  #pump(): void {
    const { socket } = this.#options;
    if (socket.destroyed || this.#lingering) return;
    this.#outbox.open();
    this.#failures = 0;
    let isBlocked = false;
    try {
      for (;;) {
        if (this.#isFull()) {
          this.#outbox.send();
          // What the system takes at once is followed by no `drain`.
          isBlocked = this.#isFull();
          if (isBlocked) break;
        }
        const finished = this.#finished.shift();
        if (finished !== undefined) {
          this.#answer(finished);
          continue;
        }
        if (this.#ending !== undefined || this.#hasEnoughToDo()) break;
        // To learn a protocol takes long: each in a turn of the event loop of its own.
        const isOthersTurn = this.#calls === undefined && this.#options.handshakes.isBusy;
        if (isOthersTurn || this.#failures >= failuresAtOnceMax) {
          isBlocked = true;
          this.#pumpInNextTurn();
          break;
        }
        const frame = this.#reader.next();
        if (frame === undefined) {
          if (this.#hasAskedAll) this.#ending ??= 'by_client';
          break;
        }
        this.#frameBeganMs = undefined;
        this.#carryOut(frame);
      }
    } catch (error) {
      this.#refuse(error);
    }
    this.#outbox.send();
    if (isBlocked || this.#hasEnoughToDo()) socket.pause();
    else if (socket.isPaused()) {
      socket.resume();
      // While it was not read from, the rest of a message could not come.
      this.#frameBeganMs = undefined;
    }
    this.#account();
    if (this.#ending !== undefined && this.#callsOpen === 0) this.#finish(this.#ending);
  }

  #pumpInNextTurn(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    setImmediate(() => {
      this.#turnIsDue = false;
      this.#pump();
    });
  }

  #isFull(): boolean {
    return this.#outbox.waitingBytes > this.#options.limits.answerBytesMax;
  }

  #hasEnoughToDo(): boolean {
    const { limits, held } = this.#options;
    return (
      this.#isBeginning ||
      this.#callsOpen >= limits.callsMax ||
      this.#callBytes >= limits.callBytesMax ||
      held.callBytes >= held.callBytesMax
    );
  }

  #carryOut({ serial, body }: Frame): void {
    const walk = new Walk(body, 0);
    const handshake = this.#calls === undefined ? this.#shakeHands(serial, walk) : undefined;
    const calls = this.#calls;
    if (calls === undefined) return;
    let call: Call | undefined;
    let value: unknown;
    try {
      callMetadata.pass(walk);
      const name = nameAt(walk);
      if (name === '') {
        this.#outbox.put(serial, headOf(handshake, succeeded), nothing, null);
        return;
      }
      call = calls.named(name);
      const parameters = call.parametersAt(walk);
      if (this.#drainingSinceMs !== undefined)
        throw new BitacoraError('shutting_down', 'The node is shutting down: ask another one.');
      value = call.run(parameters);
    } catch (error) {
      const known =
        error instanceof MalformedError ? new BitacoraError('request_malformed', `${error.message}.`) : error;
      this.#answerFailure(serial, handshake, call, known);
      return;
    }
    if (value instanceof Begun) {
      this.#isBeginning = true;
      void value.begun.then(() => {
        this.#isBeginning = false;
        this.#pump();
      });
      value = value.answer;
    }
    if (!(value instanceof Promise)) {
      this.#answerSuccess(serial, handshake, call, value);
      return;
    }
    const requestBytes = body.length + bytesOfValue * walk.values;
    const done = { serial, handshake, call, requestBytes };
    this.#callsOpen += 1;
    this.#callBytes += requestBytes;
    this.#options.held.callBytes += requestBytes;
    value.then(
      (result) => this.#done({ ...done, value: result, error: undefined }),
      (error: unknown) => this.#done({ ...done, value: undefined, error }),
    );
  }

  /** The handshake's answer, to stand in front of the first call's; undefined when there is no call to answer. */
  #shakeHands(serial: number, walk: Walk): Buffer | undefined {
    const request = handshakeRequests.read(walk);
    const { response, calls } = this.#options.handshakes.agree(request);
    const bytes = handshakeResponses.bytesOf(response);
    this.#calls = calls;
    if (calls !== undefined) return bytes;
    this.#outbox.put(serial, bytes, nothing, null);
    this.#unknownProtocols += 1;
    if (this.#unknownProtocols === unknownProtocolsMax) this.#ending = 'malformed';
    return undefined;
  }

  #done(finished: Finished): void {
    // Not when it is answered: a client that is slow to take its answers must not keep others from theirs.
    this.#options.held.callBytes -= finished.requestBytes;
    this.#finished.push(finished);
    if (this.#pumpIsDue) return;
    // Writes of one batch of the log are done one after the other at the same instant: one answer for all.
    this.#pumpIsDue = true;
    queueMicrotask(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  #answer({ serial, handshake, call, requestBytes, value, error }: Finished): void {
    this.#callsOpen -= 1;
    this.#callBytes -= requestBytes;
    if (error === undefined) this.#answerSuccess(serial, handshake, call, value);
    else this.#answerFailure(serial, handshake, call, error);
  }

  #answerSuccess(serial: number, handshake: Buffer | undefined, call: Call, value: unknown): void {
    try {
      this.#outbox.put(serial, headOf(handshake, succeeded), call.responseType, value);
    } catch (error) {
      this.#answerFailure(serial, handshake, call, error);
      return;
    }
    this.#options.metrics.count(call.name, 'ok');
  }

  /** Without a call it is not known which errors the client can read: it is told in a string, which each can. */
  #answerFailure(serial: number, handshake: Buffer | undefined, call: Call | undefined, error: unknown): void {
    const { logger, metrics } = this.#options;
    let known: BitacoraError;
    if (error instanceof BitacoraError) {
      known = error;
    } else {
      logger.error({ err: error, message: call?.name }, 'a call failed by a fault of ours');
      known = new BitacoraError('internal', 'See the log of the node.');
    }
    metrics.count(call?.name ?? '', known.code);
    this.#failures += 1;
    if (call === undefined) this.#outbox.put(serial, headOf(handshake, failed), systemErrors, known.message);
    else this.#outbox.put(serial, headOf(handshake, failed), call.errorType, call.failureOf(known));
  }

  /** Bytes that make no sense: nothing behind them does either. */
  #refuse(error: unknown): void {
    const { logger, socket } = this.#options;
    const isTheirs =
      error instanceof FrameError || error instanceof MalformedError || error instanceof SchemaRefusedError;
    if (!isTheirs) logger.error({ err: error }, 'a connection failed by a fault of ours');
    else logger.debug({ client: socket.remoteAddress, reason: error.message }, 'a client sent what makes no sense');
    if (error instanceof FrameError && error.serial !== undefined && this.#calls !== undefined) {
      const told = new BitacoraError('value_too_large', `${error.message}.`);
      this.#outbox.put(error.serial, failed, systemErrors, told.message);
    }
    this.#ending = isTheirs ? 'malformed' : 'fault';
  }

  #end(reason: CloseReason): void {
    this.#ending ??= reason;
    this.#pump();
  }

  /** Everything has been answered. */
  #finish(reason: CloseReason): void {
    const { socket, metrics, clock } = this.#options;
    if (this.#lingering) return;
    metrics.closed(reason);
    this.#lingering = true;
    // Nobody has shaken hands: no call was answered, so no answer can be lost.
    if (this.#calls === undefined && reason !== 'by_client') return void socket.destroy();
    socket.resume();
    socket.end(() => {
      this.#lingeringSinceMs = clock.monotonicMs();
    });
  }

  #destroy(reason: CloseReason): void {
    const { socket, metrics } = this.#options;
    if (!this.#lingering) metrics.closed(reason);
    this.#letGo();
    socket.destroy();
  }

  #letGo(): void {
    this.#lingering = true;
    this.#options.held.bytes -= this.#heldBytes;
    this.#heldBytes = 0;
  }

  /** Keeps count of the memory that messages take of which a part has come. */
  #account(): void {
    const { held, clock } = this.#options;
    const { heldBytes, isWithinFrame } = this.#reader;
    held.bytes += heldBytes - this.#heldBytes;
    this.#heldBytes = heldBytes;
    if (!isWithinFrame) this.#frameBeganMs = undefined;
    else this.#frameBeganMs ??= clock.monotonicMs();
    if (held.bytes > held.bytesMax) this.#closeLargest();
  }

  /** Whoever crosses the limit need not be who has filled the memory. */
  #closeLargest(): void {
    const { held, logger } = this.#options;
    let largest: Connection = this;
    for (const connection of held.connections) {
      if (connection.#heldBytes > largest.#heldBytes) largest = connection;
    }
    logger.warn(
      { heldBytes: held.bytes, client: largest.#options.socket.remoteAddress },
      'clients have too many large messages under way: the connection that holds most is closed',
    );
    largest.#destroy('overloaded');
  }
}

function headOf(handshake: Buffer | undefined, flag: Buffer): Buffer {
  return handshake === undefined ? flag : Buffer.concat([handshake, flag]);
}

/** Message names are ASCII, so any bytes may be read as latin1. */
function nameAt(walk: Walk): string {
  const length = walk.long();
  if (length < 0) throw new MalformedError('a length is below zero');
  const start = walk.at;
  walk.pass(length);
  return walk.bytes.toString('latin1', start, walk.at);
}
