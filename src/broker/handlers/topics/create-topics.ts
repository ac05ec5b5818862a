import { KafkaError } from '../../../protocol/errors.ts';
import { createTopicsRequest, createTopicsResponse } from '../../../protocol/messages/create-topics.ts';
import type { MessageValue } from '../../../protocol/schema.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import { overridesOf } from '../../topics/topic-configs.ts';
import { isInternalTopic } from '../../topics/topic-name.ts';
import type { NewTopic, Topics } from '../../topics/topics.ts';
import { brokerId } from '../cluster/broker-id.ts';
import { describeTopicConfigs } from './config-entries.ts';

type Wanted = MessageValue<typeof createTopicsRequest>['topics'][number];

interface Parts {
  readonly topics: Topics;
  readonly faults: Faults;
  /** Of a topic that is asked for with -1 partitions. */
  readonly defaultPartitions: number;
}

/** CreateTopics (key 19). One topic that cannot be made keeps no other from being made. */
export function createTopics({ topics, faults, defaultPartitions }: Parts) {
  const createOne = async (wanted: Wanted, isTwice: boolean, validateOnly: boolean) => {
    if (isTwice) throw new KafkaError('INVALID_REQUEST', 'Duplicate topic name.');
    if (isInternalTopic(wanted.name) && topics.find(wanted.name) === undefined) {
      throw new KafkaError('INVALID_REQUEST', `${wanted.name} is the broker's own.`);
    }
    const topic = newTopicOf(wanted, defaultPartitions);
    topics.checkNew(topic);
    const topicId = validateOnly ? undefined : (await topics.create(topic)).id;
    return {
      ...(topicId === undefined ? {} : { topicId }),
      numPartitions: topic.partitions,
      replicationFactor: 1,
      configs: describeTopicConfigs(topic.overrides),
    };
  };

  return handler({
    request: createTopicsRequest,
    response: createTopicsResponse,
    async handle(_context, { topics: wanted, validateOnly }) {
      const isTwice = (name: string): boolean => wanted.filter((each) => each.name === name).length > 1;
      const created = [];
      for (const each of wanted) {
        const part = await faults.part('making a topic', () => createOne(each, isTwice(each.name), validateOnly));
        created.push({ name: each.name, ...part });
      }
      return { topics: created };
    },
    failure: (errorCode, errorMessage, { topics: wanted }) => ({
      topics: wanted.map(({ name }) => ({ name, errorCode, errorMessage })),
    }),
  });
}

/** Throws a `KafkaError` for what one broker cannot have. */
function newTopicOf(
  { name, numPartitions, replicationFactor, assignments, configs }: Wanted,
  preset: number,
): NewTopic {
  const overrides = overridesOf(configs);
  if (assignments.length > 0) {
    if (numPartitions !== -1 || replicationFactor !== -1) {
      throw new KafkaError(
        'INVALID_REQUEST',
        'Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.',
      );
    }
    const indexes = new Set(assignments.map(({ partitionIndex }) => partitionIndex));
    const isWhole = indexes.size === assignments.length && assignments.every((_, index) => indexes.has(index));
    if (!isWhole) {
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', 'Partitions are numbered from 0 on, each once.');
    }
    for (const { brokerIds } of assignments) checkBrokers(brokerIds);
    return { name, partitions: assignments.length, overrides };
  }
  if (numPartitions < 1 && numPartitions !== -1) {
    throw new KafkaError('INVALID_PARTITIONS', 'Number of partitions must be larger than 0, or -1 for the default.');
  }
  if (replicationFactor !== -1 && replicationFactor !== 1) {
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      replicationFactor < 1
        ? 'Replication factor must be larger than 0, or -1 for the default.'
        : `Unable to replicate the partition ${replicationFactor} time(s): The target replication factor of ${replicationFactor} cannot be reached because only 1 broker(s) are registered.`,
    );
  }
  return { name, partitions: numPartitions === -1 ? preset : numPartitions, overrides };
}

/** Throws a `KafkaError` INVALID_REPLICA_ASSIGNMENT unless the one broker is meant. */
export function checkBrokers(brokerIds: readonly number[]): void {
  if (brokerIds.length === 1 && brokerIds[0] === brokerId) return;
  throw new KafkaError(
    'INVALID_REPLICA_ASSIGNMENT',
    `There is one broker, ${brokerId}, and each partition is on it once.`,
  );
}
