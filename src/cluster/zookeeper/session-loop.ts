import { Backoff, type Clock, pause } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { Connection, type Session } from './connection.ts';

const firstRetryMs = 250;
const retryCapMs = 10_000;

export interface SessionLoopOptions {
  /** `host:port` of each server. */
  readonly hosts: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Goes from connection to connection, with the same session for as long as the servers keep it. */
export class SessionLoop {
  readonly #options: SessionLoopOptions;
  readonly #backoff: Backoff;
  #connection: Connection | undefined;
  #session: Session | undefined;
  #formerId: Buffer | undefined;
  #down = false;
  #useful = false;

  constructor(options: SessionLoopOptions) {
    this.#options = options;
    // A session outlives the loss of its connection only if the next is there in time, so the delays stay well below that.
    const capMs = Math.min(retryCapMs, options.sessionTimeoutMs / 4);
    this.#backoff = new Backoff(Math.min(firstRetryMs, capMs), capMs);
  }

  /** The connection that is open. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Whether the session of this id was this node's own, and is over from its point of view. */
  isFormer(id: Buffer): boolean {
    return this.#formerId?.equals(id) ?? false;
  }

  /** The open connection has been of use: whatever was wrong before is over. */
  worked(): void {
    this.#useful = true;
    if (this.#down) this.#options.logger.info('ZooKeeper answers again');
    this.#down = false;
  }

  /** Calls `serve` with each connection; it resolves once nothing more can be asked on that. Resolves after `signal` aborts. */
  async run(serve: (connection: Connection) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { hosts, sessionTimeoutMs, clock, logger } = this.#options;
    let next = Math.floor(Math.random() * hosts.length);
    let failures = 0;
    while (!signal.aborted) {
      const server = hosts[next % hosts.length]!;
      next += 1;
      const failure = await this.#serveOver(server, serve, signal);
      if (signal.aborted) return;
      if (failure === undefined) continue;
      logger.debug(`ZooKeeper at ${server} was lost: ${rootMessage(failure.error)}`);
      if (this.#useful) {
        failures = 0;
        if (failure.lastedMs > sessionTimeoutMs) this.#backoff.reset();
      } else {
        failures += 1;
        if (failures % hosts.length !== 0) continue;
        this.#complain(failure.error);
      }
      await pause(clock, this.#backoff.nextMs(), signal);
    }
  }

  /** Resolves to what went wrong, or to undefined if it was only that the session has expired. */
  async #serveOver(
    server: string,
    serve: (connection: Connection) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ error: unknown; lastedMs: number } | undefined> {
    const { hosts, sessionTimeoutMs, clock, logger } = this.#options;
    // Every server is to be tried before the session is over.
    const openTimeoutMs = (sessionTimeoutMs * 2) / 3 / hosts.length;
    this.#useful = false;
    const startMs = clock.monotonicMs();
    try {
      const session = this.#session;
      const connection = await Connection.open({ server, sessionTimeoutMs, openTimeoutMs, session, clock, signal });
      this.#follow(connection?.session);
      if (connection === undefined) {
        logger.warn('The ZooKeeper session has expired: this node registers again');
        return undefined;
      }
      this.#connection = connection;
      await serve(connection);
      this.#connection = undefined;
      return { error: connection.failure, lastedMs: clock.monotonicMs() - startMs };
    } catch (error) {
      return { error, lastedMs: clock.monotonicMs() - startMs };
    }
  }

  #follow(session: Session | undefined): void {
    const before = this.#session?.id;
    if (before !== undefined && !session?.id.equals(before)) this.#formerId = before;
    this.#session = session;
  }

  #complain(error: unknown): void {
    if (this.#down) return;
    this.#down = true;
    const { hosts, logger } = this.#options;
    const who = `ZooKeeper at ${hosts.join(', ')}`;
    logger.warn(`${who} does not answer (${rootMessage(error)}): the members stay as last known until it does`);
  }
}
