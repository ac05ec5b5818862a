import { Exception, type Stat } from 'node-zookeeper-client';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import { type Connection, ZookeeperError } from './connection.ts';
import { Repeater } from './repeater.ts';

/** Of the session timeout. A killed process is gone after one, or little more: servers look for the dead once per tick. */
const patience = 1.5;

export interface RegistrationOptions {
  readonly path: string;
  readonly data: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether the session of this id was this node's own. */
  readonly isFormer: (sessionId: Buffer) => boolean;
  /** Somebody else holds the node, and it is no session that is about to expire. The answer is whether that is the end. */
  readonly onTaken: () => 'give up' | 'wait on';
}

/** Keeps a node in ZooKeeper that lives as long as this node's session. Never removes anybody else's. */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #repeater: Repeater;
  #other: { readonly owner: Buffer; readonly connection: Connection; readonly deadlineMs: number } | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#repeater = new Repeater(`register as ${options.path}`, options.clock, options.logger);
  }

  /** Resolves when nothing more can be asked on the connection. `onRegistered` is called whenever the node is found in place. */
  run(connection: Connection, onRegistered?: () => void): Promise<void> {
    return this.#repeater.run(connection, async (_, changed) => {
      const stat = await connection.stat(this.#options.path, changed);
      if (stat === undefined) return this.#create(connection);
      if (!stat.ephemeralOwner.equals(connection.session.id)) return this.#heldByAnother(connection, stat);
      onRegistered?.();
      return Number.POSITIVE_INFINITY;
    });
  }

  async #create(connection: Connection): Promise<number> {
    const { path, data } = this.#options;
    try {
      await connection.createEphemeral(path, Buffer.from(data));
    } catch (error) {
      if (!isRefusal(error, Exception.NODE_EXISTS, Exception.NO_NODE)) throw error;
      if (error.code === Exception.NO_NODE) await makePath(connection, parentOf(path));
    }
    // The next look tells whose it is, and watches it.
    return 0;
  }

  #heldByAnother(connection: Connection, { ephemeralOwner: owner }: Stat): number | 'done' {
    const { path, clock, logger, isFormer, onTaken } = this.#options;
    // It cannot be removed without the risk that it vanishes just before, and that somebody else's is removed.
    if (isFormer(owner)) return Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    const known = this.#other;
    // A server that was away gives every session its full time again.
    if (known?.connection !== connection || !known.owner.equals(owner)) {
      logger.info(`Another session holds ${path} in ZooKeeper: waiting for it to end`);
      const waitMs = connection.session.timeoutMs * patience;
      this.#other = { owner, connection, deadlineMs: nowMs + waitMs };
      return waitMs;
    }
    if (nowMs < known.deadlineMs) return known.deadlineMs - nowMs;
    if (onTaken() === 'give up') return 'done';
    logger.warn(`Another session still holds ${path} in ZooKeeper: this node is not registered there until it ends`);
    return Number.POSITIVE_INFINITY;
  }
}

/** Whether ZooKeeper answered with one of the codes. */
export function isRefusal(error: unknown, ...codes: number[]): error is ZookeeperError {
  return error instanceof ZookeeperError && codes.includes(error.code);
}

/** Makes a node and those above it where they are missing. From below: whoever may make it need not be allowed to above. */
export async function makePath(connection: Connection, path: string): Promise<void> {
  try {
    await connection.createPersistent(path);
  } catch (error) {
    if (isRefusal(error, Exception.NODE_EXISTS)) return;
    if (!isRefusal(error, Exception.NO_NODE) || parentOf(path) === '') throw error;
    await makePath(connection, parentOf(path));
    await makePath(connection, path);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
