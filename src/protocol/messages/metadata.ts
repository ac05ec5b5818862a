import { arrayOf, bool, int16, int32, message, string, structs, uuid } from '../schema.ts';

export const metadataRequest = message(
  'MetadataRequest',
  3,
  { versions: '0-12', flexible: '9+' },
  {
    topics: structs({
      topicId: uuid('10+'),
      name: string('0+', { nullable: '10+' }),
    })('0+', { nullable: '1+' }),
    allowAutoTopicCreation: bool('4+', { default: true }),
    includeClusterAuthorizedOperations: bool('8-10'),
    includeTopicAuthorizedOperations: bool('8+'),
  },
);

export const metadataResponse = message(
  'MetadataResponse',
  3,
  { versions: '0-12', flexible: '9+' },
  {
    throttleTimeMs: int32('3+'),
    brokers: structs({
      nodeId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('1+', { nullable: '1+', default: null }),
    })('0+'),
    clusterId: string('2+', { nullable: '2+', default: null }),
    controllerId: int32('1+', { default: -1 }),
    topics: structs({
      errorCode: int16('0+'),
      name: string('0+', { nullable: '12+' }),
      topicId: uuid('10+'),
      isInternal: bool('1+'),
      partitions: structs({
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('7+', { default: -1 }),
        replicaNodes: arrayOf(int32)('0+'),
        isrNodes: arrayOf(int32)('0+'),
        offlineReplicas: arrayOf(int32)('5+'),
      })('0+'),
      topicAuthorizedOperations: int32('8+', { default: -2147483648 }),
    })('0+'),
    clusterAuthorizedOperations: int32('8-10', { default: -2147483648 }),
  },
);
