import { int16, int32, message, string, structs } from '../schema.ts';

export const leaveGroupRequest = message(
  'LeaveGroupRequest',
  13,
  { versions: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    memberId: string('0-2'),
    members: structs({
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null }),
      reason: string('5+', { nullable: '5+', default: null }),
    })('3+'),
  },
);

export const leaveGroupResponse = message(
  'LeaveGroupResponse',
  13,
  { versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+'),
    errorCode: int16('0+'),
    members: structs({
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+' }),
      errorCode: int16('3+'),
    })('3+'),
  },
);
