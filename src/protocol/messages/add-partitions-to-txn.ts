import { arrayOf, int16, int32, int64, message, string, structs } from '../schema.ts';

export const addPartitionsToTxnRequest = message(
  'AddPartitionsToTxnRequest',
  24,
  { versions: '0-3', flexible: '3+' },
  {
    v3AndBelowTransactionalId: string('0-3'),
    v3AndBelowProducerId: int64('0-3'),
    v3AndBelowProducerEpoch: int16('0-3'),
    v3AndBelowTopics: structs({
      name: string('0+'),
      partitions: arrayOf(int32)('0+'),
    })('0-3'),
  },
);

export const addPartitionsToTxnResponse = message(
  'AddPartitionsToTxnResponse',
  24,
  { versions: '0-3', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    resultsByTopicV3AndBelow: structs({
      name: string('0+'),
      resultsByPartition: structs({
        partitionIndex: int32('0+'),
        partitionErrorCode: int16('0+'),
      })('0+'),
    })('0-3'),
  },
);
