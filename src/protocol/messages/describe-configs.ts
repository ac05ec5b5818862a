import { arrayOf, bool, int8, int16, int32, message, string, structs } from '../schema.ts';

export const describeConfigsRequest = message(
  'DescribeConfigsRequest',
  32,
  { versions: '1-4', flexible: '4+' },
  {
    resources: structs({
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configurationKeys: arrayOf(string)('0+', { nullable: '0+' }),
    })('0+'),
    includeSynonyms: bool('1+'),
    includeDocumentation: bool('3+'),
  },
);

export const describeConfigsResponse = message(
  'DescribeConfigsResponse',
  32,
  { versions: '1-4', flexible: '4+' },
  {
    throttleTimeMs: int32('0+'),
    results: structs({
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: structs({
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
        readOnly: bool('0+'),
        configSource: int8('1+', { default: -1 }),
        isSensitive: bool('0+'),
        synonyms: structs({
          name: string('1+'),
          value: string('1+', { nullable: '0+' }),
          source: int8('1+'),
        })('1+'),
        configType: int8('3+'),
        documentation: string('3+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
  },
);
