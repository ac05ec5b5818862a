import kafkajs, { type Message, type Producer } from 'kafkajs';
import { FatalError } from '../../kernel/errors.ts';
import { type KafkaConnection, kafkaClient } from '../../log/kafka/client.ts';
import { type PartitionerName, partitioners } from '../../log/partitioner.ts';
import type { NewRecord } from '../record-json.ts';
import { asFatal, hasAnswer, silentLogger, withAdmin } from './cluster-admin.ts';
import { type Compression, compressionType } from './compression.ts';
import { maxMessageBytes, topicMetadata } from './topics.ts';

export interface RecordWriterOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly partitioner: PartitionerName;
  readonly compression: Compression;
}

const requestTimeoutMs = 30_000;
const retries = 8;
/** kafkajs groups a request's records by partition in a time that grows with the square of their number. */
const batchRecordsMax = 1_000;
const batchBytesMax = 1024 * 1024;
/** What waits while a request is under way; more makes the reader of the input wait. */
const queueBytesMax = 8 * 1024 * 1024;
/** Room for the batch's own header (61 bytes), and for lengths and deltas in front of a record. */
const batchHeaderBytes = 1024;
const recordOverheadBytes = 32;

/**
 * Writes records of one topic with acks=all through an idempotent producer, those of a partition in the order they came in.
 * What arrives while a request is under way goes out together in the next.
 *
 * Each request holds one partition: on a partial failure over several, kafkajs repeats or forgets the wrong part.
 */
export class RecordWriter {
  readonly #options: RecordWriterOptions;
  readonly #producer: Producer;
  readonly #compression: number;
  readonly #partitions: number;
  readonly #batchBytesMax: number;
  #queue: NewRecord[] = [];
  #queueBytes = 0;
  #written = 0;
  #sending: Promise<void> | undefined;
  #failure: unknown;
  /** Called when room has been made in the queue. */
  #onRound: () => void = () => {};
  /** Where records without a key go, a batch at a time. */
  #keylessPartition: number;

  private constructor(options: RecordWriterOptions, producer: Producer, partitions: number, bytesMax: number) {
    this.#options = options;
    this.#producer = producer;
    this.#partitions = partitions;
    this.#compression = compressionType(options.compression);
    this.#batchBytesMax = Math.max(1, Math.min(batchBytesMax, bytesMax - batchHeaderBytes));
    this.#keylessPartition = Math.floor(Math.random() * partitions);
  }

  /** Rejects with a `FatalError` when there is no such topic or no Kafka. */
  static async open(options: RecordWriterOptions): Promise<RecordWriter> {
    const { connection, topic } = options;
    const doing = `to write to topic "${topic}"`;
    const [partitions, bytesMax] = await withAdmin(connection, doing, async (admin) => {
      const [metadata] = await topicMetadata(admin, [topic]);
      return [metadata!.partitions.length, await maxMessageBytes(admin, topic)] as const;
    });
    const producer = kafkaClient(connection, silentLogger, { requestTimeoutMs, retries }).producer({
      idempotent: true,
      allowAutoTopicCreation: false,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    try {
      await producer.connect();
    } catch (error) {
      throw asFatal(error, doing, connection);
    }
    return new RecordWriter(options, producer, partitions, bytesMax);
  }

  /** Records that every in-sync replica has. */
  get written(): number {
    return this.#written;
  }

  /** Resolves once there is room for more; rejects with a `FatalError` once a record could not be written. */
  async add(records: readonly NewRecord[]): Promise<void> {
    for (const record of records) {
      const { partition } = record;
      if (partition !== undefined && partition >= this.#partitions) {
        throw new FatalError(`topic "${this.#options.topic}" has no partition ${partition}`);
      }
      this.#queue.push(record);
      this.#queueBytes += sizeOf(record);
    }
    if (this.#queue.length > 0) this.#sending ??= this.#sendQueue();
    while (this.#queueBytes > queueBytesMax && this.#failure === undefined) await this.#roundDone();
    this.#check();
  }

  /** Resolves once everything is written. */
  async finish(): Promise<void> {
    await this.#sending;
    this.#check();
  }

  async close(): Promise<void> {
    await this.#sending;
    await this.#producer.disconnect().catch(() => undefined);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #roundDone(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRound = resolve;
    });
  }

  /** Never rejects: a failure is kept for whoever adds or finishes next. */
  async #sendQueue(): Promise<void> {
    while (this.#queue.length > 0 && this.#failure === undefined) {
      await this.#sendBatches(this.#takeBatches());
      this.#onRound();
    }
    this.#sending = undefined;
  }

  /** By partition, as much of the queue's beginning as one request for each partition may hold. */
  #takeBatches(): Map<number, NewRecord[]> {
    const batches = new Map<number, { records: NewRecord[]; bytes: number }>();
    this.#keylessPartition = (this.#keylessPartition + 1) % this.#partitions;
    let count = 0;
    for (const record of this.#queue) {
      const partition = this.#partitionOf(record);
      const batch = batches.get(partition) ?? { records: [], bytes: 0 };
      const bytes = sizeOf(record);
      const isFull = batch.bytes + bytes > this.#batchBytesMax || batch.records.length >= batchRecordsMax;
      // A record that is too large by itself goes alone, for the broker to judge: it may yet fit when compressed.
      if (isFull && batch.records.length > 0) break;
      batch.records.push(record);
      batch.bytes += bytes;
      batches.set(partition, batch);
      this.#queueBytes -= bytes;
      count += 1;
    }
    this.#queue = this.#queue.slice(count);
    return new Map([...batches].map(([partition, { records }]) => [partition, records]));
  }

  #partitionOf({ partition, key }: NewRecord): number {
    if (partition !== undefined) return partition;
    if (key === null) return this.#keylessPartition;
    return partitioners[this.#options.partitioner](key, this.#partitions);
  }

  async #sendBatches(batches: ReadonlyMap<number, readonly NewRecord[]>): Promise<void> {
    const { topic, connection } = this.#options;
    const sends = [...batches].map(async ([partition, records]) => {
      try {
        await this.#producer.send({
          topic,
          acks: -1,
          timeout: requestTimeoutMs,
          compression: this.#compression,
          messages: records.map((record) => messageOf(record, partition)),
        });
        this.#written += records.length;
      } catch (error) {
        const doing = `a record for partition ${partition} of topic "${topic}"${hintOf(error)}`;
        this.#failure ??= asFatal(error, doing, connection);
      }
    });
    await Promise.all(sends);
  }
}

/** Kafka's own messages for these do not say what to do. */
function hintOf(error: unknown): string {
  const isTooLarge = hasAnswer(error, 'MESSAGE_TOO_LARGE') || hasAnswer(error, 'RECORD_LIST_TOO_LARGE');
  if (isTooLarge) return ', whose max.message.bytes it exceeds';
  return hasAnswer(error, 'INVALID_RECORD') ? ', which takes none without a key if it is compacted' : '';
}

function sizeOf({ key, value, headers }: NewRecord): number {
  let bytes = recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, values] of headers) {
    for (const each of values) bytes += name.length * 3 + (each?.length ?? 0) + 10;
  }
  return bytes;
}

function messageOf({ key, value, headers, timestampMs }: NewRecord, partition: number): Message {
  return {
    partition,
    key,
    value,
    ...(timestampMs === undefined ? {} : { timestamp: String(timestampMs) }),
    // kafkajs' types leave out that a header's value may be null, which it writes all the same.
    ...(headers.size === 0 ? {} : { headers: Object.fromEntries(headers) as NonNullable<Message['headers']> }),
  };
}
