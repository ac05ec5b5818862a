import { bool, int16, int32, int64, message, string } from '../schema.ts';

export const endTxnRequest = message(
  'EndTxnRequest',
  26,
  { versions: '0-4', flexible: '3+' },
  {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    committed: bool('0+'),
  },
);

export const endTxnResponse = message(
  'EndTxnResponse',
  26,
  { versions: '0-4', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
  },
);
