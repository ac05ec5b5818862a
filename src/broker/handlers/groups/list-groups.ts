import { listGroupsRequest, listGroupsResponse } from '../../../protocol/messages/list-groups.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

/** What KIP-848 calls the groups whose members divide the work among themselves, the only ones here. */
const groupType = 'classic';

/** ListGroups 0–5. From version 4 on by state (KIP-518), from 5 on by type; neither minds upper or lower case. */
export const listGroups = (groups: GroupCoordinator) =>
  handler({
    request: listGroupsRequest,
    response: listGroupsResponse,
    handle: (_context, { statesFilter, typesFilter }) => {
      if (!passes(typesFilter, groupType)) return { groups: [] };
      const listed = groups.list().filter(({ state }) => passes(statesFilter, state));
      return { groups: listed.map(({ state, ...group }) => ({ ...group, groupState: state, groupType })) };
    },
  });

function passes(filter: readonly string[], name: string): boolean {
  return filter.length === 0 || filter.some((each) => each.toLowerCase() === name.toLowerCase());
}
