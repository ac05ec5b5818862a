import { int16, int32, int64, message, string } from '../schema.ts';

export const addOffsetsToTxnRequest = message(
  'AddOffsetsToTxnRequest',
  25,
  { versions: '0-4', flexible: '3+' },
  {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    groupId: string('0+'),
  },
);

export const addOffsetsToTxnResponse = message(
  'AddOffsetsToTxnResponse',
  25,
  { versions: '0-4', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
  },
);
