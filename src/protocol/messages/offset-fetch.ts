import { arrayOf, bool, int16, int32, int64, message, string, structs } from '../schema.ts';

export const offsetFetchRequest = message(
  'OffsetFetchRequest',
  9,
  { versions: '1-9', flexible: '6+' },
  {
    groupId: string('0-7'),
    topics: structs({
      name: string('0-7'),
      partitionIndexes: arrayOf(int32)('0-7'),
    })('0-7', { nullable: '2-7' }),
    groups: structs({
      groupId: string('8+'),
      memberId: string('9+', { nullable: '9+', default: null }),
      memberEpoch: int32('9+', { default: -1 }),
      topics: structs({
        name: string('8-9'),
        partitionIndexes: arrayOf(int32)('8+'),
      })('8+', { nullable: '8+' }),
    })('8+'),
    requireStable: bool('7+'),
  },
);

export const offsetFetchResponse = message(
  'OffsetFetchResponse',
  9,
  { versions: '1-9', flexible: '6+' },
  {
    throttleTimeMs: int32('3+'),
    topics: structs({
      name: string('0-7'),
      partitions: structs({
        partitionIndex: int32('0-7'),
        committedOffset: int64('0-7'),
        committedLeaderEpoch: int32('5-7', { default: -1 }),
        metadata: string('0-7', { nullable: '0-7' }),
        errorCode: int16('0-7'),
      })('0-7'),
    })('0-7'),
    errorCode: int16('2-7'),
    groups: structs({
      groupId: string('8+'),
      topics: structs({
        name: string('8-9'),
        partitions: structs({
          partitionIndex: int32('8+'),
          committedOffset: int64('8+'),
          committedLeaderEpoch: int32('8+', { default: -1 }),
          metadata: string('8+', { nullable: '8+' }),
          errorCode: int16('8+'),
        })('8+'),
      })('8+'),
      errorCode: int16('8+'),
    })('8+'),
  },
);
