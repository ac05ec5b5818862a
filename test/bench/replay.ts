import type { Kafka } from '../support/kafka/kafka.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import type { Bench, BenchContext, Measure } from './bench.ts';
import { Contender } from './contender.ts';
import type { Replayed, ReplayTask } from './replay-contender.ts';
import type { DataTask } from './replay-data.ts';
import { alternate, ratio } from './rounds.ts';

const records = 1_000_000;
const rounds = 5;
const compressedRecords = 500_000;
const compressedRounds = 3;
const produceWithinMs = 60_000;
const replayWithinMs = 60_000;

export const replay: Bench = {
  name: 'replay',
  about: `${records.toLocaleString('en-US')} records of 115 B, one partition: a fresh node until it serves, against bare kafkajs`,
  async run(context) {
    const kafka = await context.kafka();
    const replayerOf = async (compression: DataTask['compression'], records: number) => {
      const topic = await topicWith(kafka, compression, records);
      return (reader: ReplayTask['reader']) => () =>
        recordsPerSecond(context, { reader, brokerList: kafka.brokerList, topic, records });
    };
    const plain = await replayerOf('none', records);
    const { node, map, counting } = await alternate(rounds, {
      node: plain('node'),
      map: plain('into a map'),
      counting: plain('counting'),
    });
    const measures: Measure[] = [
      { what: 'node', unit: 'per second', rounds: node, aim: { atLeast: 350_000 } },
      { what: 'kafkajs eachBatch into a Map', unit: 'per second', rounds: map },
      { what: 'kafkajs eachBatch, counting only', unit: 'per second', rounds: counting },
      ratio('node / kafkajs into a Map', node, map),
      ratio('node / kafkajs counting only', node, counting),
    ];
    for (const compression of ['gzip', 'lz4'] as const) {
      const compressed = await replayerOf(compression, compressedRecords);
      const results = await alternate(compressedRounds, { node: compressed('node'), map: compressed('into a map') });
      measures.push(
        { what: `${compression}: node`, unit: 'per second', rounds: results.node },
        { what: `${compression}: kafkajs eachBatch into a Map`, unit: 'per second', rounds: results.map },
        ratio(`${compression}: node / kafkajs into a Map`, results.node, results.map),
      );
    }
    return measures;
  },
};

async function topicWith(kafka: Kafka, compression: DataTask['compression'], records: number): Promise<string> {
  const topic = freshTopicName(`bench-replay-${compression}`);
  await createTopic(kafka, topic, { config: { 'cleanup.policy': 'compact' } });
  const task: DataTask = { brokerList: kafka.brokerList, topic, records, compression };
  await inProcess('replay-data.ts', task, produceWithinMs);
  return topic;
}

/** Each time in a process that has done nothing before, as a node that starts. */
async function recordsPerSecond({ profileFolder }: BenchContext, task: ReplayTask): Promise<number> {
  const { elapsedMs } = await inProcess<Replayed>('replay-contender.ts', task, replayWithinMs, profileFolder);
  return (task.records * 1_000) / elapsedMs;
}

async function inProcess<Answer>(
  file: string,
  task: object,
  timeoutMs: number,
  profileFolder?: string,
): Promise<Answer> {
  const contender = new Contender(file, task, profileFolder);
  try {
    return await contender.next<Answer>(timeoutMs);
  } finally {
    await contender.end();
  }
}
