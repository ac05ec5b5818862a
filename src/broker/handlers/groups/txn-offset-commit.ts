import { kafkaErrors } from '../../../protocol/errors.ts';
import { txnOffsetCommitRequest, txnOffsetCommitResponse } from '../../../protocol/messages/txn-offset-commit.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';
import { outcomesByTopic, partitionsOf, sameOutcome } from './offset-outcomes.ts';

/** TxnOffsetCommit 0–4. From version 3 on it names the member, so that one that is no longer of the group is fenced (KIP-447). */
export const txnOffsetCommit = (groups: GroupCoordinator) =>
  handler({
    request: txnOffsetCommitRequest,
    response: txnOffsetCommitResponse,
    handle: async (_context, body) => {
      const { groupId, memberId, groupInstanceId, generationId, producerId, producerEpoch, topics } = body;
      const outcomes = await groups.commitOffsets({
        groupId,
        memberId,
        groupInstanceId,
        generationId,
        unknownGroup: 'ILLEGAL_GENERATION',
        producer: { producerId, producerEpoch },
        offsets: partitionsOf(topics).map(({ topic, partition }) => ({
          topic,
          partition: partition.partitionIndex,
          offset: partition.committedOffset,
          leaderEpoch: partition.committedLeaderEpoch,
          metadata: partition.committedMetadata,
        })),
      });
      return { topics: outcomesByTopic(topics, (index) => kafkaErrors[outcomes[index]!].code) };
    },
    failure: (errorCode, _message, { topics }) => ({ topics: sameOutcome(topics, errorCode) }),
  });
