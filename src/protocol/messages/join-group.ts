import { bool, bytes, int16, int32, message, string, structs } from '../schema.ts';

export const joinGroupRequest = message(
  'JoinGroupRequest',
  11,
  { versions: '0-9', flexible: '6+' },
  {
    groupId: string('0+'),
    sessionTimeoutMs: int32('0+'),
    rebalanceTimeoutMs: int32('1+', { default: -1 }),
    memberId: string('0+'),
    groupInstanceId: string('5+', { nullable: '5+', default: null }),
    protocolType: string('0+'),
    protocols: structs({
      name: string('0+'),
      metadata: bytes('0+'),
    })('0+'),
    reason: string('8+', { nullable: '8+', default: null }),
  },
);

export const joinGroupResponse = message(
  'JoinGroupResponse',
  11,
  { versions: '0-9', flexible: '6+' },
  {
    throttleTimeMs: int32('2+'),
    errorCode: int16('0+'),
    generationId: int32('0+', { default: -1 }),
    protocolType: string('7+', { nullable: '7+', default: null }),
    protocolName: string('0+', { nullable: '7+' }),
    leader: string('0+'),
    skipAssignment: bool('9+'),
    memberId: string('0+'),
    members: structs({
      memberId: string('0+'),
      groupInstanceId: string('5+', { nullable: '5+', default: null }),
      metadata: bytes('0+'),
    })('0+'),
  },
);
