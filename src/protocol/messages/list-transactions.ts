import { arrayOf, int16, int32, int64, message, string, structs } from '../schema.ts';

export const listTransactionsRequest = message(
  'ListTransactionsRequest',
  66,
  { versions: '0-2', flexible: '0+' },
  {
    stateFilters: arrayOf(string)('0+'),
    producerIdFilters: arrayOf(int64)('0+'),
    durationFilter: int64('1+', { default: -1 }),
    transactionalIdPattern: string('2+', { nullable: '2+', default: null }),
  },
);

export const listTransactionsResponse = message(
  'ListTransactionsResponse',
  66,
  { versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    unknownStateFilters: arrayOf(string)('0+'),
    transactionStates: structs({
      transactionalId: string('0+'),
      producerId: int64('0+'),
      transactionState: string('0+'),
    })('0+'),
  },
);
