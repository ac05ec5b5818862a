import { int16, int32, int64, message, string, structs } from '../schema.ts';

export const txnOffsetCommitRequest = message(
  'TxnOffsetCommitRequest',
  28,
  { versions: '0-4', flexible: '3+' },
  {
    transactionalId: string('0+'),
    groupId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    generationId: int32('3+', { default: -1 }),
    memberId: string('3+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        committedLeaderEpoch: int32('2+', { default: -1 }),
        committedMetadata: string('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
  },
);

export const txnOffsetCommitResponse = message(
  'TxnOffsetCommitResponse',
  28,
  { versions: '0-4', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      })('0+'),
    })('0+'),
  },
);
