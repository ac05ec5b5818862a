import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Node } from '../../src/main.ts';
import { freePort } from '../support/kafka/ports.ts';
import { built } from './built.ts';

export interface WholeNode {
  readonly node: Node;
  readonly port: number;
  /** From its start until it serves: it has then described the topic and read to the end. */
  readonly startMs: number;
}

/**
 * The whole program, in this process so that its memory can be looked into. What `environment` does not say is as for a node of
 * its own: it resumes from no snapshot and leaves none.
 */
export async function startWholeNode(environment: Readonly<Record<string, string>>): Promise<WholeNode> {
  const { createNode } = await built<typeof import('../../src/main.ts')>('main.js');
  const { readArguments } = await built<typeof import('../../src/config/config.ts')>('config/config.js');
  const { createLogger } = await built<typeof import('../../src/kernel/logger.ts')>('kernel/logger.js');
  const port = environment.API_PORT === undefined ? await freePort() : Number(environment.API_PORT);
  const command = readArguments([], {
    // It names the consumer group: nobody else has had it.
    NODENAME: `bench-${randomUUID()}`,
    SNAPSHOT_INTERVAL_MS: '0',
    AVRO_PORT: String(await freePort()),
    ...environment,
    API_PORT: String(port),
  });
  if (command.kind !== 'run') throw new Error('the node would not run');
  const node = createNode(command.config, createLogger('error', { terminal: false }), (error) => {
    throw error;
  });
  const startedMs = performance.now();
  await node.run();
  while (node.database.status().state !== 'serving') await delay(2);
  return { node, port, startMs: performance.now() - startedMs };
}

/** What the program tells of itself at /metrics: the value of the line that begins with `name`, labels and all. */
export async function metricOf(port: number, name: string): Promise<number | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}
