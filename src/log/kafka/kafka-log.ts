import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { type Clock, pause } from '../../kernel/clock.ts';
import { BitacoraError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import { kafkaErrorName } from '../../protocol/errors.ts';
import { GroupCommit, type QueueBudget } from '../group-commit.ts';
import type {
  Appended,
  AppendRecord,
  Log,
  LogReader,
  PartitionEnds,
  ReadFrom,
  ReadHandler,
  TopicDescription,
  TopicSettings,
} from '../log.ts';
import { Brokers } from '../wire/brokers.ts';
import { DirectReader, DirectReaderStats } from '../wire/direct-reader.ts';
import { DirectWriter } from '../wire/direct-writer.ts';
import { registerReaderMetrics } from '../wire/reader-metrics.ts';
import { type KafkaConnection, kafkaClient } from './client.ts';
import { registerCodecs } from './codecs.ts';
import { asLogError, protocolAnswer } from './errors.ts';
import { KafkaReader, type Leadership, type ReaderStats } from './reader.ts';

export interface KafkaLogOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  /** The consumer group that this node reads under. */
  readonly groupId: string;
  /** Which reader: the one of `log/wire/`, or that of kafkajs. */
  readonly reader: 'direct' | 'kafkajs';
  readonly writeTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const adminTimeoutMs = 10_000;
const fetchTimeoutMs = 30_000;
/** Most bytes of writes that wait for the log, all partitions together. */
const queueBytesMax = 64 * 1024 * 1024;
const batchBytesMax = 1024 * 1024;
const batchRecordsMax = 10_000;
/** Leaves room under a topic's max.message.bytes for the batch's own header (61 bytes) and for long lengths. */
const batchHeaderBytes = 1024;
/** Kafka's own default of max.message.bytes. */
const defaultMaxMessageBytes = 1_048_588;
const stopWithinMs = 2_000;

/**
 * The log in a Kafka topic. Records are written and read by `log/wire/`; kafkajs, which only this folder knows, asks what an
 * administrator asks, and reads where it is told to.
 */
export class KafkaLog implements Log {
  readonly name = 'kafka log';
  readonly #options: KafkaLogOptions;
  readonly #admin: Admin;
  readonly #consumerClient: Kafka;
  readonly #budget: QueueBudget = { bytes: 0, bytesMax: queueBytesMax };
  readonly #writers = new Map<number, GroupCommit>();
  readonly #readerStats: ReaderStats = { restarts: 0, disturbances: 0 };
  readonly #directReaderStats = new DirectReaderStats();
  /** For writes, and for what kafkajs does not tell: the topic's id. */
  readonly #brokers: Brokers;
  /** As `describe` has told it last. */
  #topicId: string | undefined;
  /** The topic's max.message.bytes, as last heard. */
  #maxMessageBytes = defaultMaxMessageBytes;
  #connected: Promise<void> | undefined;
  #draining = false;

  constructor(options: KafkaLogOptions) {
    this.#options = options;
    registerCodecs();
    const { connection, logger } = options;
    this.#admin = kafkaClient(connection, logger, { requestTimeoutMs: adminTimeoutMs, retries: 1 }).admin();
    this.#consumerClient = kafkaClient(connection, logger, {
      requestTimeoutMs: fetchTimeoutMs,
      // See KafkaReader: a consumer is to outlive the loss of its brokers.
      retries: Number.MAX_SAFE_INTEGER,
    });
    this.#brokers = this.#makeBrokers();
    this.#registerMetrics();
  }

  async run(): Promise<void> {}

  async drain(): Promise<void> {
    this.#draining = true;
    const drained = Promise.all([...this.#writers.values()].map((writer) => writer.drain()));
    // By then every write has had its answer, though a request may still hang.
    await Promise.race([drained, pause(this.#options.clock, this.#options.writeTimeoutMs)]);
  }

  async stop(): Promise<void> {
    for (const writer of this.#writers.values()) writer.stop();
    this.#brokers.close();
    await Promise.race([this.#admin.disconnect(), pause(this.#options.clock, stopWithinMs)]);
  }

  async describe(): Promise<TopicDescription | undefined> {
    const { topic } = this.#options;
    return this.#ask('for a description of the topic', async (admin) => {
      const metadata = await this.#topicMetadata(admin);
      if (metadata === undefined) return undefined;
      const { clusterId } = await admin.describeCluster();
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
      });
      const configs = new Map(
        resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]) ?? [],
      );
      const number = (name: string, fallback: number): number => {
        const value = Number.parseInt(configs.get(name) ?? '', 10);
        return Number.isSafeInteger(value) ? value : fallback;
      };
      const maxMessageBytes = number('max.message.bytes', defaultMaxMessageBytes);
      this.#maxMessageBytes = maxMessageBytes;
      this.#topicId = await this.#askTopicId();
      return {
        topic,
        clusterId,
        topicId: this.#topicId,
        partitions: metadata.length,
        cleanupPolicy: configs.get('cleanup.policy') ?? 'unknown',
        deleteRetentionMs: number('delete.retention.ms', 86_400_000),
        maxMessageBytes,
        minInsyncReplicas: number('min.insync.replicas', 1),
        replicationFactor: Math.min(...metadata.map((partition) => partition.replicas.length)),
      };
    });
  }

  async create(settings: TopicSettings): Promise<void> {
    const { topic } = this.#options;
    await this.#ask('to create the topic', async (admin) => {
      const { brokers } = await admin.describeCluster();
      const replicationFactor = Math.min(3, brokers.length);
      this.#maxMessageBytes = settings.maxMessageBytes;
      // kafkajs answers false, not an error, when the topic has come to exist meanwhile.
      await admin.createTopics({
        waitForLeaders: true,
        topics: [
          {
            topic,
            numPartitions: settings.partitions,
            replicationFactor,
            configEntries: [
              { name: 'cleanup.policy', value: 'compact' },
              { name: 'max.message.bytes', value: String(settings.maxMessageBytes) },
              // With three replicas, an acknowledged write survives the loss of any one broker.
              { name: 'min.insync.replicas', value: replicationFactor >= 3 ? '2' : '1' },
              ...compactionConfigs(settings),
            ],
          },
        ],
      });
    });
  }

  async ends(): Promise<readonly PartitionEnds[]> {
    return this.#ask('where the topic ends', async (admin) => {
      const offsets = await admin.fetchTopicOffsets(this.#options.topic);
      return offsets
        .map(({ partition, low, high }) => ({ partition, earliest: Number(low), end: Number(high) }))
        .sort((a, b) => a.partition - b.partition);
    });
  }

  async firstOffsetSince(partition: number, timestampMs: number): Promise<number> {
    return this.#ask('for the offset of a time', async (admin) => {
      const offsets = await admin.fetchTopicOffsetsByTimestamp(this.#options.topic, timestampMs);
      const found = offsets.find((candidate) => candidate.partition === partition);
      if (found === undefined) throw new BitacoraError('log_unavailable', `Kafka did not answer for ${partition}.`);
      return Number(found.offset);
    });
  }

  append(record: AppendRecord): Promise<Appended> {
    let writer = this.#writers.get(record.partition);
    if (writer === undefined) {
      writer = this.#makeWriter(record.partition);
      this.#writers.set(record.partition, writer);
    }
    return writer.append(record);
  }

  read(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    return this.#options.reader === 'direct' ? this.#readDirectly(from, handler) : this.#readByKafkajs(from, handler);
  }

  #readDirectly(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    const { topic, groupId, clock, logger } = this.#options;
    const options = {
      brokers: this.#makeBrokers(),
      topic,
      topicId: this.#topicId,
      groupId,
      from,
      handler,
      isolation: 'read_committed',
      clock,
      logger,
    } as const;
    return new DirectReader(options, this.#directReaderStats);
  }

  #readByKafkajs(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    const { topic, groupId, clock, logger } = this.#options;
    return new KafkaReader(
      {
        kafka: this.#consumerClient,
        topic,
        groupId,
        positions: from.map(({ offset }) => offset),
        handler,
        clock,
        logger,
        ends: () => this.ends(),
        leadership: () => this.#leadership(),
        batchBytesMax: this.#maxMessageBytes,
      },
      this.#readerStats,
    );
  }

  #makeWriter(partition: number): GroupCommit {
    const { topic, writeTimeoutMs, clock } = this.#options;
    const sender = new DirectWriter({ brokers: this.#brokers, topic, partition, requestTimeoutMs: writeTimeoutMs });
    const writer = new GroupCommit(sender, {
      clock,
      writeTimeoutMs,
      batchBytesMax: Math.min(batchBytesMax, Math.max(1, this.#maxMessageBytes - batchHeaderBytes)),
      batchRecordsMax,
      budget: this.#budget,
    });
    if (this.#draining) writer.stop();
    return writer;
  }

  #makeBrokers(): Brokers {
    const { connection, clock, logger } = this.#options;
    return new Brokers({ connection, clock, logger });
  }

  /** undefined for kafkajs' reader, which would not notice whose records it reads, and where the brokers are too old. */
  async #askTopicId(): Promise<string | undefined> {
    const { reader, topic } = this.#options;
    if (reader !== 'direct') return undefined;
    const { errorCode, topicId } = await this.#brokers.metadata(topic);
    if (errorCode === 0) return topicId;
    const name = kafkaErrorName(errorCode) ?? `error ${errorCode}`;
    // Another broker has just described it: to go on without the id would be to take another topic of the name for this one.
    throw new BitacoraError('log_unavailable', `Kafka is not of one mind about the topic: ${name}`);
  }

  async #leadership(): Promise<Leadership> {
    return this.#ask('who leads the partitions', async (admin) => {
      const metadata = (await this.#topicMetadata(admin)) ?? [];
      const { brokers } = await admin.describeCluster();
      const leaders: (number | undefined)[] = [];
      for (const { partitionId, leader } of metadata) leaders[partitionId] = leader < 0 ? undefined : leader;
      return { leaders, brokers: new Map(brokers.map(({ nodeId, host, port }) => [`${host}:${port}`, nodeId])) };
    });
  }

  async #topicMetadata(admin: Admin) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [this.#options.topic] });
      return topics[0]?.partitions;
    } catch (error) {
      if (protocolAnswer(error)?.type === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined;
      throw error;
    }
  }

  async #ask<T>(what: string, question: (admin: Admin) => Promise<T>): Promise<T> {
    try {
      this.#connected ??= this.#admin.connect();
      await this.#connected;
      return await question(this.#admin);
    } catch (error) {
      this.#connected = undefined;
      throw asLogError(error, what);
    }
  }

  #registerMetrics(): void {
    const { metrics } = this.#options;
    const sum = (pick: (commit: GroupCommit) => number) => () =>
      [...this.#writers.values()].reduce((total, writer) => total + pick(writer), 0);
    metrics.counter({
      name: 'bitacora_log_appends_total',
      help: 'Writes by what became of them.',
      labelNames: ['outcome'],
      read: () => [
        { labels: { outcome: 'appended' }, value: sum((commit) => commit.stats.appended)() },
        { labels: { outcome: 'refused' }, value: sum((commit) => commit.stats.refused)() },
        { labels: { outcome: 'unknown' }, value: sum((commit) => commit.stats.unknown)() },
      ],
    });
    metrics.counter({
      name: 'bitacora_log_append_batches_total',
      help: 'Batches that carried the appended writes.',
      read: sum((commit) => commit.stats.batches),
    });
    metrics.gauge({
      name: 'bitacora_log_append_queue_records',
      help: 'Writes that wait for the batch in flight to come back.',
      read: sum((commit) => commit.queued),
    });
    metrics.gauge({
      name: 'bitacora_log_append_queue_bytes',
      help: 'Bytes of writes that wait for the log.',
      read: () => this.#budget.bytes,
    });
    registerReaderMetrics(metrics, this.#directReaderStats, this.#readerStats);
  }
}

/**
 * Kafka never compacts the segment that is being written, which is to end by size (`uncompactedBytesMax`), or within an hour where
 * little is written. Of those that have ended, the cleaner is to take a tenth of uncompacted bytes for reason enough to run; by
 * default it waits for half (`min.cleanable.dirty.ratio`).
 */
function compactionConfigs({ uncompactedBytesMax }: TopicSettings): { name: string; value: string }[] {
  if (uncompactedBytesMax === undefined) return [];
  return [
    { name: 'segment.bytes', value: String(uncompactedBytesMax) },
    { name: 'segment.ms', value: '3600000' },
    { name: 'min.cleanable.dirty.ratio', value: '0.1' },
  ];
}
