import { randomUUID } from 'node:crypto';
import type { EachBatchPayload } from 'kafkajs';
import { kafkajsClient } from '../support/kafka/client.ts';
import { freePort } from '../support/kafka/ports.ts';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';

export interface ReplayTask {
  readonly reader: 'node' | 'into a map' | 'counting';
  readonly brokerList: string;
  readonly topic: string;
  readonly records: number;
}

export interface Replayed {
  readonly elapsedMs: number;
}

const mebibyte = 1024 * 1024;
const { reader, brokerList, topic, records } = taskOf<ReplayTask>();

/** A whole node, from its start until it serves: it has then described the topic, joined its group and read to the end. */
async function replayIntoNode(): Promise<number> {
  const { createNode } = await built<typeof import('../../src/main.ts')>('main.js');
  const { readArguments } = await built<typeof import('../../src/config/config.ts')>('config/config.js');
  const { createLogger } = await built<typeof import('../../src/kernel/logger.ts')>('kernel/logger.js');
  // The port names the consumer group; the node name makes sure that nobody else has had it.
  const options = {
    BROKER_LIST: brokerList,
    KAFKA_TOPIC: topic,
    NODENAME: `bench-${randomUUID()}`,
    API_PORT: String(await freePort()),
  };
  const command = readArguments([], options);
  if (command.kind !== 'run') throw new Error('the node would not run');
  const node = createNode(command.config, createLogger('silent', { terminal: false }), (error) => {
    throw error;
  });
  const startedMs = performance.now();
  await node.run();
  while (node.database.status().state !== 'serving') await new Promise((resolve) => setTimeout(resolve, 2));
  const elapsedMs = performance.now() - startedMs;
  if (node.store.size.values !== records) throw new Error(`the node has ${node.store.size.values} values`);
  await node.stop();
  return elapsedMs;
}

/** kafkajs with the fetch sizes of the node, and nothing around it. */
async function replayIntoMap(fill: boolean): Promise<number> {
  const { registerCodecs } = await built<typeof import('../../src/log/kafka/codecs.ts')>('log/kafka/codecs.js');
  registerCodecs();
  const consumer = kafkajsClient({ brokerList }).consumer({
    groupId: `${topic}-${randomUUID()}`,
    minBytes: 1,
    maxWaitTimeInMs: 500,
    maxBytesPerPartition: 10 * mebibyte,
    maxBytes: 10 * mebibyte,
  });
  const map = new Map<string, Buffer | null>();
  let seen = 0;
  let finish: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const eachBatch = async ({ batch: { messages } }: EachBatchPayload): Promise<void> => {
    if (fill) for (const { key, value } of messages) map.set(key!.toString(), value);
    seen += messages.length;
    if (seen >= records) finish();
  };
  const startedMs = performance.now();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({ autoCommit: false, eachBatch });
  await done;
  const elapsedMs = performance.now() - startedMs;
  if (fill && map.size !== records) throw new Error(`the map has ${map.size} values`);
  await consumer.disconnect();
  return elapsedMs;
}

const elapsedMs = reader === 'node' ? await replayIntoNode() : await replayIntoMap(reader === 'into a map');
tell({ elapsedMs } satisfies Replayed);
