import type { JavaProgram } from '../support/kafka/java.ts';
import type { Kafka } from '../support/kafka/kafka.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import { produceTopic, type ReplayTopic, type TopicCodec } from './java-replay.ts';

export interface FilledTopic extends ReplayTopic {
  readonly partitions: number;
  /** Of what is in it: see `sampleDigest`. */
  readonly digest: number;
}

/** A topic with records under `keyAt(0)` to `keyAt(records - 1)`, of 115 B each. */
export async function filledTopic(
  kafka: Kafka,
  program: JavaProgram,
  { records, partitions, codec }: { records: number; partitions: number; codec: TopicCodec },
): Promise<FilledTopic> {
  const topic = freshTopicName(`bench-${codec}`);
  // The broker is not to compact, which here takes nothing away, while readers are measured.
  const config = { 'cleanup.policy': 'compact', 'min.compaction.lag.ms': '86400000' };
  await createTopic(kafka, topic, { partitions, config });
  const place = { brokerList: kafka.brokerList, topic, records };
  const { digest } = await produceTopic(program, place, codec);
  return { ...place, partitions, digest };
}
