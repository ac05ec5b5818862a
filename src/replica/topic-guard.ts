import type { PartitionEnds, TopicDescription } from '../log/log.ts';

/**
 * Proof that a partition is still the one that was read: the first offset at `timestampMs` or later. In one log that offset
 * never goes down, because records are only appended at the end or compacted away; a topic deleted and made anew holds
 * younger records from offset 0 on. It stands in
 * for the topic's id where the log does not tell that.
 */
export interface Witness {
  readonly timestampMs: number;
  readonly offset: number;
}

/** What a node knows of the topic that it has in memory. */
export interface KnownTopic {
  readonly clusterId: string | undefined;
  readonly topicId: string | undefined;
  readonly partitions: number;
  readonly positions: readonly number[];
  readonly witnesses: readonly (Witness | undefined)[];
}

/** The topic as it is found now. */
export interface FoundTopic {
  readonly description: TopicDescription | undefined;
  readonly ends: readonly PartitionEnds[];
  /** For each known witness: the first offset at its time, now. */
  readonly witnessOffsets: readonly (number | undefined)[];
}

export type Verdict =
  | { readonly kind: 'sound' }
  /** What is in memory is not what the log holds: drop it and read everything. */
  | { readonly kind: 'rebuild'; readonly reason: string }
  /** Memory and log would part, and only a person can mend it. */
  | { readonly kind: 'refuse'; readonly reason: string };

/** Why a topic cannot be a database at all; undefined when it can. */
export function unfit(description: TopicDescription): string | undefined {
  const { topic, cleanupPolicy } = description;
  if (cleanupPolicy === 'compact') return undefined;
  return (
    `topic "${topic}" has cleanup.policy=${cleanupPolicy}, and only "compact" keeps the last value of every key; ` +
    `to change it: kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name ${topic} ` +
    '--add-config cleanup.policy=compact'
  );
}

/** Settings that work, but not as well as one may think. */
export function warnings(description: TopicDescription, wanted: { maxMessageBytes: number }): readonly string[] {
  const { topic, replicationFactor, minInsyncReplicas, maxMessageBytes, deleteRetentionMs } = description;
  const found: string[] = [];
  if (replicationFactor < 3) {
    found.push(
      `topic "${topic}" has ${replicationFactor} replica(s): acknowledged writes go with the broker that holds them`,
    );
  } else if (minInsyncReplicas < 2) {
    found.push(
      `topic "${topic}" has min.insync.replicas=${minInsyncReplicas}: a write may be acknowledged by one broker only`,
    );
  }
  if (maxMessageBytes < wanted.maxMessageBytes) {
    found.push(
      `topic "${topic}" has max.message.bytes=${maxMessageBytes}: values that VALUE_BYTES_MAX allows may be refused ` +
        `(${wanted.maxMessageBytes} would fit them)`,
    );
  }
  if (deleteRetentionMs < 60_000) {
    found.push(
      `topic "${topic}" has delete.retention.ms=${deleteRetentionMs}: a node that lags longer than that may keep deleted keys`,
    );
  }
  return found;
}

/** Compares a topic that is in memory with the one that is found under its name. */
export function inspectTopic(known: KnownTopic, found: FoundTopic): Verdict {
  const { description } = found;
  if (description === undefined) return { kind: 'refuse', reason: 'the topic no longer exists' };
  if (known.clusterId !== description.clusterId) {
    return {
      kind: 'rebuild',
      reason: `the brokers belong to another cluster (${description.clusterId}, not ${known.clusterId})`,
    };
  }
  const { topicId } = description;
  if (known.topicId !== undefined && topicId !== undefined && known.topicId !== topicId) {
    return {
      kind: 'rebuild',
      reason: `topic "${description.topic}" was made anew: its id is ${topicId}, not ${known.topicId}`,
    };
  }
  const reason = unfit(description);
  if (reason !== undefined) return { kind: 'refuse', reason };
  if (description.partitions < known.partitions) {
    return {
      kind: 'rebuild',
      reason: `topic "${description.topic}" has ${description.partitions} partitions and had ${known.partitions}: it was made anew`,
    };
  }
  for (const { partition, earliest, end } of found.ends) {
    const position = known.positions[partition] ?? 0;
    if (end < position) {
      return { kind: 'rebuild', reason: `partition ${partition} ends at offset ${end} and was read up to ${position}` };
    }
    if (earliest > position) {
      return { kind: 'rebuild', reason: `partition ${partition} begins at offset ${earliest}, after ${position}` };
    }
  }
  for (const [partition, witness] of known.witnesses.entries()) {
    const offset = found.witnessOffsets[partition];
    if (witness !== undefined && offset !== undefined && offset < witness.offset) {
      return {
        kind: 'rebuild',
        reason: `partition ${partition} is not the one that was read: the topic was made anew`,
      };
    }
  }
  // Last, because a topic made anew may have more partitions as well, and that is mended by reading it.
  if (known.partitions !== description.partitions) {
    return {
      kind: 'refuse',
      reason:
        `topic "${description.topic}" has ${description.partitions} partitions and had ${known.partitions}: keys have moved to ` +
        'other partitions; copy the data to a new topic, and name that in KAFKA_TOPIC',
    };
  }
  return { kind: 'sound' };
}
