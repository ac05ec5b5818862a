import type { Socket } from 'node:net';
import { type Clock, pause } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import { KafkaError, kafkaErrors } from '../../protocol/errors.ts';
import { includesVersion, versionRange } from '../../protocol/schema.ts';
import { WireError } from '../../protocol/wire.ts';
import type { Faults } from './faults.ts';
import { FrameAssembler, type RequestHeader, readRequestHeader, writeResponse } from './frames.ts';
import type { AnswerHints, ConnectionState, Handler, Listener, RequestContext } from './handler.ts';

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly listener: Listener;
  readonly handlers: ReadonlyMap<number, Handler>;
  readonly requestBytesMax: number;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: ServerStats;
  readonly timeouts: { readonly loginMs: number; readonly idleMs: number };
}

export interface ServerStats {
  requests: number;
  /** Connections that were ended because what came was not the protocol, or too large. */
  refused: number;
}

/** Before a client has logged in it has little to say. */
const anonymousRequestBytesMax = 64 * 1024;
/** Requests that may wait, unread by their handler, before no more are taken from the socket. */
const waitingMax = 64;
/** Bytes of them, likewise: what a client sends while an earlier request waits for others is not to fill the memory. */
const waitingBytesMax = 1024 * 1024;

interface Response {
  /** To be sent one after the other. */
  readonly parts: readonly Buffer[];
  readonly release?: (() => void) | undefined;
}

/** Most answers fit. */
const smallAnswerBytes = 1_024;

/** How long whoever guesses passwords waits for each answer: Kafka's `connection.failed.authentication.delay.ms`. */
const failedLoginDelayMs = 100;

const apiVersionsKey = 18;
const saslHandshakeKey = 17;
const saslAuthenticateKey = 36;
const openToAll: readonly number[] = [apiVersionsKey, saslHandshakeKey, saslAuthenticateKey];

/**
 * One client. Requests are carried out one after the other, as Kafka does, and answered in their order: a request that waits (a
 * fetch for data, a join for the others) holds up those behind it, and clients use a connection of their own for it.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #state: ConnectionState;
  readonly #ended = new AbortController();
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Of answers that the socket still has. */
  readonly #releases = new Set<() => void>();
  #isBusy = false;
  /** The client has ended the connection in order: what came before that is carried out still, as Kafka does. */
  #hasFinished = false;
  #hasFailedLogin = false;
  /** What the last answer says of how long to wait, in milliseconds. */
  #throttleTimeMs = 0;

  constructor(options: ConnectionOptions) {
    const { socket, listener, requestBytesMax, timeouts } = options;
    this.#options = options;
    this.#state = { listener, exchange: undefined, isRawExchange: false, user: undefined };
    const assembler = new FrameAssembler(() =>
      this.#isOpen ? requestBytesMax : Math.min(requestBytesMax, anonymousRequestBytesMax),
    );
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of assembler.push(chunk)) {
          this.#waiting.push(frame);
          this.#waitingBytes += frame.length;
        }
      } catch (error) {
        this.#refuse(error as Error);
        return;
      }
      if (this.#waiting.length > waitingMax || this.#waitingBytes > waitingBytesMax) socket.pause();
      void this.#work();
    });
    const { loginMs, idleMs } = timeouts;
    socket.setTimeout(idleMs, () => this.#refuse(new WireError('it was idle')));
    const loginTimer = setTimeout(() => {
      if (!this.#isOpen) this.#refuse(new WireError('nobody has logged in'));
    }, loginMs);
    socket.on('close', () => {
      clearTimeout(loginTimer);
      this.#ended.abort();
      // By now the system has nothing more to do with what was to be sent.
      for (const release of this.#releases) release();
      this.#releases.clear();
    });
    socket.on('end', () => {
      this.#hasFinished = true;
    });
    // 'close' follows, and there is nobody to tell.
    socket.on('error', () => {});
  }

  get #isOpen(): boolean {
    return !this.#state.listener.requiresLogin || this.#state.user !== undefined;
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { socket } = this.#options;
    for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) {
      if (this.#ended.signal.aborted && !this.#hasFinished) return;
      this.#waitingBytes -= frame.length;
      const isCalm = this.#waiting.length <= waitingMax / 2 && this.#waitingBytes <= waitingBytesMax / 2;
      if (isCalm && socket.isPaused()) socket.resume();
      try {
        const response = await this.#answer(frame);
        if (response !== undefined && !this.#send(response)) await this.#drained();
        if (this.#hasFailedLogin) return this.#turnAway();
        if (this.#throttleTimeMs > 0) await this.#mute();
      } catch (error) {
        if (isFailedLogin(error)) await this.#delayFailedLogin();
        this.#refuse(error as Error);
        return;
      }
    }
    this.#isBusy = false;
  }

  /** Throws for what cannot be answered: the connection then ends. */
  async #answer(frame: Buffer): Promise<Response | undefined> {
    const { handlers, stats, faults } = this.#options;
    stats.requests += 1;
    if (this.#state.isRawExchange) return this.#continueLogin(frame);
    const header = readRequestHeader(frame, (apiKey) => handlers.get(apiKey)?.request);
    const handler = handlers.get(header.apiKey)!;
    if (!this.#isOpen && !openToAll.includes(header.apiKey)) throw new WireError('a request came before the login');
    const { request, response } = handler;
    const { version, correlationId } = header;
    if (!includesVersion(request.versions, version)) return this.#answerUnknownVersion(header, handler);
    const body = request.decode(frame.subarray(header.bodyStart), version);
    let answer: unknown;
    try {
      answer = await handler.handle(this.#context(header, frame.length), body);
    } catch (error) {
      if (error instanceof WireError) throw error;
      if (isFailedLogin(error)) await this.#delayFailedLogin();
      const { errorCode, errorMessage } = faults.tell(error, `${request.name} version ${version}`);
      answer = handler.failure(errorCode, errorMessage, body);
      if (answer === undefined) throw new WireError(`${request.name} has no answer that tells of ${errorMessage}`);
    }
    this.#throttleTimeMs = (answer as { throttleTimeMs?: number } | undefined)?.throttleTimeMs ?? 0;
    if (answer === undefined) return undefined;
    const { roomBytes = smallAnswerBytes, release } = answer as AnswerHints;
    try {
      return { parts: writeResponse(response, answer, { version, correlationId, roomBytes }), release };
    } catch (error) {
      release?.();
      throw error;
    }
  }

  /** A login of old: a length and the mechanism's message, and the same back. */
  #continueLogin(message: Buffer): Response {
    const { reply, user } = this.#state.exchange!.next(message);
    if (user !== undefined) {
      this.#state.user = user;
      this.#state.exchange = undefined;
      this.#state.isRawExchange = false;
    }
    const answer = Buffer.alloc(4 + reply.length);
    answer.writeInt32BE(reply.length);
    reply.copy(answer, 4);
    return { parts: [answer] };
  }

  /** ApiVersions is answered in version 0, so that the client learns what there is (KIP-35); any other tells nothing. */
  #answerUnknownVersion(
    { version, correlationId }: RequestHeader,
    { request, response, advertised }: Handler,
  ): Response {
    if (request.apiKey === apiVersionsKey) {
      const { from, to } = versionRange(advertised);
      const { code } = kafkaErrors.UNSUPPORTED_VERSION;
      const answer = { errorCode: code, apiKeys: [{ apiKey: apiVersionsKey, minVersion: from, maxVersion: to }] };
      return { parts: writeResponse(response, answer, { version: 0, correlationId }) };
    }
    throw new WireError(`${request.name} has no version ${version} here`);
  }

  #context({ version, clientId }: RequestHeader, requestBytes: number): RequestContext {
    const { socket } = this.#options;
    return {
      version,
      clientId,
      clientHost: socket.remoteAddress ?? '',
      requestBytes,
      connection: this.#state,
      signal: this.#ended.signal,
    };
  }

  /** Who is over a quota is answered at once, and then not listened to: not every client waits of its own accord (KIP-219). */
  async #mute(): Promise<void> {
    const delayMs = this.#throttleTimeMs;
    this.#throttleTimeMs = 0;
    await pause(this.#options.clock, delayMs, this.#ended.signal);
  }

  /** Kafka too answers late, and then closes: each guess is to cost time and a connection. */
  async #delayFailedLogin(): Promise<void> {
    this.#hasFailedLogin = true;
    await pause(this.#options.clock, failedLoginDelayMs, this.#ended.signal);
  }

  /** Ends the connection once the client has what was sent. */
  #turnAway(): void {
    const { socket, stats, logger } = this.#options;
    stats.refused += 1;
    logger.debug(`a connection from ${socket.remoteAddress} is ended: its login failed`);
    socket.destroySoon();
  }

  /** Answers whether the socket takes more at once. Answers of one turn go out together: each by itself would be a call of the system. */
  #send({ parts, release }: Response): boolean {
    const { socket } = this.#options;
    if (this.#ended.signal.aborted) {
      release?.();
      return true;
    }
    if (socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    const last = parts.length - 1;
    for (let index = 0; index < last; index += 1) socket.write(parts[index]!);
    if (release === undefined) return socket.write(parts[last]!);
    this.#releases.add(release);
    return socket.write(parts[last]!, () => {
      if (this.#releases.delete(release)) release();
    });
  }

  #drained(): Promise<void> {
    const { socket } = this.#options;
    return new Promise((resolve) => {
      const go = (): void => {
        socket.off('drain', go);
        this.#ended.signal.removeEventListener('abort', go);
        resolve();
      };
      socket.once('drain', go);
      this.#ended.signal.addEventListener('abort', go);
    });
  }

  #refuse(error: Error): void {
    if (this.#ended.signal.aborted) return;
    const { socket, stats, logger } = this.#options;
    stats.refused += 1;
    const line = `a connection from ${socket.remoteAddress} is ended: ${error.message}`;
    if (error instanceof WireError || error instanceof KafkaError) logger.debug(line);
    else logger.error({ err: error }, line);
    socket.destroy();
  }
}

const isFailedLogin = (error: unknown): boolean =>
  error instanceof KafkaError && error.error === 'SASL_AUTHENTICATION_FAILED';
