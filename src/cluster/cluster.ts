import type { Clock } from '../kernel/clock.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { membersMax } from './member-set.ts';
import type { Membership, Self } from './membership.ts';
import { PeerHttp } from './peer-http.ts';
import { type PartitionVitals, type Reach, VitalsWatch } from './vitals.ts';

export interface ClusterOptions {
  readonly membership: Membership;
  readonly self: Self;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Another node, as this one knows it. */
export interface Member {
  readonly id: string;
  readonly url: string;
  /**
   * What the node said last; `unreachable` when it did not answer the last question, `misaddressed` when another one did,
   * `unknown` before the first.
   */
  readonly state: string;
  readonly ready: boolean;
  readonly partitions: readonly PartitionVitals[];
  readonly lagMs: number | undefined;
  /** When it last answered this node, in milliseconds since the epoch. */
  readonly lastSeenMs: number | undefined;
}

const askEveryMs = 2_000;
const askTimeoutMs = 1_000;

const registries = { topic: 'a topic of heartbeats', zookeeper: 'ZooKeeper', list: 'the list in PEERS' } as const;

/**
 * This node among the others: announces it, and watches over HTTP how the others are, whatever registry they are found by. A
 * registry tells who is there; only a question tells who can be reached from here.
 */
export class Cluster implements Service {
  readonly name = 'cluster';
  readonly #options: ClusterOptions;
  readonly #watches = new Map<string, VitalsWatch>();
  /** There are as many members as may be, which has been said. */
  #isFull = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { membership, logger } = options;
    membership.subscribe(({ kind, id }) => {
      logger.info(`node ${id} has ${kind}`);
      if (kind === 'joined') this.#watch(id);
      else void this.#unwatch(id);
    });
    this.#registerMetrics();
  }

  async run(): Promise<void> {
    const { membership, self, logger } = this.#options;
    logger.info(`nodes find each other through ${registries[membership.registry]}; this one is ${self.id}`);
    await membership.join(self);
  }

  /** Others stop asking this node before it stops answering. It goes on asking them. */
  async drain(): Promise<void> {
    await this.#options.membership.withdraw();
  }

  async stop(): Promise<void> {
    await this.#options.membership.leave();
    await Promise.all([...this.#watches.keys()].map((id) => this.#unwatch(id)));
  }

  /** The other nodes, by id. */
  members(): readonly Member[] {
    const ids = [...this.#options.membership.members()].sort();
    return ids.map((id) => memberOf(id, this.#watches.get(id)));
  }

  #watch(id: string): void {
    const { clock, logger, membership } = this.#options;
    if (membership.members().size < membersMax) this.#isFull = false;
    else if (!this.#isFull) {
      this.#isFull = true;
      logger.warn(
        `this node knows of ${membersMax} others and takes no more: any further entry of the registry is ignored`,
      );
    }
    const http = new PeerHttp(id, askTimeoutMs, clock);
    const onChange = (reach: Reach, trouble: string | undefined) => {
      if (reach === 'reachable') logger.info(`node ${id} can be reached again`);
      else logger.warn(`node ${id} cannot be reached: ${trouble}`);
    };
    const options = { id, everyMs: askEveryMs, timeoutMs: askTimeoutMs, clock, onChange };
    this.#watches.set(id, new VitalsWatch(http, options));
  }

  async #unwatch(id: string): Promise<void> {
    const watch = this.#watches.get(id);
    this.#watches.delete(id);
    await watch?.stop();
  }

  #registerMetrics(): void {
    const { metrics, membership } = this.#options;
    metrics.gauge({
      name: 'bitacora_cluster_members',
      help: 'Other nodes, by whether they answered the last question.',
      labelNames: ['state'],
      read: () => {
        const counts: Record<Reach, number> = { reachable: 0, unreachable: 0, misaddressed: 0, unknown: 0 };
        for (const id of membership.members()) counts[this.#watches.get(id)?.reach ?? 'unknown'] += 1;
        return Object.entries(counts).map(([state, value]) => ({ labels: { state }, value }));
      },
    });
    metrics.gauge({
      name: 'bitacora_cluster_registered',
      help: 'Whether this node is in the registry, so that other nodes find it.',
      labelNames: ['registry'],
      read: () => [{ labels: { registry: membership.registry }, value: membership.isRegistered ? 1 : 0 }],
    });
    metrics.gauge({
      name: 'bitacora_cluster_ignored_entries',
      help: 'Entries of the registry of nodes that make no sense.',
      read: () => membership.ignoredEntries,
    });
  }
}

function memberOf(id: string, watch: VitalsWatch | undefined): Member {
  const { latest, seenAtMs: lastSeenMs, reach = 'unknown' } = watch ?? {};
  const current = reach === 'reachable' ? latest : undefined;
  const { partitions = [], lagMs } = latest ?? {};
  return {
    id,
    url: `http://${id}`,
    state: current?.state ?? reach,
    ready: current?.ready ?? false,
    partitions,
    lagMs,
    lastSeenMs,
  };
}
