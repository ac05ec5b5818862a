import type { LogFn } from 'pino';
import { Database } from '../../src/database/database.ts';
import type { MissLookupPolicy } from '../../src/database/miss-lookup.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { type Clock, systemClock } from '../../src/kernel/clock.ts';
import { Services } from '../../src/kernel/lifecycle.ts';
import type { Logger } from '../../src/kernel/logger.ts';
import { Metrics } from '../../src/kernel/metrics.ts';
import type { Appended, AppendRecord, LogReader, PartitionEnds, ReadFrom, ReadHandler } from '../../src/log/log.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';
import { type Partitioner, partitioners } from '../../src/log/partitioner.ts';
import { Replica } from '../../src/replica/replica.ts';
import { ArenaStore } from '../../src/store/arena-store.ts';
import { keyHash } from '../../src/store/key-hash.ts';
import { self, staticPeers } from './peers.ts';

/** A memory log whose answers and whose reading a test can hold back. */
export class HeldLog extends MemoryLog {
  /** In place of the log's own append, while set. */
  appendInstead: ((record: AppendRecord) => Promise<Appended>) | undefined;
  /** In place of the log's own ends, while set. */
  endsInstead: (() => Promise<readonly PartitionEnds[]>) | undefined;
  appends = 0;
  #batchesLeft = Number.POSITIVE_INFINITY;
  #letGo: () => void = () => {};

  /** From now on the reader gets this many more batches (records), and then waits. */
  holdAfter(batches: number): void {
    this.#batchesLeft = batches;
  }

  release(): void {
    this.#batchesLeft = Number.POSITIVE_INFINITY;
    this.#letGo();
  }

  override append(record: AppendRecord): Promise<Appended> {
    this.appends += 1;
    return this.appendInstead === undefined ? super.append(record) : this.appendInstead(record);
  }

  override ends(): Promise<readonly PartitionEnds[]> {
    return this.endsInstead === undefined ? super.ends() : this.endsInstead();
  }

  override read(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    const reader = super.read(from, {
      ...handler,
      onBatch: async (slices) => {
        while (this.#batchesLeft <= 0) {
          await new Promise<void>((resolve) => {
            this.#letGo = resolve;
          });
        }
        this.#batchesLeft -= 1;
        await handler.onBatch(slices);
      },
      onGap: (partition, nextOffset, leaderEpoch) => handler.onGap(partition, nextOffset, leaderEpoch),
      onDisturbance: (reason) => handler.onDisturbance(reason),
      onLineageLost: (reason) => handler.onLineageLost(reason),
    });
    return {
      stop: () => {
        this.release();
        return reader.stop();
      },
    };
  }
}

/** The wall clock stands where a test puts it; time-outs go by the real one. */
export class SetClock implements Clock {
  wallMs = 1_700_000_000_000;
  nowMs(): number {
    return this.wallMs;
  }
  monotonicMs(): number {
    return systemClock.monotonicMs();
  }
  after(delayMs: number, callback: () => void): () => void {
    return systemClock.after(delayMs, callback);
  }
}

export interface NodeOptions {
  log?: HeldLog;
  partitions?: number;
  valueBytesMax?: number;
  readTimeoutMs?: number;
  writeTimeoutMs?: number;
  /** Other nodes, `host:port`. */
  peers?: readonly string[];
  peerTimeoutMs?: number;
  missLookup?: MissLookupPolicy;
  /** Whether the node keeps its keys in order; `unfinished`: it would, and comes to no end. `on` by default. */
  orderedIndex?: 'on' | 'off' | 'unfinished';
  host?: string;
  /** 0, any free port, but for a test of a port that is taken. */
  port?: number;
}

export interface TestNode {
  readonly log: HeldLog;
  readonly clock: SetClock;
  readonly database: Database;
  readonly store: ArenaStore;
  readonly replica: Replica;
  readonly http: HttpServer;
  readonly metrics: Metrics;
  readonly partitioner: Partitioner;
  readonly port: number;
  /** What was logged at the levels warn, error and fatal. */
  readonly complaints: string[];
  stop(): Promise<void>;
}

export const version = '0.0.0-test';

/** Brings up the HTTP server over a memory log, at any free port; the topic is made by the node unless the log has it. */
export async function startNode(options: NodeOptions = {}): Promise<TestNode> {
  const { log = new HeldLog('test'), partitions = 1, valueBytesMax = 1024 } = options;
  const { readTimeoutMs = 30_000, writeTimeoutMs = 30_000 } = options;
  const clock = new SetClock();
  const metrics = new Metrics();
  const complaints: string[] = [];
  const logger = listeningLogger(complaints);
  const partitioner = partitioners.murmur2;
  const { orderedIndex = 'on' } = options;
  const ordered = orderedIndex !== 'off';
  const store = new ArenaStore({ tombstoneRetentionMs: 86_400_000, hash: keyHash([1, 2]), ordered });
  const replica = new Replica({
    log,
    store,
    finishStore: () => orderedIndex === 'unfinished' || store.buildIndex(),
    partitioner,
    settings: { partitions, maxMessageBytes: 16 * 1024 * 1024 },
    readyLagMaxMs: 30_000,
    clock,
    logger,
    metrics,
    onFatal: (error) => complaints.push(error.message),
  });
  const limits = { valueBytesMax, readTimeoutMs, writeTimeoutMs };
  const { missLookup = 'always', peerTimeoutMs: timeoutMs = 30_000 } = options;
  const { peers, cluster } = staticPeers(
    { clock, metrics, logger },
    { list: options.peers ?? [], timeoutMs, valueBytesMax },
  );
  const database = new Database({
    log,
    store,
    orderedStore: ordered ? store : undefined,
    replica,
    peers,
    cluster,
    missLookup,
    partitioner,
    ...limits,
    clock,
    metrics,
  });
  const { host = '127.0.0.1', port = 0 } = options;
  const http = new HttpServer({ database, host, port, identity: self, version, clock, logger, metrics });
  const services = new Services([log, replica, peers, http], logger);
  try {
    await services.run();
  } catch (error) {
    await services.stop();
    throw error;
  }
  const stop = () => {
    log.release();
    return services.stop();
  };
  return { log, clock, database, store, replica, http, metrics, partitioner, port: http.port, complaints, stop };
}

/** A node that has caught up with an empty topic. */
export async function startReadyNode(options: NodeOptions = {}): Promise<TestNode> {
  const node = await startNode(options);
  await until(() => node.database.status().ready);
  return node;
}

/** Resolves when the condition holds; whoever waits in vain is ended by the test's own time limit. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2));
}

function listeningLogger(complaints: string[]): Logger {
  const quiet: LogFn = () => {};
  const note = (...parts: unknown[]) => void complaints.push(parts.map(textOf).join(' '));
  const levels = { trace: quiet, debug: quiet, info: quiet, warn: note, error: note, fatal: note };
  return levels as unknown as Logger;
}

function textOf(part: unknown): string {
  if (typeof part === 'string') return part;
  const { err } = part as { err?: unknown };
  return err === undefined ? JSON.stringify(part) : String(err);
}
