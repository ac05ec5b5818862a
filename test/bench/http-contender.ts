import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';
import { keyAt } from './keys.ts';

export type HttpTask =
  | { readonly server: 'bitacora'; readonly keys: number; readonly valueBytes: number }
  | { readonly server: 'node:http' | 'express'; readonly headers: Record<string, string>; readonly body: string };

export interface Listening {
  readonly port: number;
}

export interface Usage {
  /** Processor time that the process has used since it started. */
  readonly cpuUs: number;
}

const host = '127.0.0.1';

/** A node without Kafka: everything that a read comes by is the real thing, over a log in memory. */
async function startBitacora(keys: number, valueBytes: number): Promise<number> {
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
  const { MapStore } = await built<typeof import('../../src/store/map-store.ts')>('store/map-store.js');

  const logger = createLogger('error', { terminal: false });
  const metrics = new Metrics();
  const log = new MemoryLog('bench');
  const settings = { partitions: 1, maxMessageBytes: 1_048_576 };
  await log.create(settings);
  for (let i = 0; i < keys; i += 1) {
    const value = Buffer.alloc(valueBytes, 'v');
    await log.append({ partition: 0, key: Buffer.from(keyAt(i)), value, timestampMs: clock.nowMs() });
  }
  const store = new MapStore(86_400_000);
  const partitioner = partitioners.murmur2;
  const onFatal = (error: Error): never => {
    throw error;
  };
  const readyLagMaxMs = 30_000;
  const replica = new Replica({ log, store, partitioner, settings, readyLagMaxMs, clock, logger, metrics, onFatal });
  await replica.run();
  while (replica.status().state !== 'serving') await new Promise((resolve) => setTimeout(resolve, 10));
  const limits = { valueBytesMax: 1_048_576, readTimeoutMs: 5_000, writeTimeoutMs: 10_000 };
  const self = { id: `${host}:0`, instance: 'bench' };
  const membership = new StaticMembership([]);
  const cluster = new Cluster({ membership, self, clock, logger, metrics });
  const peers = new Peers({ membership, timeoutMs: 250, valueBytesMax: 1_048_576, clock, metrics });
  const others = { cluster, peers, missLookup: 'never' as const, metrics };
  const database = new Database({ log, store, replica, partitioner, clock, ...others, ...limits });
  const http = new HttpServer({ database, host, port: 0, identity: self, version: 'bench', clock, logger, metrics });
  await http.run();
  return http.port;
}

/** The least that node:http can do for the same body. */
function bareServer(headers: Record<string, string>, text: string): Server {
  const body = Buffer.from(text);
  const pairs = Object.entries(headers).flat();
  return createServer((_request, response) => {
    response.writeHead(200, pairs);
    response.end(body);
  });
}

/** The least that express can do for the same body. */
function expressServer(headers: Record<string, string>, text: string): Server {
  const body = Buffer.from(text);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/rpc', (_request, response) => {
    response.writeHead(200, headers);
    response.end(body);
  });
  return createServer(app);
}

async function start(task: HttpTask): Promise<number> {
  if (task.server === 'bitacora') return startBitacora(task.keys, task.valueBytes);
  const make = task.server === 'express' ? expressServer : bareServer;
  const server = make(task.headers, task.body);
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  return (server.address() as AddressInfo).port;
}

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  tell({ cpuUs: user + system } satisfies Usage);
});
tell({ port: await start(taskOf<HttpTask>()) } satisfies Listening);
