import type { Clock } from '../kernel/clock.ts';
import { FatalError } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { type Membership, type Self, takenMessage } from './membership.ts';
import { PeerHttp } from './peer-http.ts';
import { askVitals, type PartitionVitals, type Vitals, VitalsWatch } from './vitals.ts';

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
  /** What the node said last; `unreachable` when it did not answer the last question, `unknown` before the first. */
  readonly state: string;
  readonly ready: boolean;
  readonly partitions: readonly PartitionVitals[];
  readonly lagMs: number | undefined;
  /** When it last answered this node, in milliseconds since the epoch. */
  readonly lastSeenMs: number | undefined;
}

const askEveryMs = 2_000;
const askTimeoutMs = 1_000;

/**
 * This node among the others: announces it, and watches over HTTP how the others are, whatever registry they are found by. A
 * registry tells who is there; only a question tells who can be reached from here.
 */
export class Cluster implements Service {
  readonly name = 'cluster';
  readonly #options: ClusterOptions;
  readonly #watches = new Map<string, VitalsWatch>();

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

  /** Rejects with a `FatalError` when another node answers at this node's address. */
  async run(): Promise<void> {
    const { membership, self } = this.#options;
    await this.#findItself();
    await membership.join(self);
  }

  /** Others stop asking this node before it stops answering. */
  async drain(): Promise<void> {
    await this.#options.membership.leave();
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

  /** Others dial what this node gives out as its address. Whether that leads here, only dialling it tells. */
  async #findItself(): Promise<void> {
    const { self, clock, logger } = this.#options;
    const http = new PeerHttp(self.id, askTimeoutMs, clock);
    let found: Vitals;
    try {
      found = await askVitals(http, askTimeoutMs);
    } catch (error) {
      logger.warn(
        `this node cannot reach itself at http://${self.id} (${(error as Error).message}), so other nodes will not either: ` +
          'set NODENAME to a name or address of this machine that they can reach, and API_HOST to one that takes it in',
      );
      return;
    } finally {
      await http.close();
    }
    if (found.instance !== self.instance) throw new FatalError(takenMessage(self.id));
  }

  #watch(id: string): void {
    const { clock } = this.#options;
    const http = new PeerHttp(id, askTimeoutMs, clock);
    this.#watches.set(id, new VitalsWatch(http, { everyMs: askEveryMs, timeoutMs: askTimeoutMs, clock }));
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
        const unreachable = this.members().filter(({ state }) => state === 'unreachable').length;
        const reachable = membership.members().size - unreachable;
        return [
          { labels: { state: 'reachable' }, value: reachable },
          { labels: { state: 'unreachable' }, value: unreachable },
        ];
      },
    });
    metrics.gauge({
      name: 'bitacora_cluster_ignored_entries',
      help: 'Entries of the registry of nodes that make no sense.',
      read: () => membership.ignoredEntries,
    });
  }
}

function memberOf(id: string, watch: VitalsWatch | undefined): Member {
  const { latest, seenAtMs: lastSeenMs, trouble } = watch ?? {};
  const isReachable = latest !== undefined && trouble === undefined;
  const state = isReachable ? latest.state : trouble === undefined ? 'unknown' : 'unreachable';
  const { partitions = [], lagMs } = latest ?? {};
  return { id, url: `http://${id}`, state, ready: isReachable && latest.ready, partitions, lagMs, lastSeenMs };
}
