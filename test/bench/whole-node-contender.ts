import type { LoadResult } from './closed-loop.ts';
import { taskOf, tell } from './contender.ts';
import { metricOf, startWholeNode } from './whole-node.ts';
import { putLoad } from './write-load.ts';

/** A whole node in a process of its own, over a real Kafka. */
export interface WholeNodeTask {
  readonly environment: Readonly<Record<string, string>>;
}

export interface WholeNodeUp {
  readonly port: number;
  readonly startMs: number;
}

/** `put`: writes from inside of the node. `writes`: what became of all so far. */
export type WholeNodeRequest =
  | { readonly what: 'put'; readonly writers: number; readonly durationMs: number }
  | { readonly what: 'writes' };

export interface WriteOutcomes {
  readonly appended: number;
  readonly refused: number;
  readonly unknown: number;
}

const { environment } = taskOf<WholeNodeTask>();
const { node, port, startMs } = await startWholeNode(environment);

async function outcomes(): Promise<WriteOutcomes> {
  const count = async (outcome: string): Promise<number> =>
    (await metricOf(port, `bitacora_log_appends_total{outcome="${outcome}"}`)) ?? 0;
  return { appended: await count('appended'), refused: await count('refused'), unknown: await count('unknown') };
}

function put(writers: number, durationMs: number): Promise<LoadResult> {
  return putLoad(writers, durationMs, async (key, value) => {
    const { applied } = await node.database.put(key, value, { wait: 'applied' });
    if (!applied) throw new Error('a write was answered before the node had applied it');
  });
}

process.on('message', (request: WholeNodeRequest) => {
  void (request.what === 'put' ? put(request.writers, request.durationMs) : outcomes()).then(tell);
});
tell({ port, startMs } satisfies WholeNodeUp);
