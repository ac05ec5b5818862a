import { type Dispatcher, Pool } from 'undici';
import type { Clock } from '../kernel/clock.ts';
import type { RawAnswer } from './peer-answer.ts';

type AnswerHead = Omit<RawAnswer, 'body'>;

/** How a request to a peer went wrong. */
export type RequestFault =
  /** No whole answer within the time. */
  | 'timeout'
  /** No connection, or it ended early, or what came is not HTTP. */
  | 'failed'
  /** The body has more bytes than it may have; the rest of it was not read. */
  | 'too_large'
  /** Too many requests to this peer were waiting: it was not asked, or not in time. */
  | 'overloaded';

export class PeerRequestError extends Error {
  readonly fault: RequestFault;
  /** With `too_large`: what came before the body, by which a node can be told from something else. */
  readonly head: AnswerHead | undefined;

  constructor(fault: RequestFault, message: string, options: { cause?: unknown; head?: AnswerHead } = {}) {
    super(message, options);
    this.name = 'PeerRequestError';
    this.fault = fault;
    this.head = options.head;
  }
}

export interface PeerRequest {
  readonly path: string;
  readonly accept: string;
  /** Bound on the whole: queue, connection, headers and body. */
  readonly timeoutMs: number;
  readonly bodyBytesMax: number;
}

/** Requests at one time to one peer; the rest wait. */
const connections = 32;
const waitingMax = 2_048;
const headerBytesMax = 16 * 1024;
/** Below the idle time of a node's own server, so that the client closes first. */
const idleTimeoutMs = 30_000;

/** Keep-alive connections to the HTTP API of one peer. Redirects are not followed; nothing of an answer is believed here. */
export class PeerHttp {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #waiting: Exchange[] = [];
  #underWay = 0;
  #closed = false;

  /** `id` is `host:port`. */
  constructor(id: string, connectTimeoutMs: number, clock: Clock) {
    this.#clock = clock;
    this.#pool = new Pool(`http://${id}`, {
      connections,
      pipelining: 1,
      connect: { timeout: connectTimeoutMs, noDelay: true },
      keepAliveTimeout: idleTimeoutMs,
      keepAliveMaxTimeout: idleTimeoutMs,
      maxHeaderSize: headerBytesMax,
      // Each exchange has a deadline of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** Rejects with a `PeerRequestError`. */
  get(request: PeerRequest): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new PeerRequestError('failed', 'the connections to the peer are closed'));
      } else if (this.#waiting.length >= waitingMax) {
        reject(new PeerRequestError('overloaded', `${waitingMax} requests to the peer are waiting`));
      } else {
        const exchange = new Exchange(request, resolve, reject);
        const cancel = this.#clock.after(request.timeoutMs, () => {
          const at = this.#waiting.indexOf(exchange);
          if (at >= 0) this.#waiting.splice(at, 1);
          // One that was never sent says nothing of the peer.
          const fault = at >= 0 ? 'overloaded' : 'timeout';
          exchange.fail(new PeerRequestError(fault, `no answer within ${request.timeoutMs} ms`));
        });
        exchange.onSettled = cancel;
        exchange.onEnd = () => {
          this.#underWay -= 1;
          this.#startNext();
        };
        this.#waiting.push(exchange);
        this.#startNext();
      }
    });
  }

  /** Ends every connection and fails what is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const exchange of this.#waiting.splice(0)) {
      exchange.fail(new PeerRequestError('failed', 'the connections to the peer are closed'));
    }
    await this.#pool.destroy();
  }

  #startNext(): void {
    while (this.#underWay < connections && !this.#closed) {
      const exchange = this.#waiting.shift();
      if (exchange === undefined) return;
      this.#underWay += 1;
      const { path, accept } = exchange.request;
      this.#pool.dispatch({ method: 'GET', path, headers: { accept } }, exchange);
    }
  }
}

/** One request and its answer. It holds its place among the connections until undici has done with it. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly request: PeerRequest;
  onSettled: () => void = () => {};
  onEnd: () => void = () => {};
  readonly #resolve: (answer: RawAnswer) => void;
  readonly #reject: (error: PeerRequestError) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #settled = false;
  #ended = false;
  #status = 0;
  #headers: RawAnswer['headers'] = {};
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(request: PeerRequest, resolve: (answer: RawAnswer) => void, reject: (error: PeerRequestError) => void) {
    this.request = request;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  fail(error: PeerRequestError): void {
    if (!this.#settle()) return;
    this.#reject(error);
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Connecting took too long.
    if (this.#settled) controller.abort(new PeerRequestError('timeout', 'too late'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: RawAnswer['headers']): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    const { bodyBytesMax } = this.request;
    if (this.#bytes > bodyBytesMax) {
      const head = { status: this.#status, headers: this.#headers };
      this.fail(new PeerRequestError('too_large', `the answer has more than ${bodyBytesMax} bytes`, { head }));
    } else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#end();
    if (!this.#settle()) return;
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end();
    if (!this.#settle()) return;
    this.#reject(new PeerRequestError('failed', error.message, { cause: error }));
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.onSettled();
    return true;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onEnd();
  }
}
