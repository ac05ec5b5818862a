import { Exception } from 'node-zookeeper-client';
import type { Clock } from '../../kernel/clock.ts';
import { FatalError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { MemberSet } from '../member-set.ts';
import type { Membership, MembershipEvent, Self } from '../membership.ts';
import type { Connection } from './connection.ts';
import { isRefusal, makePath, Registration } from './registration.ts';
import { Repeater } from './repeater.ts';
import { SessionLoop } from './session-loop.ts';

const leaveTimeoutMs = 1_000;

export interface ZookeeperMembershipOptions {
  readonly connect: {
    /** `host:port` of each server. */
    readonly hosts: readonly string[];
    /** The node under which all others are: empty, or like `/a/b`. */
    readonly chroot: string;
  };
  /** As asked of the servers, which may decide otherwise. */
  readonly sessionTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once if another node is registered under this node's id. */
  readonly onFatal: (error: FatalError) => void;
}

/** The members that have registered in ZooKeeper, each as a node that vanishes with its session. */
export class ZookeeperMembership implements Membership {
  readonly registry = 'zookeeper';
  readonly #options: ZookeeperMembershipOptions;
  readonly #folder: string;
  readonly #members = new MemberSet();
  readonly #session: SessionLoop;
  readonly #leaving = new AbortController();
  #running: Promise<void> | undefined;
  /** Over which this node was last found in place. */
  #registeredOver: Connection | undefined;
  #withdrawn: Promise<void> | undefined;

  constructor(options: ZookeeperMembershipOptions) {
    const { connect, sessionTimeoutMs, clock, logger } = options;
    this.#options = options;
    this.#folder = `${connect.chroot}/bitacora`;
    this.#session = new SessionLoop({ hosts: connect.hosts, sessionTimeoutMs, clock, logger });
  }

  async join(self: Self): Promise<void> {
    if (this.#running !== undefined) return;
    const { clock, logger } = this.#options;
    const look = new Repeater('look at the members', clock, logger);
    const asServer = this.#registration('servers', self.id, () => this.#refuse(self));
    const asSocket =
      self.socket === undefined ? undefined : this.#registration('sockets', self.socket, () => 'wait on');

    const serve = async (connection: Connection) => {
      let registered: Promise<void> | undefined;
      await Promise.all([
        look.run(connection, (_, changed) => this.#look(connection, self.id, changed)),
        // A second node of this id is to announce nothing.
        asServer.run(connection, () => {
          this.#registeredOver = connection;
          registered ??= asSocket?.run(connection);
        }),
      ]);
      await registered;
    };
    this.#running = this.#session.run(serve, this.#leaving.signal);
  }

  /** The node vanishes with its session, and nothing more is heard of the others. */
  withdraw(): Promise<void> {
    this.#withdrawn ??= this.#endSession();
    return this.#withdrawn;
  }

  leave(): Promise<void> {
    this.#members.silence();
    return this.withdraw();
  }

  members(): ReadonlySet<string> {
    return this.#members.ids;
  }

  subscribe(listener: (event: MembershipEvent) => void): void {
    this.#members.subscribe(listener);
  }

  get ignoredEntries(): number {
    return this.#members.ignored;
  }

  get isRegistered(): boolean {
    return this.#registeredOver !== undefined && !this.#registeredOver.over.aborted;
  }

  async #look(connection: Connection, ownId: string, changed: () => void): Promise<number> {
    const path = `${this.#folder}/servers`;
    try {
      const names = await connection.children(path, changed);
      this.#session.worked();
      this.#members.replace(names, ownId);
      return Number.POSITIVE_INFINITY;
    } catch (error) {
      if (!isRefusal(error, Exception.NO_NODE)) throw error;
      await makePath(connection, path);
      return 0;
    }
  }

  #registration(kind: 'servers' | 'sockets', name: string, onTaken: () => 'give up' | 'wait on'): Registration {
    const { clock, logger } = this.#options;
    const path = `${this.#folder}/${kind}/${name}`;
    return new Registration({
      path,
      data: name,
      clock,
      logger,
      isFormer: (id) => this.#session.isFormer(id),
      onTaken,
    });
  }

  #refuse({ id }: Self): 'give up' {
    const what = `another node is registered in ZooKeeper as ${id}`;
    this.#options.onFatal(new FatalError(`${what}: give this one a NODENAME or an API_PORT of its own`));
    return 'give up';
  }

  async #endSession(): Promise<void> {
    this.#leaving.abort();
    const { connection } = this.#session;
    if (connection !== undefined) {
      const cancel = this.#options.clock.after(leaveTimeoutMs, () => void connection.destroy());
      await connection.closeSession();
      cancel();
    }
    await this.#running;
  }
}
