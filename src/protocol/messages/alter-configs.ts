import { bool, int8, int16, int32, message, string, structs } from '../schema.ts';

export const alterConfigsRequest = message(
  'AlterConfigsRequest',
  33,
  { versions: '0-2', flexible: '2+' },
  {
    resources: structs({
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: structs({
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
    validateOnly: bool('0+'),
  },
);

export const alterConfigsResponse = message(
  'AlterConfigsResponse',
  33,
  { versions: '0-2', flexible: '2+' },
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
