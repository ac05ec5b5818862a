import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';
import { GeneratedLog } from './generated-log.ts';

/** Replica, store, index and snapshots as a node has them, over a log that is made up. */
export interface StallTask {
  readonly keys: number;
  readonly writesPerSecond: number;
  /** With everything in order. */
  readonly durationMs: number;
}

/** What goes on beside the writes. */
export type Phase = 'filling' | 'building the index' | 'keeping it' | 'writing a snapshot';

export interface Stall {
  /** The longest time between two turns of the event loop. */
  readonly longestMs: number;
  /** The same, but no turn counts for more than the processor time of this process in it. */
  readonly longestOwnMs: number;
}

export interface StallFigures {
  readonly stalls: Readonly<Record<Phase, Stall>>;
  /** As Node.js itself counts, from the end of filling on. */
  readonly histogramMostMs: number;
  readonly longestCollectionMs: number;
  readonly writesPerSecond: number;
  readonly snapshots: number;
}

const { keys, writesPerSecond, durationMs } = taskOf<StallTask>();
const resolutionMs = 1;
const snapshotEveryMs = 1_000;
const lookEveryMs = 50;
/** Of the whole time that writes come, the index's building included. */
const writesMost = writesPerSecond * 300;
const partitionerName = 'murmur2';

const { systemClock: clock } = await built<typeof import('../../src/kernel/clock.ts')>('kernel/clock.js');
const { createLogger } = await built<typeof import('../../src/kernel/logger.ts')>('kernel/logger.js');
const { Metrics } = await built<typeof import('../../src/kernel/metrics.ts')>('kernel/metrics.js');
const { partitioners } = await built<typeof import('../../src/log/partitioner.ts')>('log/partitioner.js');
const { Replica } = await built<typeof import('../../src/replica/replica.ts')>('replica/replica.js');
const { SnapshotFile } = await built<typeof import('../../src/snapshot/snapshot-file.ts')>('snapshot/snapshot-file.js');
const { ArenaStore } = await built<typeof import('../../src/store/arena-store.ts')>('store/arena-store.js');
const { keyHash } = await built<typeof import('../../src/store/key-hash.ts')>('store/key-hash.js');

const seed = [0x1234, 0x5678] as const;
const store = new ArenaStore({ tombstoneRetentionMs: 86_400_000, hash: keyHash(seed), ordered: true });
const log = new GeneratedLog({ keys, writesPerSecond }, writesMost);
const folder = await mkdtemp(join(tmpdir(), 'bitacora-bench-stall-'));
const metrics = new Metrics({ process: false });
const replica = new Replica({
  log,
  store,
  finishStore: () => store.buildIndex(),
  snapshots: {
    file: new SnapshotFile({ path: join(folder, 'bench.snapshot'), store, seed }),
    intervalMs: snapshotEveryMs,
    partitioner: partitionerName,
  },
  partitioner: partitioners[partitionerName],
  settings: { partitions: 1, maxMessageBytes: 1_048_576 },
  readyLagMaxMs: 30_000,
  clock,
  logger: createLogger('error', { terminal: false }),
  metrics,
  onFatal: (error) => {
    throw error;
  },
});

let phase: Phase = 'filling';
const stalls: Record<Phase, { longestMs: number; longestOwnMs: number }> = {
  filling: { longestMs: 0, longestOwnMs: 0 },
  'building the index': { longestMs: 0, longestOwnMs: 0 },
  'keeping it': { longestMs: 0, longestOwnMs: 0 },
  'writing a snapshot': { longestMs: 0, longestOwnMs: 0 },
};

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** Comes round once in every turn of the event loop. */
let watching = true;
function watch(lastMs: number, lastProcessorMs: number, lastPhase: Phase): void {
  if (!watching) return;
  const [nowMs, nowProcessorMs] = [performance.now(), processorMs()];
  const stall = stalls[lastPhase];
  stall.longestMs = Math.max(stall.longestMs, nowMs - lastMs);
  stall.longestOwnMs = Math.max(stall.longestOwnMs, Math.min(nowMs - lastMs, nowProcessorMs - lastProcessorMs));
  setImmediate(watch, nowMs, nowProcessorMs, phase);
}

let longestCollectionMs = 0;
const collections = new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longestCollectionMs = Math.max(longestCollectionMs, duration);
});

/** Whether one is being written: it is a file of another name until it is whole. */
async function isWritingSnapshot(): Promise<boolean> {
  return (await readdir(folder)).some((name) => name !== 'bench.snapshot');
}

async function measure(): Promise<StallFigures> {
  setImmediate(watch, performance.now(), processorMs(), phase);
  await replica.run();
  while (!replica.isCaughtUp(0)) await delay(5);
  collections.observe({ entryTypes: ['gc'] });
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  const [startedMs, writesBefore] = [performance.now(), log.writes];
  let [orderedAtMs, snapshots, wasWriting] = [Number.POSITIVE_INFINITY, 0, false];
  while (performance.now() < orderedAtMs + durationMs) {
    const isWriting = await isWritingSnapshot();
    if (wasWriting && !isWriting) snapshots += 1;
    wasWriting = isWriting;
    if (!store.isOrdered) phase = 'building the index';
    else phase = isWriting ? 'writing a snapshot' : 'keeping it';
    if (store.isOrdered) orderedAtMs = Math.min(orderedAtMs, performance.now());
    await delay(lookEveryMs);
  }
  histogram.disable();
  watching = false;
  const perSecond = ((log.writes - writesBefore) * 1_000) / (performance.now() - startedMs);
  await log.end();
  if (store.size.values !== log.liveKeys) {
    throw new Error(`the store has ${store.size.values} values, and the log ${log.liveKeys}`);
  }
  return {
    stalls,
    histogramMostMs: histogram.max / 1e6 - resolutionMs,
    longestCollectionMs,
    writesPerSecond: perSecond,
    snapshots,
  };
}

// The process ends as soon as it has told. A snapshot may be under way until then.
tell(await measure().finally(() => rm(folder, { recursive: true, maxRetries: 5 })));
