import { bool, float64, int8, int16, int32, message, string, structs } from '../schema.ts';

export const describeClientQuotasRequest = message(
  'DescribeClientQuotasRequest',
  48,
  { versions: '0-1', flexible: '1+' },
  {
    components: structs({
      entityType: string('0+'),
      matchType: int8('0+'),
      match: string('0+', { nullable: '0+' }),
    })('0+'),
    strict: bool('0+'),
  },
);

export const describeClientQuotasResponse = message(
  'DescribeClientQuotasResponse',
  48,
  { versions: '0-1', flexible: '1+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    entries: structs({
      entity: structs({
        entityType: string('0+'),
        entityName: string('0+', { nullable: '0+' }),
      })('0+'),
      values: structs({
        key: string('0+'),
        value: float64('0+'),
      })('0+'),
    })('0+', { nullable: '0+' }),
  },
);
