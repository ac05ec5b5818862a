import { arrayOf, bool, int16, int32, message, string, structs } from '../schema.ts';

export const createPartitionsRequest = message(
  'CreatePartitionsRequest',
  37,
  { versions: '0-3', flexible: '2+' },
  {
    topics: structs({
      name: string('0+'),
      count: int32('0+'),
      assignments: structs({
        brokerIds: arrayOf(int32)('0+'),
      })('0+', { nullable: '0+' }),
    })('0+'),
    timeoutMs: int32('0+'),
    validateOnly: bool('0+'),
  },
);

export const createPartitionsResponse = message(
  'CreatePartitionsResponse',
  37,
  { versions: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: structs({
      name: string('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    })('0+'),
  },
);
