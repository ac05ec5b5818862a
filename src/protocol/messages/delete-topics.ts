import { arrayOf, int16, int32, message, string, structs, uuid } from '../schema.ts';

export const deleteTopicsRequest = message(
  'DeleteTopicsRequest',
  20,
  { versions: '1-6', flexible: '4+' },
  {
    topics: structs({
      name: string('6+', { nullable: '6+', default: null }),
      topicId: uuid('6+'),
    })('6+'),
    topicNames: arrayOf(string)('0-5'),
    timeoutMs: int32('0+'),
  },
);

export const deleteTopicsResponse = message(
  'DeleteTopicsResponse',
  20,
  { versions: '1-6', flexible: '4+' },
  {
    throttleTimeMs: int32('1+'),
    responses: structs({
      name: string('0+', { nullable: '6+' }),
      topicId: uuid('6+'),
      errorCode: int16('0+'),
      errorMessage: string('5+', { nullable: '5+', default: null }),
    })('0+'),
  },
);
