import { arrayOf, int16, int32, message, string, structs } from '../schema.ts';

export const deleteGroupsRequest = message(
  'DeleteGroupsRequest',
  42,
  { versions: '0-2', flexible: '2+' },
  {
    groupsNames: arrayOf(string)('0+'),
  },
);

export const deleteGroupsResponse = message(
  'DeleteGroupsResponse',
  42,
  { versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: structs({
      groupId: string('0+'),
      errorCode: int16('0+'),
    })('0+'),
  },
);
