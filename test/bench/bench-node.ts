import type { Database } from '../../src/database/database.ts';
import { built } from './built.ts';
import { keyAt } from './keys.ts';

export interface NodeTask {
  readonly keys: number;
  readonly valueBytes: number;
  /** Other nodes, `host:port`. */
  readonly peers?: readonly string[];
  /** false: the node never gets to read its log, and has to ask the others. */
  readonly reads?: boolean;
}

export interface BenchNode {
  readonly database: Database;
  readonly port: number;
}

const host = '127.0.0.1';

/** A node without Kafka: everything that a read comes by is the real thing, over a log in memory. */
export async function startNode({ keys, valueBytes, peers: list = [], reads = true }: NodeTask): Promise<BenchNode> {
  const { Database } = await built<typeof import('../../src/database/database.ts')>('database/database.js');
  const { HttpServer } = await built<typeof import('../../src/http/http-server.ts')>('http/http-server.js');
  const { systemClock: clock } = await built<typeof import('../../src/kernel/clock.ts')>('kernel/clock.js');
  const { Cluster } = await built<typeof import('../../src/cluster/cluster.ts')>('cluster/cluster.js');
  const { Peers } = await built<typeof import('../../src/cluster/peers.ts')>('cluster/peers.js');
  const { StaticMembership } =
    await built<typeof import('../../src/cluster/static-membership.ts')>('cluster/static-membership.js');
  const { createLogger } = await built<typeof import('../../src/kernel/logger.ts')>('kernel/logger.js');
  const { Metrics } = await built<typeof import('../../src/kernel/metrics.ts')>('kernel/metrics.js');
  const { MemoryLog } = await built<typeof import('../../src/log/memory-log.ts')>('log/memory-log.js');
  const { partitioners } = await built<typeof import('../../src/log/partitioner.ts')>('log/partitioner.js');
  const { Replica } = await built<typeof import('../../src/replica/replica.ts')>('replica/replica.js');
  const { ArenaStore } = await built<typeof import('../../src/store/arena-store.ts')>('store/arena-store.js');
  const { keyHash } = await built<typeof import('../../src/store/key-hash.ts')>('store/key-hash.js');

  const logger = createLogger('error', { terminal: false });
  const metrics = new Metrics();
  const log = new MemoryLog('bench');
  const settings = { partitions: 1, maxMessageBytes: 1_048_576 };
  await log.create(settings);
  for (let i = 0; i < keys; i += 1) {
    const value = Buffer.alloc(valueBytes, 'v');
    await log.append({ partition: 0, key: Buffer.from(keyAt(i)), value, timestampMs: clock.nowMs() });
  }
  if (!reads) log.read = () => ({ stop: async () => {} });
  const store = new ArenaStore({ tombstoneRetentionMs: 86_400_000, hash: keyHash([1, 2]), ordered: false });
  const partitioner = partitioners.murmur2;
  const onFatal = (error: Error): never => {
    throw error;
  };
  const readyLagMaxMs = 30_000;
  const replica = new Replica({ log, store, partitioner, settings, readyLagMaxMs, clock, logger, metrics, onFatal });
  await replica.run();
  const isUp = () => replica.status().state === (reads ? 'serving' : 'catching-up');
  while (!isUp()) await new Promise((resolve) => setTimeout(resolve, 10));
  const limits = { valueBytesMax: 1_048_576, readTimeoutMs: 5_000, writeTimeoutMs: 10_000 };
  const self = { id: `${host}:0`, instance: 'bench' };
  const membership = new StaticMembership(list);
  await membership.join(self);
  const cluster = new Cluster({ membership, self, clock, logger, metrics });
  const peers = new Peers({ membership, timeoutMs: 250, valueBytesMax: 1_048_576, clock, metrics });
  const others = { cluster, peers, missLookup: 'always' as const, metrics };
  const database = new Database({ log, store, replica, partitioner, clock, ...others, ...limits });
  const http = new HttpServer({ database, host, port: 0, identity: self, version: 'bench', clock, logger, metrics });
  await http.run();
  return { database, port: http.port };
}
