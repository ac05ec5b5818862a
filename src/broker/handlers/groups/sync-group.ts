import { kafkaErrors } from '../../../protocol/errors.ts';
import { syncGroupRequest, syncGroupResponse } from '../../../protocol/messages/sync-group.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/** SyncGroup 0–5. From version 5 on the member must say which protocol it follows (KIP-559). */
export const syncGroup = (groups: GroupCoordinator) =>
  handler({
    request: syncGroupRequest,
    response: syncGroupResponse,
    handle: async ({ version }, { groupId, assignments, ...member }) => {
      if (version >= 5 && (member.protocolType === null || member.protocolName === null)) {
        return { errorCode: kafkaErrors.INCONSISTENT_GROUP_PROTOCOL.code };
      }
      const { error, ...reply } = await groups.sync(groupId, {
        ...member,
        // What a group keeps must not hold on to the memory of the request.
        assignments: new Map(assignments.map(({ memberId, assignment }) => [memberId, Buffer.from(assignment)])),
      });
      return { ...reply, errorCode: kafkaErrors[error].code };
    },
  });
