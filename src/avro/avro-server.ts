import { createServer, type Server, type Socket } from 'node:net';
import type { Database } from '../database/database.ts';
import { type Clock, pause } from '../kernel/clock.ts';
import type { Service } from '../kernel/lifecycle.ts';
import { listen } from '../kernel/listening.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { Connection, type ConnectionLimits, type HeldMemory } from './connection.ts';
import { databaseMessages } from './database-messages.ts';
import { Handshakes } from './handshakes.ts';
import { CallMetrics } from './metrics.ts';
import { originalMessages } from './original-messages.ts';
import { Slab } from './wire/outbox.ts';

export interface AvroServerOptions {
  readonly database: Database;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Room for many keys or values in one call, and for one of the greatest size with all that is around it. */
const batchBytes = 16 * 1024 * 1024;
const aroundValueBytes = 256 * 1024;
const callsMax = 1_024;
const answerBytesMax = 4 * 1024 * 1024;
/** Of all connections together: of messages that have come in part, and of requests under way. */
const heldBytesMax = 512 * 1024 * 1024;
const heldCallBytesMax = 512 * 1024 * 1024;
const handshakeTimeoutMs = 60_000;
const messageTimeoutMs = 60_000;
/** As Kafka's connections.max.idle.ms: clients keep their connections for long, and open them again by themselves. */
const idleTimeoutMs = 600_000;
const checkIntervalMs = 1_000;
const drainWithinMs = 10_000;
const drainCheckMs = 100;

/** The socket of binary clients: Avro's RPC in its Netty framing, for the original protocol and for ours. */
export class AvroServer implements Service {
  readonly name = 'Avro server';
  readonly #options: AvroServerOptions;
  readonly #server: Server;
  readonly #handshakes: Handshakes;
  readonly #limits: ConnectionLimits;
  readonly #metrics: CallMetrics;
  readonly #slab = new Slab();
  readonly #connections = new Set<Connection>();
  readonly #held: HeldMemory = {
    bytes: 0,
    bytesMax: heldBytesMax,
    callBytes: 0,
    callBytesMax: heldCallBytesMax,
    connections: this.#connections,
  };
  #draining = false;
  #cancelCheck: () => void = () => {};

  constructor(options: AvroServerOptions) {
    this.#options = options;
    const { database, clock, metrics } = options;
    const messageBytesMax = Math.max(batchBytes, database.valueBytesMax + aroundValueBytes);
    this.#limits = {
      messageBytesMax,
      callsMax,
      callBytesMax: 2 * messageBytesMax,
      answerBytesMax,
      handshakeTimeoutMs,
      messageTimeoutMs,
      idleTimeoutMs,
    };
    this.#handshakes = new Handshakes([databaseMessages(database, clock, messageBytesMax), originalMessages(database)]);
    this.#metrics = new CallMetrics(metrics, () => this.#connections.size);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) =>
      this.#welcome(socket),
    );
  }

  /** Rejects with a `FatalError` when it cannot listen. */
  async run(): Promise<void> {
    const { host, port, logger } = this.#options;
    await listen(this.#server, { host, port, portOption: 'AVRO_PORT', name: 'Avro server', logger });
    this.#checkLater();
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** Takes no new connections, refuses calls that still come, answers those that are under way, and closes. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = new AbortController();
    this.#server.close(() => closed.abort());
    for (const connection of this.#connections) connection.drain();
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + drainWithinMs;
    while (!closed.signal.aborted && clock.monotonicMs() < deadlineMs) {
      await pause(clock, drainCheckMs, closed.signal);
      this.#check();
    }
  }

  async stop(): Promise<void> {
    this.#cancelCheck();
    this.#draining = true;
    for (const connection of this.#connections) connection.destroy();
    this.#server.close();
  }

  #welcome(socket: Socket): void {
    if (this.#draining) return void socket.destroy();
    const { clock, logger } = this.#options;
    const connection = new Connection({
      socket,
      handshakes: this.#handshakes,
      limits: this.#limits,
      held: this.#held,
      slab: this.#slab,
      clock,
      logger,
      metrics: this.#metrics,
    });
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }

  #checkLater(): void {
    const { clock } = this.#options;
    this.#cancelCheck = clock.after(checkIntervalMs, () => {
      this.#check();
      this.#checkLater();
    });
  }

  #check(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const connection of this.#connections) connection.check(nowMs);
  }
}
