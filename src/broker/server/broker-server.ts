import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { FatalError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { Connection, type ServerStats } from './connection.ts';
import type { Faults } from './faults.ts';
import type { Handler, Listener } from './handler.ts';

/** PEM texts. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** Authorities of clients; with them a client must have a certificate. */
  readonly clientCa?: string;
}

/** One address for clients, which may be listened for on several interfaces. */
export interface ListenerOptions {
  readonly hosts: readonly string[];
  /** 0: one that is free. */
  readonly port: number;
  /** What clients are told to dial. */
  readonly advertisedHost: string;
  /** By default the port that is listened on. */
  readonly advertisedPort?: number;
  readonly tls?: TlsMaterial;
  readonly requiresLogin: boolean;
}

export interface BrokerServerOptions {
  readonly handlers: ReadonlyMap<number, Handler>;
  readonly connectionsMax: number;
  readonly requestBytesMax: number;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A client that has not sent a whole login, or TLS hello, by then is cut off. */
const handshakeTimeoutMs = 10_000;
/** Idle connections end, as Kafka's do (`connections.max.idle.ms`); clients come back when they need one. */
const idleTimeoutMs = 10 * 60_000;
/** Complaints about refused clients: one in so long. */
const complaintEveryMs = 60_000;

/** Listens, and makes a `Connection` of each client. */
export class BrokerServer {
  readonly stats: ServerStats = { requests: 0, refused: 0 };
  readonly #options: BrokerServerOptions;
  readonly #servers: Server[] = [];
  /** Of every client, from before its TLS handshake on. */
  readonly #sockets = new Set<Socket>();
  #complainedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: BrokerServerOptions) {
    this.#options = options;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Rejects with a `FatalError` when the port is taken; answers what clients are told to dial. */
  async listen(options: ListenerOptions): Promise<Listener> {
    const servers: Server[] = [];
    let { port } = options;
    const listener = {
      advertisedHost: options.advertisedHost,
      advertisedPort: 0,
      requiresLogin: options.requiresLogin,
    };
    for (const host of options.hosts) {
      const server = this.#serverFor(listener, options.tls);
      try {
        await listening(server, host, port);
      } catch (error) {
        // A machine without IPv6 has nothing to listen on there; one address of several is enough.
        const { code } = error as NodeJS.ErrnoException;
        if ((code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') && options.hosts.length > 1) continue;
        for (const each of servers) each.close();
        throw new PortUnavailableError(host, port, error as NodeJS.ErrnoException);
      }
      servers.push(server);
      // All addresses of a listener have one port.
      port = (server.address() as { port: number }).port;
    }
    if (servers.length === 0) throw new FatalError(`nothing to listen on at ${options.hosts.join(', ')}`);
    listener.advertisedPort = options.advertisedPort ?? port;
    for (const server of servers) {
      // A client that could not be accepted is no reason to end: without a listener the error would end the process.
      server.on('error', (error) => this.#complain(`a client could not be accepted: ${error.message}`));
    }
    this.#servers.push(...servers);
    return listener;
  }

  /** Cuts every client off. Those that wait for an answer see the connection end, and try again elsewhere or later. */
  async close(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #serverFor(listener: Listener, tls: TlsMaterial | undefined): Server {
    if (tls === undefined) {
      return createTcpServer({ noDelay: true, keepAlive: true }, (socket) => {
        if (this.#admit(socket)) this.#connect(socket, listener);
      });
    }
    const { cert, key, clientCa } = tls;
    const server = createTlsServer(
      {
        cert,
        key,
        ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true }),
        handshakeTimeout: handshakeTimeoutMs,
        minVersion: 'TLSv1.2',
      },
      (socket: TLSSocket) => {
        socket.setNoDelay(true);
        this.#connect(socket, listener);
      },
    );
    // A client that never says a word of TLS is one too.
    server.on('connection', (socket: Socket) => this.#admit(socket));
    server.on('tlsClientError', (error, socket) => {
      this.stats.refused += 1;
      this.#options.logger.debug(`a TLS handshake failed: ${error.message}`);
      // Node.js leaves a connection open whose handshake has taken too long.
      socket.destroy();
    });
    return server;
  }

  /** Answers whether there is room for one more. */
  #admit(socket: Socket): boolean {
    const { connectionsMax } = this.#options;
    if (this.#sockets.size >= connectionsMax) {
      this.stats.refused += 1;
      this.#complain(`there are ${connectionsMax} connections, as many as may be: further clients are turned away`);
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    return true;
  }

  #connect(socket: Socket, listener: Listener): void {
    const { handlers, requestBytesMax, faults, clock, logger } = this.#options;
    new Connection({
      socket,
      listener,
      handlers,
      requestBytesMax,
      faults,
      clock,
      logger,
      stats: this.stats,
      timeouts: { loginMs: handshakeTimeoutMs, idleMs: idleTimeoutMs },
    });
  }

  #complain(line: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#complainedAtMs < complaintEveryMs) return;
    this.#complainedAtMs = nowMs;
    this.#options.logger.warn(line);
  }
}

/** The address is taken, or may not be used; whether another broker is there is for the caller to find out. */
export class PortUnavailableError extends FatalError {
  readonly isInUse: boolean;

  constructor(host: string, port: number, cause: NodeJS.ErrnoException) {
    super(`the broker cannot listen on ${host}:${port} (${cause.message}): give it another port`, { cause });
    this.isInUse = cause.code === 'EADDRINUSE';
  }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, ipv6Only: host === '::1' }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
