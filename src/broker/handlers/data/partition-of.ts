import { KafkaError } from '../../../protocol/errors.ts';
import type { PartitionLog } from '../../storage/partition-log.ts';
import type { Topics } from '../../topics/topics.ts';

/** Throws a `KafkaError` UNKNOWN_TOPIC_OR_PARTITION. */
export function partitionOf(topics: Topics, topic: string, partition: number): PartitionLog {
  const log = topics.log(topic, partition);
  if (log === undefined) {
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');
  }
  return log;
}

/** What a client believes the leader epoch to be must be so (KIP-320); -1: it does not say. Throws a `KafkaError`. */
export function checkLeaderEpoch(topics: Topics, believed: number): void {
  if (believed < 0 || believed === topics.leaderEpoch) return;
  if (believed < topics.leaderEpoch) {
    throw new KafkaError('FENCED_LEADER_EPOCH', `The leader epoch is ${topics.leaderEpoch}, not ${believed}.`);
  }
  throw new KafkaError('UNKNOWN_LEADER_EPOCH', `The leader epoch is ${topics.leaderEpoch}, not yet ${believed}.`);
}
