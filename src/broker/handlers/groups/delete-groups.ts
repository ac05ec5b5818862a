import { kafkaErrors } from '../../../protocol/errors.ts';
import { deleteGroupsRequest, deleteGroupsResponse } from '../../../protocol/messages/delete-groups.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/** DeleteGroups 0–2 (KIP-229). */
export const deleteGroups = (groups: GroupCoordinator) =>
  handler({
    request: deleteGroupsRequest,
    response: deleteGroupsResponse,
    handle: async (_context, { groupsNames }) => {
      const results: Array<{ groupId: string; errorCode: number }> = [];
      for (const groupId of new Set(groupsNames)) {
        results.push({ groupId, errorCode: kafkaErrors[await groups.deleteGroup(groupId)].code });
      }
      return { results };
    },
    failure: (errorCode, _message, { groupsNames }) => ({
      results: groupsNames.map((groupId) => ({ groupId, errorCode })),
    }),
  });
