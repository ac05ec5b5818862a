import kafkajs, { type Admin, type ITopicMetadata } from 'kafkajs';
import { FatalError } from '../../kernel/errors.ts';
import type { KafkaConnection } from '../../log/kafka/client.ts';
import { hasAnswer, withAdmin } from './cluster-admin.ts';

export interface TopicSummary {
  readonly topic: string;
  readonly partitions: number;
  readonly replicationFactor: number;
}

export interface PartitionDescription {
  readonly partition: number;
  /** Node id; undefined while the partition has no leader. */
  readonly leader: number | undefined;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** First offset there is; undefined where the leader did not answer. */
  readonly earliest: number | undefined;
  /** The next offset that a reader of committed records would wait for; undefined where the leader did not answer. */
  readonly end: number | undefined;
}

export interface TopicDescription {
  readonly topic: string;
  readonly partitions: readonly PartitionDescription[];
  /** What the topic sets for itself, by name; a value that Kafka keeps to itself is null. */
  readonly configs: Readonly<Record<string, string | null>>;
}

export interface NewTopic {
  readonly topic: string;
  /** The cluster's default where undefined. */
  readonly partitions: number | undefined;
  readonly replicationFactor: number | undefined;
  readonly configs: ReadonlyArray<readonly [name: string, value: string]>;
}

/** Kafka's own topics: `__consumer_offsets` and the like. */
export function isInternal(topic: string): boolean {
  return topic.startsWith('__');
}

export async function listTopics(connection: KafkaConnection): Promise<TopicSummary[]> {
  return withAdmin(connection, 'to list topics', async (admin) => {
    const { topics } = await admin.fetchTopicMetadata();
    return topics
      .map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.length,
        replicationFactor: Math.min(...partitions.map(({ replicas }) => replicas.length)),
      }))
      .sort((a, b) => (a.topic < b.topic ? -1 : 1));
  });
}

/** Answers false when a topic of that name exists already. */
export async function createTopic(connection: KafkaConnection, wanted: NewTopic): Promise<boolean> {
  const { topic, partitions, replicationFactor, configs } = wanted;
  return withAdmin(connection, `to create topic "${topic}"`, (admin) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic,
          // -1 is kafkajs' own default and asks for the cluster's (KIP-464).
          ...(partitions === undefined ? {} : { numPartitions: partitions }),
          ...(replicationFactor === undefined ? {} : { replicationFactor }),
          configEntries: configs.map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  );
}

export async function deleteTopic(connection: KafkaConnection, topic: string): Promise<void> {
  await withAdmin(connection, `to delete topic "${topic}"`, async (admin) => {
    // kafkajs asks for an unknown topic again and again, and its error names none.
    await topicMetadata(admin, [topic]);
    await admin.deleteTopics({ topics: [topic] });
  });
}

export async function describeTopics(
  connection: KafkaConnection,
  names: readonly string[],
): Promise<TopicDescription[]> {
  return withAdmin(connection, 'to describe topics', async (admin) => {
    const metadata = await topicMetadata(admin, names);
    const descriptions: TopicDescription[] = [];
    for (const { name, partitions } of metadata) {
      const bounds = await boundsOf(admin, name);
      descriptions.push({
        topic: name,
        partitions: partitions
          .map(({ partitionId, leader, replicas, isr }) => ({
            partition: partitionId,
            leader: leader < 0 ? undefined : leader,
            replicas,
            isr,
            earliest: bounds.get(partitionId)?.earliest,
            end: bounds.get(partitionId)?.end,
          }))
          .sort((a, b) => a.partition - b.partition),
        configs: Object.fromEntries(
          (await ownConfigs(admin, name)).map(({ name, value, isSensitive }) => [name, isSensitive ? null : value]),
        ),
      });
    }
    return descriptions;
  });
}

export async function addPartitions(connection: KafkaConnection, topic: string, partitions: number): Promise<void> {
  await withAdmin(connection, `to give topic "${topic}" ${partitions} partitions`, async (admin) => {
    await topicMetadata(admin, [topic]);
    await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
  });
}

/**
 * Sets and unsets some of a topic's configs. kafkajs has only AlterConfigs, which takes the whole set and resets what is left
 * out: so the topic's own configs are read, changed here, and sent back whole. A change that somebody else makes in between
 * is lost, which IncrementalAlterConfigs (KIP-339) would avoid.
 */
export async function alterConfigs(
  connection: KafkaConnection,
  topic: string,
  change: { set: ReadonlyArray<readonly [name: string, value: string]>; unset: readonly string[] },
): Promise<void> {
  await withAdmin(connection, `to alter the configs of topic "${topic}"`, async (admin) => {
    await topicMetadata(admin, [topic]);
    const present = await ownConfigs(admin, topic);
    const wanted = new Map(present.map(({ name, value }) => [name, value]));
    for (const name of change.unset) {
      if (!wanted.delete(name)) throw new FatalError(`topic "${topic}" does not set ${name}: nothing was changed`);
    }
    for (const [name, value] of change.set) wanted.set(name, value);
    const hidden = present.find(({ name, isSensitive }) => isSensitive && wanted.has(name));
    if (hidden !== undefined)
      throw new FatalError(`Kafka does not tell the value of ${hidden.name}: nothing was changed`);
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: topic,
          configEntries: [...wanted].map(([name, value]) => ({ name, value })),
        },
      ],
    });
  });
}

/** Metadata of topics that all exist; a `FatalError` names the first that does not. */
export async function topicMetadata(admin: Admin, names: readonly string[]): Promise<ITopicMetadata[]> {
  // Asked for by name, an unknown topic fails the whole question without being named.
  const { topics } = await admin.fetchTopicMetadata();
  const byName = new Map(topics.map((topic) => [topic.name, topic]));
  return names.map((name) => {
    const found = byName.get(name);
    if (found === undefined) {
      throw new FatalError(`there is no topic "${name}": bitacora topics list shows those there are`);
    }
    return found;
  });
}

export interface PartitionBounds {
  readonly earliest: number;
  /** Where a reader of committed records comes to the end: the last stable offset. */
  readonly end: number;
}

/** By partition; empty where a partition has no leader, since kafkajs asks for all or none. */
async function boundsOf(admin: Admin, topic: string): Promise<Map<number, PartitionBounds>> {
  try {
    return await partitionBounds(admin, topic);
  } catch (error) {
    if (hasAnswer(error, 'LEADER_NOT_AVAILABLE') || hasAnswer(error, 'NOT_LEADER_FOR_PARTITION')) return new Map();
    throw error;
  }
}

export async function partitionBounds(admin: Admin, topic: string): Promise<Map<number, PartitionBounds>> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return new Map(
    offsets
      .map(({ partition, low, high }) => [partition, { earliest: Number(low), end: Number(high) }] as const)
      .sort(([a], [b]) => a - b),
  );
}

interface OwnConfig {
  readonly name: string;
  readonly value: string;
  readonly isSensitive: boolean;
}

/** What the topic sets for itself, as opposed to what it has from its broker or from Kafka's defaults. */
async function ownConfigs(admin: Admin, topic: string): Promise<OwnConfig[]> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  });
  return (resources[0]?.configEntries ?? [])
    .filter(({ configSource }) => configSource === kafkajs.ConfigSource.TOPIC_CONFIG)
    .map(({ configName, configValue, isSensitive }) => ({ name: configName, value: configValue, isSensitive }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The largest batch that a topic takes, in bytes. */
export async function maxMessageBytes(admin: Admin, topic: string): Promise<number> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: ['max.message.bytes'] }],
  });
  const bytes = Number.parseInt(resources[0]?.configEntries[0]?.configValue ?? '', 10);
  return Number.isSafeInteger(bytes) ? bytes : defaultMaxMessageBytes;
}

/** Kafka's own default of max.message.bytes. */
const defaultMaxMessageBytes = 1_048_588;
