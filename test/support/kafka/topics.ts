import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Admin, type EachBatchPayload, type IHeaders, type Message, Partitioners } from 'kafkajs';
import { kafkajsClient, type Reachable } from './client.ts';
import { type Kafka, onTeardown } from './kafka.ts';

const PREFIX = 'bitacora-test';
const READ_TIMEOUT_MS = 30_000;
const FETCH_WAIT_MS = 100;
const QUIET_FETCHES_PER_BROKER = 3;

export interface RawRecord {
  partition: number;
  offset: bigint;
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
  timestampMs: number;
}

export interface TopicOptions {
  partitions?: number;
  config?: Record<string, string>;
}

/** For topics whose test writes old timestamps: by default a week is kept, and Kafka first looks 30 s after its start. */
export const keepsOldRecords = { 'retention.ms': '-1' };

/** A topic name, or group id, that no other test and no other run uses. */
export function freshTopicName(prefix: string): string {
  return `${PREFIX}-${prefix}-${randomUUID()}`;
}

export async function createTopic(kafka: Kafka, name: string, options: TopicOptions = {}): Promise<void> {
  const { partitions = 1, config = {} } = options;
  const created = await withAdmin(kafka, (admin) =>
    admin.createTopics({
      topics: [
        {
          topic: name,
          numPartitions: partitions,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  );
  if (!created) throw new Error(`topic ${name} exists already`);
  // A Kafka of ours goes with all its topics, but one that we were given outlives the tests.
  if (kafka.how === 'given') onTeardown(() => deleteTopic(kafka, name));
}

/** Writes one batch a partition, so under 1 MB; `partition` in a record overrides the choice by its key. */
export async function produceRaw(kafka: Reachable, topic: string, records: Message[]): Promise<void> {
  const producer = kafkajsClient(kafka).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    await producer.send({ topic, messages: records });
  } finally {
    await producer.disconnect();
  }
}

/** Leaves records and an abort marker in the log: readers of committed records see a gap in the offsets. */
export async function abortedTransaction(kafka: Reachable, topic: string, records: Message[]): Promise<void> {
  const producer = kafkajsClient(kafka).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    transactionalId: freshTopicName('transaction'),
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  try {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: records });
    await transaction.abort();
  } finally {
    await producer.disconnect();
  }
}

/**
 * Every committed record of the topic, from its beginning to its present end, by partition and offset.
 *
 * The end of a partition is often no record: those before it may be compacted away, aborted, or markers of a
 * transaction. So the topic is read either up to the end offsets or until the brokers have nothing more to give.
 */
export async function rawRecords(
  kafka: Reachable,
  topic: string,
  { timeoutMs = READ_TIMEOUT_MS }: { timeoutMs?: number } = {},
): Promise<RawRecord[]> {
  return withAdmin(kafka, async (admin) => {
    const unread = new Map(
      (await admin.fetchTopicOffsets(topic))
        .filter(({ low, high }) => low !== high)
        .map(({ partition, high }) => [partition, BigInt(high)]),
    );
    if (unread.size === 0) return [];
    const { brokers } = await admin.describeCluster();
    const quietFetchesAtEnd = QUIET_FETCHES_PER_BROKER * brokers.length;

    const records: RawRecord[] = [];
    const groupId = freshTopicName('reader');
    const consumer = kafkajsClient(kafka).consumer({ groupId, maxWaitTimeInMs: FETCH_WAIT_MS });
    const read = new Promise<void>((resolve, reject) => {
      let quietFetches = 0;
      consumer.on(consumer.events.FETCH, () => {
        quietFetches += 1;
        if (quietFetches > quietFetchesAtEnd) resolve();
      });
      // Unlike eachBatch, this also tells of batches that hold nothing but aborted records and markers.
      consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
        quietFetches = 0;
        if (BigInt(lastOffset) + 1n >= (unread.get(partition) ?? 0n)) unread.delete(partition);
        if (unread.size === 0) resolve();
      });
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    });

    await consumer.connect();
    try {
      await consumer.subscribe({ topic, fromBeginning: true });
      const collect = async (payload: EachBatchPayload): Promise<void> => {
        records.push(...recordsOf(payload));
      };
      await consumer.run({ autoCommit: false, eachBatch: collect });
      await within(timeoutMs, read, `${topic} could not be read to its end`);
    } finally {
      await consumer.disconnect();
    }
    await admin.deleteGroups([groupId]);
    return records.sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset));
  });
}

function recordsOf({ batch }: EachBatchPayload): RawRecord[] {
  return batch.messages.map(({ offset, key, value, headers, timestamp }) => ({
    partition: batch.partition,
    offset: BigInt(offset),
    key,
    value,
    headers: headers ?? {},
    timestampMs: Number(timestamp),
  }));
}

async function deleteTopic(kafka: Reachable, name: string): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    // Its test may have deleted it already.
    if ((await admin.listTopics()).includes(name)) await admin.deleteTopics({ topics: [name] });
  });
}

async function withAdmin<T>(kafka: Reachable, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkajsClient(kafka).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

async function within<T>(timeoutMs: number, wanted: Promise<T>, complaint: string): Promise<T> {
  const late = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`${complaint} within ${timeoutMs} ms`);
  });
  try {
    return await Promise.race([wanted, timeout]);
  } finally {
    late.abort();
    await timeout.catch(() => undefined);
  }
}
