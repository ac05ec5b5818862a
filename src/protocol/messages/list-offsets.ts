import { int8, int16, int32, int64, message, string, structs } from '../schema.ts';

export const listOffsetsRequest = message(
  'ListOffsetsRequest',
  2,
  { versions: '1-10', flexible: '6+' },
  {
    replicaId: int32('0+'),
    isolationLevel: int8('2+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        currentLeaderEpoch: int32('4+', { default: -1 }),
        timestamp: int64('0+'),
      })('0+'),
    })('0+'),
    timeoutMs: int32('10+'),
  },
);

export const listOffsetsResponse = message(
  'ListOffsetsResponse',
  2,
  { versions: '1-10', flexible: '6+' },
  {
    throttleTimeMs: int32('2+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        timestamp: int64('1+', { default: -1 }),
        offset: int64('1+', { default: -1 }),
        leaderEpoch: int32('4+', { default: -1 }),
      })('0+'),
    })('0+'),
  },
);
