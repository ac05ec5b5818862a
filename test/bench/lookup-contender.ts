import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { type NodeTask, startNode } from './bench-node.ts';
import { percentilesOf } from './closed-loop.ts';
import { taskOf, tell } from './contender.ts';

export type LookupTask =
  | ({ readonly role: 'node' } & NodeTask)
  /** A server that passes each request on to `origin`, and its answer back, and does nothing else. */
  | { readonly role: 'relay'; readonly origin: string };

/** What to do in the process of a node, one after the other and nothing at the same time. */
export interface Sequential {
  readonly what: 'look up' | 'plain GET';
  readonly keys: readonly string[];
  readonly origin: string;
}

export interface Latencies {
  readonly p50Us: number;
  readonly p99Us: number;
}

const longestUs = 1_000_000;
const task = taskOf<LookupTask>();

async function relay(origin: string): Promise<number> {
  const pool = new Pool(origin, { connections: 64 });
  const server = createServer((request, response) => {
    void pool.request({ path: request.url!, method: 'GET' }).then(async ({ statusCode, headers, body }) => {
      response.writeHead(statusCode, headers as Record<string, string>);
      response.end(Buffer.from(await body.arrayBuffer()));
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  return (server.address() as AddressInfo).port;
}

async function timed(keys: readonly string[], once: (key: string) => Promise<unknown>): Promise<Latencies> {
  const countsByUs = new Uint32Array(longestUs + 1);
  for (const key of keys) {
    const startMs = performance.now();
    await once(key);
    countsByUs[Math.min(longestUs, Math.round((performance.now() - startMs) * 1_000))]! += 1;
  }
  const percentile = percentilesOf(countsByUs);
  return { p50Us: percentile(0.5), p99Us: percentile(0.99) };
}

if (task.role === 'relay') tell({ port: await relay(task.origin) });
else {
  const { database, port } = await startNode(task);
  const pools = new Map<string, Pool>();
  process.on('message', ({ what, keys, origin }: Sequential) => {
    const pool = pools.get(origin) ?? new Pool(origin);
    pools.set(origin, pool);
    const once =
      what === 'look up'
        ? async (key: string) => {
            const { found } = await database.read(Buffer.from(key));
            if (found === undefined) throw new Error(`the peer did not answer for ${key}`);
          }
        : async (key: string) => {
            const headers = { accept: 'application/octet-stream' };
            const { body } = await pool.request({ path: `/rpc/cluster?key=${key}`, method: 'GET', headers });
            await body.arrayBuffer();
          };
    void timed(keys, once).then(tell);
  });
  tell({ port });
}
