import { kafkaErrors } from '../../../protocol/errors.ts';
import { offsetCommitRequest, offsetCommitResponse } from '../../../protocol/messages/offset-commit.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';
import { offsetsToCommit, outcomesByTopic, sameOutcome } from './topic-partitions.ts';

/** OffsetCommit 2–9. Up to version 4 it may say how long the offsets are to be kept; from 9 on it knows that a group may be gone. */
export const offsetCommit = (groups: GroupCoordinator) =>
  handler({
    request: offsetCommitRequest,
    response: offsetCommitResponse,
    handle: async ({ version }, body) => {
      const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, retentionTimeMs, topics } = body;
      const outcomes = await groups.commitOffsets({
        groupId,
        memberId,
        groupInstanceId,
        generationId: generationIdOrMemberEpoch,
        retentionMs: retentionTimeMs === -1 ? undefined : retentionTimeMs,
        unknownGroup: version >= 9 ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION',
        offsets: offsetsToCommit(topics),
      });
      return { topics: outcomesByTopic(topics, (index) => kafkaErrors[outcomes[index]!].code) };
    },
    failure: (errorCode, _message, { topics }) => ({ topics: sameOutcome(topics, errorCode) }),
  });
