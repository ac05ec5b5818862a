import { int16, int32, int64, message, records, string, struct, structs } from '../schema.ts';

export const produceRequest = message(
  'ProduceRequest',
  0,
  { versions: '3-11', flexible: '9+' },
  {
    transactionalId: string('3+', { nullable: '3+', default: null }),
    acks: int16('0+'),
    timeoutMs: int32('0+'),
    topicData: structs({
      name: string('0-12'),
      partitionData: structs({
        index: int32('0+'),
        records: records('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
  },
);

export const produceResponse = message(
  'ProduceResponse',
  0,
  { versions: '3-11', flexible: '9+' },
  {
    responses: structs({
      name: string('0-12'),
      partitionResponses: structs({
        index: int32('0+'),
        errorCode: int16('0+'),
        baseOffset: int64('0+'),
        logAppendTimeMs: int64('2+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1 }),
        recordErrors: structs({
          batchIndex: int32('8+'),
          batchIndexErrorMessage: string('8+', { nullable: '8+', default: null }),
        })('8+'),
        errorMessage: string('8+', { nullable: '8+', default: null }),
        currentLeader: struct({
          leaderId: int32('10+', { default: -1 }),
          leaderEpoch: int32('10+', { default: -1 }),
        })('10+', { tag: 0 }),
      })('0+'),
    })('0+'),
    throttleTimeMs: int32('1+'),
    nodeEndpoints: structs({
      nodeId: int32('10+'),
      host: string('10+'),
      port: int32('10+'),
      rack: string('10+', { nullable: '10+', default: null }),
    })('10+', { tag: 0 }),
  },
);
