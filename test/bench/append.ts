import kafkajs, { type Producer } from 'kafkajs';
import { kafkajsClient, type Reachable } from '../support/kafka/client.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import type { Bench, Measure } from './bench.ts';
import { built } from './built.ts';
import { keyAt } from './keys.ts';
import { alternate, ratio } from './rounds.ts';

const keys = Array.from({ length: 100_000 }, (_, i) => Buffer.from(keyAt(i)));
const value = Buffer.alloc(100, 'v');

/** Rounds and their length, by number of writers: most for the one that has an aim. */
const loads = [
  { writers: 1, rounds: 3, durationMs: 1_000 },
  { writers: 64, rounds: 5, durationMs: 2_000, aim: { atLeast: 10 } },
  { writers: 1_000, rounds: 3, durationMs: 1_500 },
];

type Write = (key: Buffer) => Promise<unknown>;

export const append: Bench = {
  name: 'append',
  about: 'writes acknowledged by Kafka: group commit against one kafkajs send a write',
  async run({ kafka }) {
    const broker = await kafka();
    const topic = freshTopicName('bench-append');
    await createTopic(broker, topic, { config: { 'cleanup.policy': 'compact' } });
    const groupCommit = await startGroupCommit(broker, topic);
    const single = await startSingleSends(broker, topic);
    try {
      for (const { write } of [groupCommit, single]) await writesPerSecond(64, 1_000, write);
      const measures: Measure[] = [];
      for (const { writers, rounds, durationMs, aim } of loads) {
        const results = await alternate(rounds, {
          group: () => writesPerSecond(writers, durationMs, groupCommit.write),
          single: () => writesPerSecond(writers, durationMs, single.write),
        });
        const by = writers === 1 ? '1 writer' : `${writers.toLocaleString('en-US')} writers`;
        measures.push(
          { what: `${by}: group commit`, unit: 'per second', rounds: results.group },
          { what: `${by}: kafkajs send a write`, unit: 'per second', rounds: results.single },
          ratio(`${by}: group commit / kafkajs send`, results.group, results.single, aim),
        );
      }
      return measures;
    } finally {
      await groupCommit.stop();
      await single.stop();
    }
  },
};

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

async function startGroupCommit({ brokerList }: Reachable, topic: string) {
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
    writeTimeoutMs: 10_000,
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

/** The producer has the settings of the node's own, but for the retries: those are kafkajs' default. */
async function startSingleSends(kafka: Reachable, topic: string) {
  const producer: Producer = kafkajsClient(kafka).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const write: Write = (key) =>
    producer.send({
      topic,
      acks: -1,
      timeout: 10_000,
      messages: [{ partition: 0, key, value, timestamp: String(Date.now()) }],
    });
  return { write, stop: () => producer.disconnect() };
}
