import { kafkaErrors } from '../../../protocol/errors.ts';
import { leaveGroupRequest, leaveGroupResponse } from '../../../protocol/messages/leave-group.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/** LeaveGroup 0–5. Up to version 2 it is one member, whose error is that of the whole; then any number (KIP-345). */
export const leaveGroup = (groups: GroupCoordinator) =>
  handler({
    request: leaveGroupRequest,
    response: leaveGroupResponse,
    handle: ({ version }, { groupId, memberId, members }) => {
      if (version < 3) {
        const [outcome] = groups.leave(groupId, [{ memberId, groupInstanceId: null }]);
        return { errorCode: kafkaErrors[outcome!].code };
      }
      const outcomes = groups.leave(groupId, members);
      return {
        members: members.map((member, index) => ({
          memberId: member.memberId,
          groupInstanceId: member.groupInstanceId,
          errorCode: kafkaErrors[outcomes[index]!].code,
        })),
      };
    },
  });
