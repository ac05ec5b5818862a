import { kafkaErrors } from '../../../protocol/errors.ts';
import { offsetDeleteRequest, offsetDeleteResponse } from '../../../protocol/messages/offset-delete.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';
import { outcomesByTopic, partitionsOf } from './topic-partitions.ts';

/** OffsetDelete 0 (KIP-496). */
export const offsetDelete = (groups: GroupCoordinator) =>
  handler({
    request: offsetDeleteRequest,
    response: offsetDeleteResponse,
    handle: async (_context, { groupId, topics }) => {
      const partitions = partitionsOf(topics).map(({ topic, partition }) => {
        return { topic, partition: partition.partitionIndex };
      });
      const outcomes = await groups.deleteOffsets(groupId, partitions);
      return { topics: outcomesByTopic(topics, (index) => kafkaErrors[outcomes[index]!].code) };
    },
  });
