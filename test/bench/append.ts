import kafkajs, { type Producer } from 'kafkajs';
import type { BatchSender } from '../../src/log/group-commit.ts';
import { kafkajsClient, type Reachable } from '../support/kafka/client.ts';
import { EmbeddedBroker } from '../support/kafka/embedded-broker.ts';
import type { Kafka } from '../support/kafka/kafka.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import type { Bench, Measure } from './bench.ts';
import { built } from './built.ts';
import { keyAt } from './keys.ts';
import { alternate, ratio } from './rounds.ts';

const keys = Array.from({ length: 100_000 }, (_, i) => Buffer.from(keyAt(i)));
const value = Buffer.alloc(100, 'v');
const writeTimeoutMs = 10_000;

/** Rounds and their length, by number of writers: most for the one that has an aim. */
const loads = [
  { writers: 1, rounds: 3, durationMs: 1_000 },
  { writers: 64, rounds: 5, durationMs: 2_000, aims: { group: { atLeast: 1.5 }, single: { atLeast: 15 } } },
  { writers: 1_000, rounds: 3, durationMs: 1_500, aims: { group: { atLeast: 1.5 } } },
];

type Write = (key: Buffer) => Promise<unknown>;

interface Writer {
  readonly write: Write;
  stop(): Promise<void>;
}

export const append: Bench = {
  name: 'append',
  about: 'acknowledged writes: the node’s writer against group commit over kafkajs, and one kafkajs send a write',
  async run({ kafka, quick }) {
    const measures = await measureOn(await kafka(), 'Kafka', quick);
    const embedded = await EmbeddedBroker.launch();
    try {
      measures.push(...(await measureOn(embedded, 'embedded broker', quick)));
    } finally {
      await embedded.stop();
    }
    return measures;
  },
};

async function measureOn(broker: Kafka, name: string, quick: boolean): Promise<Measure[]> {
  const topic = freshTopicName('bench-append');
  await createTopic(broker, topic, { config: { 'cleanup.policy': 'compact' } });
  const node = await startNodeWriter(broker, topic);
  const group = await startKafkajsGroupCommit(broker, topic);
  const single = await startSingleSends(broker, topic);
  const measures: Measure[] = [];
  try {
    for (const { write } of [node, group, single]) await writesPerSecond(64, 1_000, write);
    for (const { writers, rounds, durationMs, aims } of loads) {
      const results = await alternate(quick ? Math.min(rounds, 3) : rounds, {
        node: () => writesPerSecond(writers, durationMs, node.write),
        group: () => writesPerSecond(writers, durationMs, group.write),
        single: () => writesPerSecond(writers, durationMs, single.write),
      });
      const by = `${name}, ${writers === 1 ? '1 writer' : `${writers.toLocaleString('en-US')} writers`}`;
      measures.push(
        { what: `${by}: node`, unit: 'per second', rounds: results.node },
        { what: `${by}: group commit over kafkajs`, unit: 'per second', rounds: results.group },
        { what: `${by}: kafkajs send a write`, unit: 'per second', rounds: results.single },
        ratio(`${by}: node / group commit over kafkajs`, results.node, results.group, aims?.group),
        ratio(`${by}: node / kafkajs send`, results.node, results.single, aims?.single),
      );
    }
  } finally {
    for (const writer of [node, group, single]) await writer.stop();
  }
  return measures;
}

/** Each writer awaits its write before the next. */
async function writesPerSecond(writers: number, durationMs: number, write: Write): Promise<number> {
  let acknowledged = 0;
  let next = 0;
  const startedMs = performance.now();
  const writer = async (): Promise<void> => {
    while (performance.now() - startedMs < durationMs) {
      next = (next + 1) % keys.length;
      await write(keys[next]!);
      acknowledged += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return (acknowledged * 1_000) / (performance.now() - startedMs);
}

async function startNodeWriter({ brokerList }: Reachable, topic: string): Promise<Writer> {
  type Parts = typeof import('../../src/log/kafka/kafka-log.ts') &
    typeof import('../../src/kernel/clock.ts') &
    typeof import('../../src/kernel/logger.ts') &
    typeof import('../../src/kernel/metrics.ts');
  const { KafkaLog } = await built<Parts>('log/kafka/kafka-log.js');
  const { systemClock } = await built<Parts>('kernel/clock.js');
  const { createLogger } = await built<Parts>('kernel/logger.js');
  const { Metrics } = await built<Parts>('kernel/metrics.js');
  const log = new KafkaLog({
    connection: { brokers: brokerList.split(','), clientId: 'bitacora-bench', tls: undefined, sasl: undefined },
    topic,
    groupId: topic,
    reader: 'direct',
    writeTimeoutMs,
    clock: systemClock,
    logger: createLogger('silent', { terminal: false }),
    metrics: new Metrics(),
  });
  await log.run();
  const write: Write = (key) => log.append({ partition: 0, key, value, timestampMs: Date.now() });
  const stop = async (): Promise<void> => {
    await log.drain();
    await log.stop();
  };
  return { write, stop };
}

/** What the node's writer would be with kafkajs under it. A fault ends the measurement. */
async function startKafkajsGroupCommit(kafka: Reachable, topic: string): Promise<Writer> {
  type Parts = typeof import('../../src/log/group-commit.ts') & typeof import('../../src/kernel/clock.ts');
  const { GroupCommit } = await built<Parts>('log/group-commit.js');
  const { systemClock } = await built<Parts>('kernel/clock.js');
  const producer = await connectedProducer(kafka);
  const sender: BatchSender = {
    send: async (batch) => {
      const messages = batch.map(({ partition, key, value, timestampMs }) => ({
        partition,
        key,
        value,
        timestamp: String(timestampMs),
      }));
      const [answer] = await producer.send({ topic, acks: -1, timeout: writeTimeoutMs, messages });
      return { kind: 'appended', baseOffset: Number(answer!.baseOffset), logAppendTimeMs: undefined };
    },
    forget: () => {},
    probe: async () => {},
  };
  const commit = new GroupCommit(sender, {
    clock: systemClock,
    writeTimeoutMs,
    batchBytesMax: 1_000_000,
    batchRecordsMax: 10_000,
    budget: { bytes: 0, bytesMax: 64 * 1024 * 1024 },
  });
  return {
    write: (key) => commit.append({ partition: 0, key, value, timestampMs: Date.now() }),
    stop: async () => {
      await commit.drain();
      await producer.disconnect();
    },
  };
}

async function startSingleSends(kafka: Reachable, topic: string): Promise<Writer> {
  const producer = await connectedProducer(kafka);
  const write: Write = (key) =>
    producer.send({
      topic,
      acks: -1,
      timeout: writeTimeoutMs,
      messages: [{ partition: 0, key, value, timestamp: String(Date.now()) }],
    });
  return { write, stop: () => producer.disconnect() };
}

/** As safe as the node's own; the retries are kafkajs' default. */
async function connectedProducer(kafka: Reachable): Promise<Producer> {
  const producer = kafkajsClient(kafka).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  return producer;
}
