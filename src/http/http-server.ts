import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Express } from 'express';
import { type Database, keyBytesMax } from '../database/database.ts';
import { type Clock, pause } from '../kernel/clock.ts';
import { BitacoraError, type ErrorCode } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import { listen } from '../kernel/listening.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { Answers } from './answers.ts';
import { makeApp } from './app.ts';
import { batchBodyLimit, batchHandler } from './batch-handler.ts';
import { announcesTooMuch, type BodyLimit, BodyTooLargeError, valueLimit } from './body.ts';
import { problemOf, sendError } from './problem.ts';
import { peekHandler, type ReadHandler, readHandler } from './read-handler.ts';
import { RequestMetrics } from './request-metrics.ts';
import { StalledConnections } from './stalled-connections.ts';
import type { NodeIdentity } from './status-handlers.ts';
import { originForm, pathOf } from './target.ts';

export interface HttpServerOptions {
  readonly database: Database;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly identity: NodeIdentity;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A key of the greatest length, every byte percent-encoded, with room for the other parameters. */
const urlBytesMax = keyBytesMax * 3 + 16 * 1024;
/** The request line and all headers together. */
const headerBytesMax = urlBytesMax + 16 * 1024;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
/** Longer than the idle time of common load balancers (60 s), so that they and not the node close idle connections. */
const keepAliveTimeoutMs = 65_000;
const drainWithinMs = 10_000;

/** The HTTP API: reads on plain node:http, everything else through express behind it. */
export class HttpServer implements Service {
  readonly name = 'http server';
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #app: Express;
  readonly #read: ReadHandler;
  readonly #peek: ReadHandler;
  readonly #batch: ReadHandler;
  readonly #valueLimit: BodyLimit;
  readonly #requests: RequestMetrics;
  readonly #sockets = new Set<Socket>();
  readonly #stalled: StalledConnections;
  /** Whoever asks hears that this node is about to go. */
  #retiring = false;
  /** No request is taken any more but those that are here. */
  #draining = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { database, identity, version, clock, metrics } = options;
    this.#requests = new RequestMetrics(metrics);
    this.#stalled = new StalledConnections(this.#sockets, clock);
    const answers = new Answers({ clock, keepAliveTimeoutMs });
    this.#read = readHandler(database, answers);
    this.#peek = peekHandler(database, answers);
    this.#batch = batchHandler(database);
    this.#valueLimit = valueLimit(database.valueBytesMax);
    this.#app = makeApp({
      database,
      identity,
      version,
      clock,
      metrics,
      requests: this.#requests,
      isDraining: () => this.#retiring,
      answerFault: (error, request, response, _next) => this.#answerFault(error, request, response),
    });
    this.#server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: 1_000,
      noDelay: true,
      // Checked in `#handle`, where the answer is a problem document like every other.
      requireHostHeader: false,
    });
    this.#listenToServer();
  }

  /** Rejects with a `FatalError` when it cannot listen. */
  async run(): Promise<void> {
    const { host, port, logger } = this.#options;
    await listen(this.#server, { host, port, portOption: 'API_PORT', name: 'HTTP server', logger });
    this.#stalled.run();
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** Says from now on, to whoever asks how it is, that it is about to go; requests are taken as before. */
  retire(): void {
    this.#retiring = true;
  }

  /** Takes no new connections, answers the requests that are here, and closes each connection after its answer. */
  async drain(): Promise<void> {
    this.#retiring = true;
    this.#draining = true;
    const closed = new AbortController();
    // That of node:http would end idle connections at once, and takes those for idle whose client has not read its answer yet.
    NetServer.prototype.close.call(this.#server, () => closed.abort());
    // Nothing was ever sent on these; node:http counts only those as idle that have had a request.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + drainWithinMs;
    while (!closed.signal.aborted && clock.monotonicMs() < deadlineMs) {
      if (!this.#isSending()) this.#server.closeIdleConnections();
      await pause(clock, 50, closed.signal);
    }
  }

  /** Whether there are answers, or parts of them, that clients have not taken. */
  #isSending(): boolean {
    for (const socket of this.#sockets) if (socket.writableLength > 0) return true;
    return false;
  }

  async stop(): Promise<void> {
    this.#stalled.stop();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #listenToServer(): void {
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('request', (request, response) => this.#handle(request, response));
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      // A client that asks first is told before it sends what would be refused; what is wrong otherwise, `#handle` tells.
      const isBatch = this.#handlerOf(request.method, pathOf(request.url ?? '')) === this.#batch;
      const limit = isBatch ? batchBodyLimit : this.#valueLimit;
      if (announcesTooMuch(request, limit)) {
        this.#refuse(new BodyTooLargeError(limit), request, response);
      } else {
        whenItsTurn(response, () => {
          response.writeContinue();
          this.#handle(request, response);
        });
      }
    });
    this.#server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      const error = new BitacoraError('expectation_unknown', 'Expect may be 100-continue, and nothing else.');
      this.#refuse(error, request, response);
    });
    this.#server.on('clientError', refuseMalformed);
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.#draining) response.setHeader('Connection', 'close');
    const url = request.url ?? '';
    const path = pathOf(url);
    const handler = this.#handlerOf(request.method, path);
    try {
      checkTarget(url, request);
      if (handler === undefined) {
        this.#handleElsewhere(url, request, response);
        return;
      }
      const pending = handler(request, response);
      if (pending === undefined) this.#requests.count(path, request, response);
      else this.#settle(pending, path, request, response);
    } catch (error) {
      this.#refuse(error, request, response);
    }
  }

  /** Answers and counts a request that has not come to express, which counts its own. */
  #refuse(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request.url ?? '');
    const isRoute = this.#handlerOf(request.method, path) !== undefined;
    this.#answerFault(error, request, response);
    this.#requests.count(isRoute ? path : 'other', request, response);
  }

  /** Who serves what stands in front of express. */
  #handlerOf(method: string | undefined, path: string): ReadHandler | undefined {
    if (method === 'POST') return path === '/rpc/batch' ? this.#batch : undefined;
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    return path === '/rpc' ? this.#read : path === '/rpc/cluster' ? this.#peek : undefined;
  }

  /** What is neither a read nor, as it stands, the path of one. */
  #handleElsewhere(url: string, request: IncomingMessage, response: ServerResponse): void {
    if (url.startsWith('/') || request.method === 'OPTIONS') {
      this.#app(request, response);
      return;
    }
    request.url = originForm(url);
    if (request.url === url) throw new BitacoraError('request_malformed', 'The request target is not a path.');
    this.#handle(request, response);
  }

  #settle(pending: Promise<void>, route: string, request: IncomingMessage, response: ServerResponse): void {
    pending
      .catch((error: unknown) => this.#answerFault(error, request, response))
      .finally(() => this.#requests.count(route, request, response));
  }

  #answerFault(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    if (!(error instanceof BitacoraError)) {
      this.#options.logger.error(
        { err: error, method: request.method, path: pathOf(request.url ?? '') },
        'a request failed',
      );
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    // A body that is refused unread is still on the connection, which cannot be used again.
    const isUnread = error instanceof BodyTooLargeError;
    sendError(response, error, isUnread ? ['Connection', 'close'] : []);
    if (isUnread) response.once('finish', () => request.socket.destroySoon());
  }
}

/**
 * Calls at once, or when the answers before it have gone out. A `100 Continue` that waits with its answer would come to lie inside
 * of it: node:http puts the head of an answer in front of everything that waits.
 */
function whenItsTurn(response: ServerResponse, call: () => void): void {
  if (response.socket !== null) call();
  // Not within the event, or many such requests in a row would be answered each inside of the one before.
  else response.once('socket', () => process.nextTick(call));
}

/** Throws when no route can make anything of the request. */
function checkTarget(url: string, request: IncomingMessage): void {
  if (url.length > urlBytesMax) {
    throw new BitacoraError('uri_too_long', `The request target may have ${urlBytesMax} bytes.`);
  }
  if (url.includes('#')) {
    throw new BitacoraError('request_malformed', 'A request target has no fragment: a "#" in a key is %23.');
  }
  if (request.headers.host === undefined && request.httpVersionMinor === 1) {
    throw new BitacoraError('request_malformed', 'A request of HTTP/1.1 names its host (RFC 9112, 3.2).');
  }
}

/** Requests that node:http could not make sense of, or did not get in time; there is no response object for them. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  // A request of this connection that came whole and is still being answered must not be taken to have failed. (node:http
  // keeps its response here, and looks at it for the same reason.)
  const { _httpMessage: answering } = socket as Socket & { _httpMessage?: ServerResponse | null };
  const isAnswering = answering != null && (answering.req.complete || answering.headersSent);
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering) {
    socket.destroy();
    return;
  }
  const [code, detail]: [ErrorCode, string] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['headers_too_large', `The request line and headers may have ${headerBytesMax} bytes.`]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['request_timeout', 'The request did not arrive in time.']
        : ['request_malformed', 'The request is not well-formed HTTP/1.1.'];
  const { status, headers, body } = problemOf(code, detail);
  const lines = [`HTTP/1.1 ${status} ${code}`, 'Connection: close'];
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
