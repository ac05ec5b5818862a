import { int16, int32, message, string } from '../schema.ts';

export const heartbeatRequest = message(
  'HeartbeatRequest',
  12,
  { versions: '0-4', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
  },
);

export const heartbeatResponse = message(
  'HeartbeatResponse',
  12,
  { versions: '0-4', flexible: '4+' },
  {
    throttleTimeMs: int32('1+'),
    errorCode: int16('0+'),
  },
);
