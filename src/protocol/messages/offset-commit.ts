import { int16, int32, int64, message, string, structs } from '../schema.ts';

export const offsetCommitRequest = message(
  'OffsetCommitRequest',
  8,
  { versions: '2-9', flexible: '8+' },
  {
    groupId: string('0+'),
    generationIdOrMemberEpoch: int32('1+', { default: -1 }),
    memberId: string('1+'),
    groupInstanceId: string('7+', { nullable: '7+', default: null }),
    retentionTimeMs: int64('2-4', { default: -1 }),
    topics: structs({
      name: string('0-9'),
      partitions: structs({
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        committedLeaderEpoch: int32('6+', { default: -1 }),
        committedMetadata: string('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
  },
);

export const offsetCommitResponse = message(
  'OffsetCommitResponse',
  8,
  { versions: '2-9', flexible: '8+' },
  {
    throttleTimeMs: int32('3+'),
    topics: structs({
      name: string('0-9'),
      partitions: structs({
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      })('0+'),
    })('0+'),
  },
);
