import { bool, int8, int16, int32, message, string, structs } from '../schema.ts';

export const incrementalAlterConfigsRequest = message(
  'IncrementalAlterConfigsRequest',
  44,
  { versions: '0-1', flexible: '1+' },
  {
    resources: structs({
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: structs({
        name: string('0+'),
        configOperation: int8('0+'),
        value: string('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
    validateOnly: bool('0+'),
  },
);

export const incrementalAlterConfigsResponse = message(
  'IncrementalAlterConfigsResponse',
  44,
  { versions: '0-1', flexible: '1+' },
  {
    throttleTimeMs: int32('0+'),
    responses: structs({
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8('0+'),
      resourceName: string('0+'),
    })('0+'),
  },
);
