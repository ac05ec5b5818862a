import { arrayOf, int16, int32, int64, message, string, structs } from '../schema.ts';

export const describeProducersRequest = message(
  'DescribeProducersRequest',
  61,
  { versions: '0', flexible: '0+' },
  {
    topics: structs({
      name: string('0+'),
      partitionIndexes: arrayOf(int32)('0+'),
    })('0+'),
  },
);

export const describeProducersResponse = message(
  'DescribeProducersResponse',
  61,
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+', default: null }),
        activeProducers: structs({
          producerId: int64('0+'),
          producerEpoch: int32('0+'),
          lastSequence: int32('0+', { default: -1 }),
          lastTimestamp: int64('0+', { default: -1 }),
          coordinatorEpoch: int32('0+'),
          currentTxnStartOffset: int64('0+', { default: -1 }),
        })('0+'),
      })('0+'),
    })('0+'),
  },
);
