import { KafkaError } from '../../../protocol/errors.ts';
import { createPartitionsRequest, createPartitionsResponse } from '../../../protocol/messages/create-partitions.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { Topics } from '../../topics/topics.ts';
import { checkBrokers } from './create-topics.ts';

/** CreatePartitions (key 37): `count` is how many there are to be afterwards. */
export function createPartitions({ topics, faults }: { topics: Topics; faults: Faults }) {
  return handler({
    request: createPartitionsRequest,
    response: createPartitionsResponse,
    async handle(_context, { topics: wanted, validateOnly }) {
      const results = [];
      for (const { name, count, assignments } of wanted) {
        const part = await faults.part('adding partitions', async () => {
          topics.checkPartitionCount(name, count);
          if (topics.find(name)!.isInternal) {
            throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${name} is the broker's own, and has one partition.`);
          }
          const added = count - topics.find(name)!.logs.length;
          if (assignments !== null && assignments.length !== added) {
            throw new KafkaError(
              'INVALID_REPLICA_ASSIGNMENT',
              `Attempted to add ${added} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
            );
          }
          for (const { brokerIds } of assignments ?? []) checkBrokers(brokerIds);
          if (!validateOnly) await topics.addPartitions(name, count);
          return {};
        });
        results.push({ name, ...part });
      }
      return { results };
    },
    failure: (errorCode, errorMessage, { topics: wanted }) => ({
      results: wanted.map(({ name }) => ({ name, errorCode, errorMessage })),
    }),
  });
}
