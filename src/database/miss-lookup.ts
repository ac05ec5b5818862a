import type { Cluster } from '../cluster/cluster.ts';
import type { LookupOutcome } from '../cluster/lookup-race.ts';
import { topicName } from '../cluster/peer-answer.ts';
import type { Peers } from '../cluster/peers.ts';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Metrics } from '../kernel/metrics.ts';
import type { PartitionEnds } from '../log/log.ts';
import type { Replica } from '../replica/replica.ts';
import type { Store } from '../store/store.ts';
import type { Reading } from './database.ts';

/** When a key that is not in memory is looked up at other nodes. */
export type MissLookupPolicy =
  | 'always'
  /** Only while this node has not read the partition to where it ended at the start. */
  | 'behind'
  | 'never';

export interface MissLookupsOptions {
  readonly policy: MissLookupPolicy;
  readonly cluster: Cluster;
  readonly peers: Peers;
  readonly store: Store;
  readonly replica: Replica;
  /** By a question to the log that is sent after the call. */
  readonly freshEnds: () => Promise<readonly PartitionEnds[]>;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Look-ups at other nodes of keys that are not in memory: one for each key, however many callers wait for it. */
export class MissLookups {
  readonly #options: MissLookupsOptions;
  readonly #underWay = new Map<string, Promise<Reading>>();
  #callers = 0;

  constructor(options: MissLookupsOptions) {
    this.#options = options;
    options.metrics.counter({
      name: 'bitacora_lookup_callers_total',
      help: 'Reads that waited for a look-up at other nodes, be it their own or one that was under way.',
      read: () => this.#callers,
    });
  }

  /** Whether a miss in `partition` is to be looked up, as things stand. */
  applies(partition: number): boolean {
    const { policy, peers, replica } = this.#options;
    if (policy === 'never' || !peers.any) return false;
    return policy === 'always' || !replica.isCaughtUp(partition);
  }

  /** Rejects with `not_caught_up` when nobody who knows could be asked. */
  find(key: Buffer, partition: number): Promise<Reading> {
    this.#callers += 1;
    const name = key.toString('latin1');
    let reading = this.#underWay.get(name);
    if (reading === undefined) {
      reading = this.#lookUp(key, partition).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, reading);
    }
    return reading;
  }

  async #lookUp(key: Buffer, partition: number): Promise<Reading> {
    const { peers, replica, cluster } = this.#options;
    const { topic, clusterId } = replica.topic!;
    const lookup = peers.lookUp({
      key,
      partition,
      topic: topicName(clusterId, topic),
      local: () => ({
        position: replica.position(partition),
        end: replica.end(partition),
        caughtUp: replica.isCaughtUp(partition),
      }),
      freshEnd: () => this.#freshEnd(partition),
      lastSeenMs: (node) => cluster.members().find(({ id }) => id === node)?.lastSeenMs,
    });
    const unwatch = replica.arrivals.watch(key, {
      arrived: () => lookup.logDelivered(),
      abandoned: () => lookup.abandon(),
    });
    try {
      return this.#readingOf(key, partition, await lookup.outcome);
    } finally {
      unwatch();
    }
  }

  async #freshEnd(partition: number): Promise<number> {
    const bounds = (await this.#options.freshEnds()).find((candidate) => candidate.partition === partition);
    if (bounds === undefined) {
      throw new BitacoraError('log_unavailable', `The log did not say where partition ${partition} ends.`);
    }
    return bounds.end;
  }

  #readingOf(key: Buffer, partition: number, outcome: LookupOutcome): Reading {
    const { store, replica, clock } = this.#options;
    switch (outcome.kind) {
      case 'log': {
        const position = replica.position(partition);
        return { partition, position, found: store.get(key, clock.nowMs()), source: 'log' };
      }
      case 'found': {
        const { position, value } = outcome;
        const isLive = value.expiresAtMs === undefined || value.expiresAtMs > clock.nowMs();
        return { partition, position, found: isLive ? value : undefined, source: 'peer' };
      }
      case 'absent':
        return { partition, position: outcome.position, found: undefined, source: outcome.source };
      case 'unknown':
        if (!outcome.shown) throw notCaughtUp('No other node that has could be asked in time.');
        throw new BitacoraError(
          'not_caught_up',
          'Another node has a value from beyond the end of the log that this node has heard of, and the log did not say in ' +
            'time whether it goes on so far. Ask again later.',
        );
    }
  }
}

export function notCaughtUp(why: string): BitacoraError {
  return new BitacoraError('not_caught_up', `The node is still reading the log. ${why} Ask again later.`);
}
