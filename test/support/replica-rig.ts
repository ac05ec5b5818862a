import { pino } from 'pino';
import { Database, type DatabaseOptions } from '../../src/database/database.ts';
import type { FatalError } from '../../src/kernel/errors.ts';
import type { Logger } from '../../src/kernel/logger.ts';
import { Metrics } from '../../src/kernel/metrics.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import { partitioners } from '../../src/log/partitioner.ts';
import { Replica } from '../../src/replica/replica.ts';
import { type ArenaSizes, ArenaStore } from '../../src/store/arena-store.ts';
import { keyHash } from '../../src/store/key-hash.ts';
import { MapStore } from '../../src/store/map-store.ts';
import { FakeClock, settled } from './fake-clock.ts';
import { staticPeers } from './peers.ts';
import { SteeredLog } from './steered-log.ts';

export const maxMessageBytes = 2_000_000;

/** A logger that keeps its lines: `warn: the message`. */
export function keepingLogger(lines: string[]): Logger {
  const write = (json: string) => {
    const { level, msg } = JSON.parse(json) as { level: number; msg: string };
    lines.push(`${pino.levels.labels[level]}: ${msg}`);
  };
  return pino({ level: 'debug' }, { write });
}

export interface ReplicaRigOptions {
  readonly partitions?: number;
  readonly readyLagMaxMs?: number;
  readonly store?: MapStore | ArenaStore;
}

/** Keeps its keys in order; small where a test wants to see it full. */
export function orderedStore(sizes?: ArenaSizes): ArenaStore {
  return new ArenaStore({ tombstoneRetentionMs: 0, hash: keyHash([1, 2]), ordered: true, ...(sizes && { sizes }) });
}

/** A replica over a log, a store and a clock that a test has in hand. */
export class ReplicaRig {
  readonly clock = new FakeClock();
  readonly log = new SteeredLog();
  readonly store: MapStore | ArenaStore;
  readonly metrics = new Metrics({ process: false });
  readonly lines: string[] = [];
  readonly fatal: FatalError[] = [];
  readonly replica: Replica;
  readonly #partitions: number;

  constructor({ partitions = 1, readyLagMaxMs = 10_000, store = new MapStore(0) }: ReplicaRigOptions = {}) {
    this.#partitions = partitions;
    this.store = store;
    this.replica = new Replica({
      log: this.log,
      store,
      finishStore: () => !(store instanceof ArenaStore) || store.buildIndex(),
      partitioner: partitioners.murmur2,
      settings: { partitions, maxMessageBytes },
      readyLagMaxMs,
      clock: this.clock,
      logger: keepingLogger(this.lines),
      metrics: this.metrics,
      onFatal: (error) => this.fatal.push(error),
    });
  }

  /** A database over the rig's parts. */
  database(limits: Pick<DatabaseOptions, 'valueBytesMax' | 'readTimeoutMs' | 'writeTimeoutMs'>): Database {
    const { log, store, replica, clock } = this;
    const others = staticPeers({ clock, metrics: new Metrics({ process: false }), logger: keepingLogger(this.lines) });
    const parts = {
      log,
      store,
      orderedStore: store instanceof ArenaStore ? store : undefined,
      replica,
      ...others,
      missLookup: 'never' as const,
      clock,
      metrics: new Metrics({ process: false }),
    };
    return new Database({ ...parts, partitioner: partitioners.murmur2, ...limits });
  }

  /** Makes the topic, so that there may be records before the replica starts. */
  async createTopic(): Promise<void> {
    await this.log.inner.create({ partitions: this.#partitions, maxMessageBytes });
  }

  async run(): Promise<void> {
    await this.replica.run();
    await settled();
  }

  /** Writes as another program does; answers the partition and offset. */
  write(key: string, value: string | null): { partition: number; offset: number } {
    const bytes = Buffer.from(key);
    const partition = this.#partitions === 1 ? 0 : partitioners.murmur2(bytes, this.#partitions);
    const nowMs = this.clock.nowMs();
    return this.log.inner.appendForeign(partition, bytes, value === null ? null : Buffer.from(value), nowMs);
  }

  /** What the replica's own store has under the key. */
  value(key: string): string | undefined {
    return this.store.get(Buffer.from(key), this.clock.nowMs())?.value.toString();
  }

  /** The value of a metric without labels. */
  async metric(name: string): Promise<number | undefined> {
    const line = (await this.metrics.text()).split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }

  /** Another topic of the same name, with records under these keys, written now. */
  async topicWith(...keys: string[]): Promise<MemoryLog> {
    const topic = new MemoryLog('topic');
    await topic.create({ partitions: this.#partitions, maxMessageBytes });
    for (const key of keys) topic.appendForeign(0, Buffer.from(key), Buffer.from('new'), this.clock.nowMs());
    return topic;
  }
}
