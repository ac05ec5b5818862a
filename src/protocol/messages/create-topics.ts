import { arrayOf, bool, int8, int16, int32, message, string, structs, uuid } from '../schema.ts';

export const createTopicsRequest = message(
  'CreateTopicsRequest',
  19,
  { versions: '2-7', flexible: '5+' },
  {
    topics: structs({
      name: string('0+'),
      numPartitions: int32('0+'),
      replicationFactor: int16('0+'),
      assignments: structs({
        partitionIndex: int32('0+'),
        brokerIds: arrayOf(int32)('0+'),
      })('0+'),
      configs: structs({
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
    timeoutMs: int32('0+', { default: 60000 }),
    validateOnly: bool('1+'),
  },
);

export const createTopicsResponse = message(
  'CreateTopicsResponse',
  19,
  { versions: '2-7', flexible: '5+' },
  {
    throttleTimeMs: int32('2+'),
    topics: structs({
      name: string('0+'),
      topicId: uuid('7+'),
      errorCode: int16('0+'),
      errorMessage: string('1+', { nullable: '0+' }),
      topicConfigErrorCode: int16('5+', { tag: 0 }),
      numPartitions: int32('5+', { default: -1 }),
      replicationFactor: int16('5+', { default: -1 }),
      configs: structs({
        name: string('5+'),
        value: string('5+', { nullable: '5+' }),
        readOnly: bool('5+'),
        configSource: int8('5+', { default: -1 }),
        isSensitive: bool('5+'),
      })('5+', { nullable: '5+' }),
    })('0+'),
  },
);
