import { randomUUID } from 'node:crypto';
import type { EachBatchPayload } from 'kafkajs';
import type { RecordSlices } from '../../src/log/log.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';
import { sampleDigest } from './sample-digest.ts';
import { startWholeNode } from './whole-node.ts';

export interface ReplayTask {
  readonly reader: ReaderName;
  readonly brokerList: string;
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
}

/**
 * A whole node until it serves, with its own reader or that of kafkajs; the node's reader and store alone; kafkajs' `eachBatch`
 * into a Map, or counting.
 */
export type ReaderName = 'node' | 'node with kafkajs' | 'reader and store' | 'kafkajs into a Map' | 'kafkajs, counting';

export interface Replayed {
  readonly elapsedMs: number;
  /** See `sampleDigest`; undefined where nothing is kept. */
  readonly digest: number | undefined;
}

const mebibyte = 1024 * 1024;
const task = taskOf<ReplayTask>();
const { brokerList, topic, partitions, records } = task;

async function intoNode(logReader: 'direct' | 'kafkajs'): Promise<Replayed> {
  const environment = { BROKER_LIST: brokerList, KAFKA_TOPIC: topic, LOG_READER: logReader };
  const { node, startMs } = await startWholeNode(environment);
  const { values } = node.store.size;
  if (values !== records) throw new Error(`the node has ${values} values`);
  const digest = sampleDigest(records, (key) => node.store.get(Buffer.from(key), Date.now())?.value);
  await node.stop();
  return { elapsedMs: startMs, digest };
}

/** From the first connection until the last record, as the Java client is timed. */
async function intoStore(): Promise<Replayed> {
  const { KafkaLog } = await built<typeof import('../../src/log/kafka/kafka-log.ts')>('log/kafka/kafka-log.js');
  const { systemClock: clock } = await built<typeof import('../../src/kernel/clock.ts')>('kernel/clock.js');
  const { createLogger } = await built<typeof import('../../src/kernel/logger.ts')>('kernel/logger.js');
  const { Metrics } = await built<typeof import('../../src/kernel/metrics.ts')>('kernel/metrics.js');
  const { makeApply } = await import('./apply-parts.ts');
  const { store, apply } = await makeApply(partitions, { ordered: true });
  const startedMs = performance.now();
  const log = new KafkaLog({
    connection: { brokers: brokerList.split(','), clientId: 'bitacora-bench', tls: undefined, sasl: undefined },
    topic,
    groupId: `${topic}-${randomUUID()}`,
    reader: 'direct',
    writeTimeoutMs: 10_000,
    clock,
    logger: createLogger('error', { terminal: false }),
    metrics: new Metrics({ process: false }),
  });
  let seen = 0;
  let finish: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  const complain = (reason: string): void => fail(new Error(reason));
  const from = Array.from({ length: partitions }, () => ({ offset: 0, leaderEpoch: -1 }));
  const reader = log.read(from, {
    onBatch: async (slices: RecordSlices) => {
      apply(slices);
      seen += slices.count;
      if (seen >= records) finish();
    },
    onGap: () => {},
    onDisturbance: complain,
    onLineageLost: complain,
  });
  await done;
  const elapsedMs = performance.now() - startedMs;
  await reader.stop();
  await log.stop();
  if (store.size.values !== records) throw new Error(`the store has ${store.size.values} values`);
  const digest = sampleDigest(records, (key) => store.get(Buffer.from(key), Date.now())?.value);
  return { elapsedMs, digest };
}

/** kafkajs with the fetch sizes of the node, and nothing around it. */
async function intoMap(fill: boolean): Promise<Replayed> {
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
  await consumer.disconnect();
  if (!fill) return { elapsedMs, digest: undefined };
  if (map.size !== records) throw new Error(`the map has ${map.size} values`);
  return { elapsedMs, digest: sampleDigest(records, (key) => map.get(key) ?? undefined) };
}

function replay(): Promise<Replayed> {
  switch (task.reader) {
    case 'node':
      return intoNode('direct');
    case 'node with kafkajs':
      return intoNode('kafkajs');
    case 'reader and store':
      return intoStore();
    case 'kafkajs into a Map':
      return intoMap(true);
    case 'kafkajs, counting':
      return intoMap(false);
  }
}

tell(await replay());
