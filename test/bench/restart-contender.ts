import type { OrderedStore } from '../../src/store/store.ts';
import { taskOf, tell } from './contender.ts';
import { sampleDigest } from './sample-digest.ts';
import { metricOf, startWholeNode } from './whole-node.ts';

/** A whole node over a topic of `records` keys, that resumes if it can, and leaves a snapshot when it stops. */
export interface RestartTask {
  readonly environment: Readonly<Record<string, string>>;
  readonly records: number;
  readonly resumes: boolean;
}

export interface Restarted {
  /** Until it serves reads. */
  readonly startMs: number;
  /** From its start too, until it answers scans. */
  readonly orderedMs: number;
  readonly stopMs: number;
  readonly digest: number;
}

const { environment, records, resumes } = taskOf<RestartTask>();
const startedMs = performance.now();
const { node, port, startMs } = await startWholeNode(environment);
const store = node.store as OrderedStore;
while (!store.isOrdered) await new Promise((resolve) => setTimeout(resolve, 5));
const orderedMs = performance.now() - startedMs;
const { values } = store.size;
if (values !== records) throw new Error(`the node has ${values} values`);
const hasResumed = (await metricOf(port, 'bitacora_snapshot_start{outcome="resumed"}')) === 1;
if (hasResumed !== resumes) throw new Error(`the node ${hasResumed ? 'resumed' : 'read everything'}`);
const digest = sampleDigest(records, (key) => store.get(Buffer.from(key), Date.now())?.value);
const stoppingMs = performance.now();
await node.stop();
tell({ startMs, orderedMs, stopMs: performance.now() - stoppingMs, digest } satisfies Restarted);
