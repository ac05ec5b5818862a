import { arrayOf, int16, int32, int64, message, string, structs } from '../schema.ts';

export const describeTransactionsRequest = message(
  'DescribeTransactionsRequest',
  65,
  { versions: '0', flexible: '0+' },
  {
    transactionalIds: arrayOf(string)('0+'),
  },
);

export const describeTransactionsResponse = message(
  'DescribeTransactionsResponse',
  65,
  { versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    transactionStates: structs({
      errorCode: int16('0+'),
      transactionalId: string('0+'),
      transactionState: string('0+'),
      transactionTimeoutMs: int32('0+'),
      transactionStartTimeMs: int64('0+'),
      producerId: int64('0+'),
      producerEpoch: int16('0+'),
      topics: structs({
        topic: string('0+'),
        partitions: arrayOf(int32)('0+'),
      })('0+'),
    })('0+'),
  },
);
