import { kafkaErrors } from '../../../protocol/errors.ts';
import { joinGroupRequest, joinGroupResponse } from '../../../protocol/messages/join-group.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/**
 * JoinGroup 0–9. Version 0 has one timeout for both. From 4 on a new member is given an id first (KIP-394), from 5 on it may be
 * static (KIP-345), from 9 on a leader that only came back need not assign again (KIP-814).
 */
export const joinGroup = (groups: GroupCoordinator) =>
  handler({
    request: joinGroupRequest,
    response: joinGroupResponse,
    handle: async ({ version, clientId, clientHost }, body) => {
      const { groupId, sessionTimeoutMs, rebalanceTimeoutMs, protocols, ...member } = body;
      const reply = await groups.join(groupId, {
        ...member,
        clientId,
        clientHost: shownHost(clientHost),
        sessionTimeoutMs,
        rebalanceTimeoutMs: rebalanceTimeoutMs > 0 ? rebalanceTimeoutMs : sessionTimeoutMs,
        // What a group keeps must not hold on to the memory of the request.
        protocols: protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) })),
        knowsMemberIds: version >= 4,
        canSkipAssignment: version >= 9,
      });
      const { error, protocolName, members, ...rest } = reply;
      return {
        ...rest,
        errorCode: kafkaErrors[error].code,
        protocolName: protocolName ?? (version >= 7 ? null : ''),
        members: [...members],
      };
    },
    failure: (errorCode, _message, { memberId }) => ({ errorCode, memberId }),
  });

/** As Kafka's tools show it: an address with no name before it. */
function shownHost(address: string): string {
  return `/${address.replace(/^::ffff:/, '')}`;
}
