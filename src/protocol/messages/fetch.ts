import { arrayOf, int8, int16, int32, int64, message, records, string, struct, structs, uuid } from '../schema.ts';

export const fetchRequest = message(
  'FetchRequest',
  1,
  { versions: '4-17', flexible: '12+' },
  {
    clusterId: string('12+', { nullable: '12+', tag: 0, default: null }),
    replicaId: int32('0-14', { default: -1 }),
    replicaState: struct({
      replicaId: int32('15+', { default: -1 }),
      replicaEpoch: int64('15+', { default: -1 }),
    })('15+', { tag: 1 }),
    maxWaitMs: int32('0+'),
    minBytes: int32('0+'),
    maxBytes: int32('3+', { default: 0x7fff_ffff }),
    isolationLevel: int8('4+'),
    sessionId: int32('7+'),
    sessionEpoch: int32('7+', { default: -1 }),
    topics: structs({
      topic: string('0-12'),
      topicId: uuid('13+'),
      partitions: structs({
        partition: int32('0+'),
        currentLeaderEpoch: int32('9+', { default: -1 }),
        fetchOffset: int64('0+'),
        lastFetchedEpoch: int32('12+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1 }),
        partitionMaxBytes: int32('0+'),
        replicaDirectoryId: uuid('17+', { tag: 0 }),
      })('0+'),
    })('0+'),
    forgottenTopicsData: structs({
      topic: string('7-12'),
      topicId: uuid('13+'),
      partitions: arrayOf(int32)('7+'),
    })('7+'),
    rackId: string('11+'),
  },
);

/**
 * Each aborted transaction is named that touches what is fetched, and the marker alone of one takes 78 bytes of that: an answer
 * with 50 MiB of records may name 670,000, and a reader that does not take it comes past it never.
 */
const fetchedElementsMax = 1_000_000;

export const fetchResponse = message(
  'FetchResponse',
  1,
  { versions: '4-17', flexible: '12+', elementsMax: fetchedElementsMax },
  {
    throttleTimeMs: int32('1+'),
    errorCode: int16('7+'),
    sessionId: int32('7+'),
    responses: structs({
      topic: string('0-12'),
      topicId: uuid('13+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        highWatermark: int64('0+'),
        lastStableOffset: int64('4+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1 }),
        divergingEpoch: struct({
          epoch: int32('12+', { default: -1 }),
          endOffset: int64('12+', { default: -1 }),
        })('12+', { tag: 0 }),
        currentLeader: struct({
          leaderId: int32('12+', { default: -1 }),
          leaderEpoch: int32('12+', { default: -1 }),
        })('12+', { tag: 1 }),
        snapshotId: struct({
          endOffset: int64('0+', { default: -1 }),
          epoch: int32('0+', { default: -1 }),
        })('12+', { tag: 2 }),
        abortedTransactions: structs({
          producerId: int64('4+'),
          firstOffset: int64('4+'),
        })('4+', { nullable: '4+' }),
        preferredReadReplica: int32('11+', { default: -1 }),
        records: records('0+', { nullable: '0+' }),
      })('0+'),
    })('0+'),
    nodeEndpoints: structs({
      nodeId: int32('16+'),
      host: string('16+'),
      port: int32('16+'),
      rack: string('16+', { nullable: '16+', default: null }),
    })('16+', { tag: 0 }),
  },
);
