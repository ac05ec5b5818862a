import { arrayOf, bool, int16, int32, int64, message, string, structs } from '../schema.ts';

export const writeTxnMarkersRequest = message(
  'WriteTxnMarkersRequest',
  27,
  { versions: '1', flexible: '1+' },
  {
    markers: structs({
      producerId: int64('0+'),
      producerEpoch: int16('0+'),
      transactionResult: bool('0+'),
      topics: structs({
        name: string('0+'),
        partitionIndexes: arrayOf(int32)('0+'),
      })('0+'),
      coordinatorEpoch: int32('0+'),
    })('0+'),
  },
);

export const writeTxnMarkersResponse = message(
  'WriteTxnMarkersResponse',
  27,
  { versions: '1', flexible: '1+' },
  {
    markers: structs({
      producerId: int64('0+'),
      topics: structs({
        name: string('0+'),
        partitions: structs({
          partitionIndex: int32('0+'),
          errorCode: int16('0+'),
        })('0+'),
      })('0+'),
    })('0+'),
  },
);
