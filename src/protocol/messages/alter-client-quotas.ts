import { bool, float64, int16, int32, message, string, structs } from '../schema.ts';

export const alterClientQuotasRequest = message(
  'AlterClientQuotasRequest',
  49,
  { versions: '0-1', flexible: '1+' },
  {
    entries: structs({
      entity: structs({
        entityType: string('0+'),
        entityName: string('0+', { nullable: '0+' }),
      })('0+'),
      ops: structs({
        key: string('0+'),
        value: float64('0+'),
        remove: bool('0+'),
      })('0+'),
    })('0+'),
    validateOnly: bool('0+'),
  },
);

export const alterClientQuotasResponse = message(
  'AlterClientQuotasResponse',
  49,
  { versions: '0-1', flexible: '1+' },
  {
    throttleTimeMs: int32('0+'),
    entries: structs({
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      entity: structs({
        entityType: string('0+'),
        entityName: string('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
  },
);
