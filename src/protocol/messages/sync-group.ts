import { bytes, int16, int32, message, string, structs } from '../schema.ts';

export const syncGroupRequest = message(
  'SyncGroupRequest',
  14,
  { versions: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
    protocolType: string('5+', { nullable: '5+', default: null }),
    protocolName: string('5+', { nullable: '5+', default: null }),
    assignments: structs({
      memberId: string('0+'),
      assignment: bytes('0+'),
    })('0+'),
  },
);

export const syncGroupResponse = message(
  'SyncGroupResponse',
  14,
  { versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+'),
    errorCode: int16('0+'),
    protocolType: string('5+', { nullable: '5+', default: null }),
    protocolName: string('5+', { nullable: '5+', default: null }),
    assignment: bytes('0+'),
  },
);
