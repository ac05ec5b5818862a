import { kafkaErrors } from '../../../protocol/errors.ts';
import { heartbeatRequest, heartbeatResponse } from '../../../protocol/messages/heartbeat.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/** Heartbeat 0–4. */
export const heartbeat = (groups: GroupCoordinator) =>
  handler({
    request: heartbeatRequest,
    response: heartbeatResponse,
    handle: (_context, { groupId, generationId, ...member }) => ({
      errorCode: kafkaErrors[groups.heartbeat(groupId, member, generationId)].code,
    }),
  });
