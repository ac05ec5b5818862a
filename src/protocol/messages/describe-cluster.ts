import { bool, int8, int16, int32, message, string, structs } from '../schema.ts';

export const describeClusterRequest = message(
  'DescribeClusterRequest',
  60,
  { versions: '0-2', flexible: '0+' },
  {
    includeClusterAuthorizedOperations: bool('0+'),
    endpointType: int8('1+', { default: 1 }),
    includeFencedBrokers: bool('2+'),
  },
);

export const describeClusterResponse = message(
  'DescribeClusterResponse',
  60,
  { versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    endpointType: int8('1+', { default: 1 }),
    clusterId: string('0+'),
    controllerId: int32('0+', { default: -1 }),
    brokers: structs({
      brokerId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('0+', { nullable: '0+', default: null }),
      isFenced: bool('2+'),
    })('0+'),
    clusterAuthorizedOperations: int32('0+', { default: -2147483648 }),
  },
);
