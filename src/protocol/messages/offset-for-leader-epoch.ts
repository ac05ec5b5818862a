import { int16, int32, int64, message, string, structs } from '../schema.ts';

export const offsetForLeaderEpochRequest = message(
  'OffsetForLeaderEpochRequest',
  23,
  { versions: '2-4', flexible: '4+' },
  {
    replicaId: int32('3+', { default: -2 }),
    topics: structs({
      topic: string('0+'),
      partitions: structs({
        partition: int32('0+'),
        currentLeaderEpoch: int32('2+', { default: -1 }),
        leaderEpoch: int32('0+'),
      })('0+'),
    })('0+'),
  },
);

export const offsetForLeaderEpochResponse = message(
  'OffsetForLeaderEpochResponse',
  23,
  { versions: '2-4', flexible: '4+' },
  {
    throttleTimeMs: int32('2+'),
    topics: structs({
      topic: string('0+'),
      partitions: structs({
        errorCode: int16('0+'),
        partition: int32('0+'),
        leaderEpoch: int32('1+', { default: -1 }),
        endOffset: int64('0+', { default: -1 }),
      })('0+'),
    })('0+'),
  },
);
