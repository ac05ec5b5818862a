import { KafkaError } from '../../../protocol/errors.ts';
import { deleteTopicsRequest, deleteTopicsResponse } from '../../../protocol/messages/delete-topics.ts';
import { noUuid } from '../../../protocol/schema.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { Topic, Topics } from '../../topics/topics.ts';

const structuresFrom = 6;

/** DeleteTopics (key 20), by name or, since version 6, by id. */
export function deleteTopics({ topics, faults }: { topics: Topics; faults: Faults }) {
  const topicOf = (name: string | null, topicId: string): Topic => {
    if (name !== null && topicId !== noUuid) {
      throw new KafkaError('INVALID_REQUEST', 'A topic is named or has its id given, not both.');
    }
    const topic = name === null ? topics.findById(topicId) : topics.find(name);
    if (topic !== undefined) return topic;
    if (name === null) throw new KafkaError('UNKNOWN_TOPIC_ID', 'This server does not host this topic ID.');
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');
  };

  return handler({
    request: deleteTopicsRequest,
    response: deleteTopicsResponse,
    async handle({ version }, request) {
      const wanted =
        version >= structuresFrom ? request.topics : request.topicNames.map((name) => ({ name, topicId: noUuid }));
      const responses = [];
      for (const { name, topicId } of wanted) {
        const part = await faults.part('deleting a topic', async () => {
          const topic = topicOf(name, topicId);
          if (topic.isInternal) {
            throw new KafkaError('TOPIC_AUTHORIZATION_FAILED', `${topic.name} is the broker's own.`);
          }
          await topics.remove(topic);
          return { name: topic.name, topicId: topic.id };
        });
        responses.push({ name, topicId, ...part });
      }
      return { responses };
    },
    failure: (errorCode, errorMessage, { topics: named, topicNames }) => ({
      responses: [
        ...named.map(({ name, topicId }) => ({ name, topicId, errorCode, errorMessage })),
        ...topicNames.map((name) => ({ name, errorCode, errorMessage })),
      ],
    }),
  });
}
