import { arrayOf, int16, int32, message, string, structs } from '../schema.ts';

export const listGroupsRequest = message(
  'ListGroupsRequest',
  16,
  { versions: '0-5', flexible: '3+' },
  {
    statesFilter: arrayOf(string)('4+'),
    typesFilter: arrayOf(string)('5+'),
  },
);

export const listGroupsResponse = message(
  'ListGroupsResponse',
  16,
  { versions: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32('1+'),
    errorCode: int16('0+'),
    groups: structs({
      groupId: string('0+'),
      protocolType: string('0+'),
      groupState: string('4+'),
      groupType: string('5+'),
    })('0+'),
  },
);
