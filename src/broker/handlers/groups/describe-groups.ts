import { kafkaErrors } from '../../../protocol/errors.ts';
import { describeGroupsRequest, describeGroupsResponse } from '../../../protocol/messages/describe-groups.ts';
import type { GroupCoordinator, GroupDescription } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/** Bits of the operations on a group that there are (KIP-430): READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS. */
const allOperations = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);
const notAsked = -2147483648;

/** DescribeGroups 0–6. A group that is not there is Dead; from version 6 on that is an error too (KIP-1043). */
export const describeGroups = (groups: GroupCoordinator) =>
  handler({
    request: describeGroupsRequest,
    response: describeGroupsResponse,
    handle: ({ version }, { groups: groupIds, includeAuthorizedOperations }) => ({
      groups: groupIds.map((groupId) => {
        const group = groups.describe(groupId);
        const authorizedOperations = includeAuthorizedOperations ? allOperations : notAsked;
        return group === undefined
          ? notFound(groupId, version, authorizedOperations)
          : { ...found(group), authorizedOperations };
      }),
    }),
    failure: (errorCode, errorMessage, { groups: groupIds }) => ({
      groups: groupIds.map((groupId) => ({ groupId, errorCode, errorMessage })),
    }),
  });

function notFound(groupId: string, version: number, authorizedOperations: number) {
  if (version < 6) return { groupId, groupState: 'Dead', authorizedOperations };
  const errorCode = kafkaErrors.GROUP_ID_NOT_FOUND.code;
  return { groupId, groupState: 'Dead', errorCode, errorMessage: `Group ${groupId} not found.` };
}

function found({ groupId, state, protocolType, protocolName, members }: GroupDescription) {
  return {
    groupId,
    groupState: state,
    protocolType,
    protocolData: protocolName,
    members: members.map(({ id, metadata, assignment, ...member }) => ({
      ...member,
      memberId: id,
      memberMetadata: metadata,
      memberAssignment: assignment,
    })),
  };
}
