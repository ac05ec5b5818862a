import { KafkaError } from '../../../protocol/errors.ts';
import { metadataRequest, metadataResponse } from '../../../protocol/messages/metadata.ts';
import { noUuid } from '../../../protocol/schema.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import { isInternalTopic, isTopicName } from '../../topics/topic-name.ts';
import type { Topic, Topics } from '../../topics/topics.ts';
import { brokerId } from '../cluster/broker-id.ts';

interface Parts {
  readonly topics: Topics;
  readonly faults: Faults;
  /** Partitions of a topic that is made because somebody asked for it; undefined: none is made so. */
  readonly autoCreatedPartitions: number | undefined;
}

/** From here on the client says whether a topic may be made because it asks for it. */
const autoCreationFrom = 4;

/** Metadata (key 3): brokers and topics. In version 0 no topics means all of them, later null does. */
export function metadata({ topics, faults, autoCreatedPartitions }: Parts) {
  const describe = (topic: Topic) => ({
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: topic.logs.map((_log, partitionIndex) => ({
      partitionIndex,
      leaderId: brokerId,
      leaderEpoch: topics.leaderEpoch,
      replicaNodes: [brokerId],
      isrNodes: [brokerId],
    })),
  });

  const find = async (name: string | null, topicId: string, mayCreate: boolean): Promise<Topic> => {
    if (topicId !== noUuid) {
      const topic = topics.findById(topicId);
      if (topic === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID', 'This server does not host this topic ID.');
      return topic;
    }
    const topic = topics.find(name ?? '');
    if (topic !== undefined) return topic;
    if (!isTopicName(name ?? '')) throw new KafkaError('INVALID_TOPIC_EXCEPTION', 'That is no name of a topic.');
    if (!mayCreate || autoCreatedPartitions === undefined || isInternalTopic(name!)) {
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');
    }
    return create(name!, autoCreatedPartitions);
  };

  const create = async (name: string, partitions: number): Promise<Topic> => {
    try {
      return await topics.create({ name, partitions, overrides: {} });
    } catch (error) {
      // Somebody else was first.
      const topic = topics.find(name);
      if (topic !== undefined) return topic;
      throw error;
    }
  };

  return handler({
    request: metadataRequest,
    response: metadataResponse,
    async handle({ version, connection }, { topics: wanted, allowAutoTopicCreation }) {
      const isAll = wanted === null || (version === 0 && wanted.length === 0);
      const mayCreate = version < autoCreationFrom || allowAutoTopicCreation;
      const described = isAll
        ? [...topics.all()].map(describe)
        : await Promise.all(
            wanted.map(async ({ name, topicId }) => ({
              // An older version has no place for a null.
              name: name ?? (version >= 12 ? null : ''),
              topicId,
              ...(await faults.part('a look-up of a topic', async () =>
                describe(await find(name, topicId, mayCreate)),
              )),
            })),
          );
      const { advertisedHost: host, advertisedPort: port } = connection.listener;
      return {
        brokers: [{ nodeId: brokerId, host, port }],
        clusterId: topics.clusterId,
        controllerId: brokerId,
        topics: described,
      };
    },
    failure: () => undefined,
  });
}
