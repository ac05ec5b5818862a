import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import express, { type ErrorRequestHandler, type Express } from 'express';
import { type Database, keyBytesMax } from '../database/database.ts';
import { type Clock, pause } from '../kernel/clock.ts';
import { BitacoraError, type ErrorCode, FatalError } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { openApi } from './openapi.ts';
import { problemOf, sendError } from './problem.ts';
import { peekHandler, type ReadHandler, readHandler } from './read-handler.ts';
import { RequestMetrics } from './request-metrics.ts';
import {
  clusterHandler,
  liveHandler,
  methodNotAllowed,
  metricsHandler,
  type NodeIdentity,
  readyHandler,
} from './status-handlers.ts';
import { pathOf } from './target.ts';
import { deleteHandler, putHandler } from './write-handler.ts';

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
  #draining = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const requests = new RequestMetrics(options.metrics);
    const read = readHandler(options.database);
    const peek = peekHandler(options.database);
    const app = this.#makeApp(requests);

    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      if (this.#draining) response.setHeader('Connection', 'close');
      const url = request.url ?? '';
      if (url.length > urlBytesMax) {
        sendError(response, new BitacoraError('uri_too_long', `The request target may have ${urlBytesMax} bytes.`));
        return;
      }
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      const path = pathOf(url);
      if (isRead && path === '/rpc') this.#run(read, '/rpc', request, response, requests);
      else if (isRead && path === '/rpc/cluster') this.#run(peek, '/rpc/cluster', request, response, requests);
      else app(request, response);
    };

    this.#server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: 1_000,
      noDelay: true,
    });
    this.#server.on('request', handle);
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      // A client that asks first is told before it sends what would be refused.
      if (Number(request.headers['content-length']) > options.database.valueBytesMax) sendTooLarge(response, options);
      else {
        response.writeContinue();
        handle(request, response);
      }
    });
    this.#server.on('clientError', refuseMalformed);
  }

  /** Rejects with a `FatalError` when it cannot listen. */
  async run(): Promise<void> {
    const { host, port, logger } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException) => reject(listenError(error, host, port));
      this.#server.once('error', fail);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', fail);
        this.#server.on('error', (error) => logger.error({ err: error }, 'the HTTP server failed'));
        resolve();
      });
    });
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** Takes no new connections, answers the requests that are here, and closes each connection after its answer. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = new AbortController();
    this.#server.close(() => closed.abort());
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + drainWithinMs;
    while (!closed.signal.aborted && clock.monotonicMs() < deadlineMs) {
      this.#server.closeIdleConnections();
      await pause(clock, 50, closed.signal);
    }
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #run(
    handler: ReadHandler,
    route: string,
    request: IncomingMessage,
    response: ServerResponse,
    requests: RequestMetrics,
  ): void {
    const fault = (error: unknown) => this.#answerFault(error, request, response);
    try {
      const pending = handler(request, response);
      if (pending === undefined) requests.count(route, request, response);
      else pending.catch(fault).finally(() => requests.count(route, request, response));
    } catch (error) {
      fault(error);
    }
  }

  #makeApp(requests: RequestMetrics): Express {
    const { database, identity, version, metrics, clock } = this.#options;
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.enable('case sensitive routing');
    app.enable('strict routing');
    app.use((request, response, next) => {
      response.on('finish', () => requests.count(routeOf(request), request, response));
      next();
    });
    const body = express.raw({ type: () => true, limit: database.valueBytesMax, inflate: false });
    const put = putHandler(database, () => clock.nowMs());
    app.put('/rpc', body, put);
    app.post('/rpc', body, put);
    app.delete('/rpc', deleteHandler(database));
    app.all('/rpc', methodNotAllowed(['GET', 'HEAD', 'PUT', 'POST', 'DELETE']));
    app.all('/rpc/cluster', methodNotAllowed(['GET', 'HEAD']));
    const pages = {
      '/health/live': liveHandler,
      '/health/ready': readyHandler(database, () => this.#draining),
      '/metrics': metricsHandler(metrics),
      '/cluster': clusterHandler(database, identity),
      '/openapi.json': openApiHandler(version, database.valueBytesMax),
    };
    for (const [path, handler] of Object.entries(pages)) {
      app.get(path, handler);
      app.all(path, methodNotAllowed(['GET', 'HEAD']));
    }
    app.use((request) => {
      throw new BitacoraError('path_not_found', `Nothing is served at ${JSON.stringify(request.path.slice(0, 200))}.`);
    });
    const onError: ErrorRequestHandler = (error, request, response, _next) => {
      const known = asBitacoraError(error, database.valueBytesMax);
      if (known?.code === 'value_too_large') sendTooLarge(response, this.#options);
      else this.#answerFault(known ?? error, request, response);
    };
    app.use(onError);
    return app;
  }

  #answerFault(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    if (!(error instanceof BitacoraError)) {
      this.#options.logger.error(
        { err: error, method: request.method, path: pathOf(request.url ?? '') },
        'a request failed',
      );
    }
    if (response.headersSent) response.destroy();
    else sendError(response, error);
  }
}

function openApiHandler(version: string, valueBytesMax: number): express.RequestHandler {
  const document = openApi(version, valueBytesMax);
  return (_request, response) => {
    response.json(document);
  };
}

function routeOf(request: express.Request): string {
  return typeof request.route?.path === 'string' ? request.route.path : 'other';
}

/** Refuses a body without reading on: the connection cannot be used again, because the rest of the body is still in it. */
function sendTooLarge(response: ServerResponse, { database }: HttpServerOptions): void {
  const detail = `A value may have ${database.valueBytesMax} bytes (VALUE_BYTES_MAX).`;
  sendError(response, new BitacoraError('value_too_large', detail), ['Connection', 'close']);
}

/** The errors of express' body parser, by their `type`. */
function asBitacoraError(error: unknown, valueBytesMax: number): BitacoraError | undefined {
  if (error instanceof BitacoraError) return error;
  switch ((error as { type?: unknown } | undefined)?.type) {
    case 'entity.too.large':
      return new BitacoraError('value_too_large', `A value may have ${valueBytesMax} bytes (VALUE_BYTES_MAX).`);
    case 'encoding.unsupported':
      return new BitacoraError('content_encoding_unsupported', 'Send the value as it is, without Content-Encoding.');
    case 'request.aborted':
    case 'request.size.invalid':
      return new BitacoraError('request_malformed', 'The body ended before its announced length.');
    default:
      return undefined;
  }
}

/** Requests that node:http could not make sense of, or did not get in time; there is no response object for them. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
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

function listenError(error: NodeJS.ErrnoException, host: string, port: number): FatalError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new FatalError(`port ${port} is in use: set API_PORT to another one`, { cause: error });
    case 'EACCES':
      return new FatalError(`port ${port} may not be opened by this user: set API_PORT to another one`, {
        cause: error,
      });
    default:
      return new FatalError(`cannot listen on ${host}:${port} (${error.message}): set API_HOST or API_PORT`, {
        cause: error,
      });
  }
}
