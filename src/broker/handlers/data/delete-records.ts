import { KafkaError } from '../../../protocol/errors.ts';
import { deleteRecordsRequest, deleteRecordsResponse } from '../../../protocol/messages/delete-records.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { Topics } from '../../topics/topics.ts';
import { partitionOf } from './partition-of.ts';

/** DeleteRecords (key 21): moves the start of a partition up to an offset; -1 means its end. */
export function deleteRecords({ topics, faults }: { topics: Topics; faults: Faults }) {
  return handler({
    request: deleteRecordsRequest,
    response: deleteRecordsResponse,
    async handle(_context, { topics: wanted }) {
      const answered = wanted.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map(async ({ partitionIndex, offset }) => {
            const part = await faults.part(`a deletion of records in ${name}-${partitionIndex}`, async () => {
              const log = partitionOf(topics, name, partitionIndex);
              if (topics.find(name)!.isInternal) {
                throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${name} is the broker's own.`);
              }
              if (!topics.find(name)!.isDeletable) {
                throw new KafkaError(
                  'POLICY_VIOLATION',
                  `${name} is compacted, and its cleanup.policy does not name delete.`,
                );
              }
              await log.deleteRecordsBefore(offset);
              return { lowWatermark: log.logStartOffset };
            });
            return { partitionIndex, lowWatermark: -1, ...part };
          }),
        ),
      }));
      return { topics: await Promise.all(answered) };
    },
  });
}
