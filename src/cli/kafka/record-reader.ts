import { randomUUID } from 'node:crypto';
import kafkajs, {
  type Admin,
  type Consumer,
  type EachBatchPayload,
  type KafkaMessage,
  type PartitionAssigner,
} from 'kafkajs';
import { pause, systemClock, unlessAborted } from '../../kernel/clock.ts';
import { FatalError } from '../../kernel/errors.ts';
import { type KafkaConnection, kafkaClient } from '../../log/kafka/client.ts';
import { registerCodecs } from '../../log/kafka/codecs.ts';
import type { LoggedRecord } from '../record-json.ts';
import { asFatal, silentLogger, withAdmin } from './cluster-admin.ts';
import { EndWatch, keyOf, type Leaders, type WatchedPartition } from './end-watch.ts';
import { committedOffsets } from './groups.ts';
import { maxMessageBytes, partitionBounds, topicMetadata } from './topics.ts';

/** Where reading starts in each partition; `back` is so many records before the end. */
export type Start =
  | { readonly kind: 'beginning' | 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'back'; readonly records: number };

export interface ReadRequest {
  readonly topics: readonly string[];
  /** The group whose offsets are gone on from and committed; undefined to read outside of any. */
  readonly group: string | undefined;
  /** With a group: where a partition starts that the group has no offset of. */
  readonly start: Start;
  readonly partition: number | undefined;
  readonly recordsMax: number | undefined;
  /** End where the partitions end now. */
  readonly stopsAtEnd: boolean;
  readonly readUncommitted: boolean;
}

/** Resolves when the records have been dealt with; only then are they committed, and more are read. */
export type RecordSink = (records: readonly LoggedRecord[]) => Promise<void>;

const mebibyte = 1024 * 1024;
/** Below a broker's own cap on a Fetch answer (`fetch.max.bytes`, 55 MiB). */
const fetchBytesMax = 50 * mebibyte;
const partitionBytesMax = 4 * mebibyte;
const recordsAtOnce = 500;
const heartbeatEveryMs = 3_000;
const examineEveryMs = 500;

/** Reads until `signal` aborts, or to what the request says. Rejects with a `FatalError`. */
export async function readRecords(
  connection: KafkaConnection,
  request: ReadRequest,
  sink: RecordSink,
  signal: AbortSignal,
): Promise<void> {
  registerCodecs();
  const doing = `to read ${request.topics.map((topic) => `"${topic}"`).join(', ')}`;
  await withAdmin(connection, doing, async (admin) => {
    const { partitions, batchBytesMax } = await survey(admin, request);
    const nothingToRead = request.stopsAtEnd && partitions.every(({ position, end }) => position >= end);
    if (nothingToRead || request.recordsMax === 0) return;
    const reading = new Reading(connection, request, partitions, batchBytesMax, sink);
    try {
      await reading.run(admin, signal);
    } finally {
      await reading.close();
      // The group that nobody asked for leaves nothing behind.
      if (request.group === undefined) await admin.deleteGroups([reading.groupId]).catch(() => undefined);
    }
  });
}

/** Where every partition to be read starts and ends. */
async function survey(
  admin: Admin,
  { topics, group, start, partition }: ReadRequest,
): Promise<{ partitions: WatchedPartition[]; batchBytesMax: number }> {
  await topicMetadata(admin, topics);
  const committed = new Map(
    group === undefined
      ? []
      : (await committedOffsets(admin, group)).map((each) => [keyOf(each.topic, each.partition), each.offset]),
  );
  const partitions: WatchedPartition[] = [];
  let batchBytesMax = 0;
  for (const topic of topics) {
    batchBytesMax = Math.max(batchBytesMax, await maxMessageBytes(admin, topic));
    const bounds = [...(await partitionBounds(admin, topic))].filter(
      ([id]) => partition === undefined || id === partition,
    );
    if (bounds.length === 0) throw new FatalError(`topic "${topic}" has no partition ${partition}`);
    for (const [id, { earliest, end }] of bounds) {
      const position = committed.get(keyOf(topic, id)) ?? startOf(start, earliest, end);
      partitions.push({ topic, partition: id, position: Math.max(position, earliest), end });
    }
  }
  return { partitions, batchBytesMax };
}

function startOf(start: Start, earliest: number, end: number): number {
  switch (start.kind) {
    case 'beginning':
      return earliest;
    case 'end':
      return end;
    case 'offset':
      return Math.min(end, start.offset);
    case 'back':
      return end - start.records;
  }
}

/** One consumer from its start to its end. */
class Reading {
  readonly groupId: string;
  readonly #connection: KafkaConnection;
  readonly #request: ReadRequest;
  readonly #sink: RecordSink;
  readonly #consumer: Consumer;
  readonly #watch: EndWatch;
  readonly #finished = new AbortController();
  /** Without a group: where each partition is read next, which a rejoin must go on from. */
  readonly #positions: Map<string, WatchedPartition>;
  #recordsLeft: number;
  #failure: unknown;

  constructor(
    connection: KafkaConnection,
    request: ReadRequest,
    partitions: readonly WatchedPartition[],
    batchBytesMax: number,
    sink: RecordSink,
  ) {
    this.#connection = connection;
    this.#request = request;
    this.#sink = sink;
    this.#recordsLeft = request.recordsMax ?? Number.POSITIVE_INFINITY;
    this.groupId = request.group ?? `bitacora-cli-${randomUUID()}`;
    this.#positions = new Map(partitions.map((each) => [keyOf(each.topic, each.partition), each]));
    this.#watch = new EndWatch(partitions);
    const share = Math.min(partitionBytesMax, Math.floor(fetchBytesMax / partitions.length));
    this.#consumer = kafkaClient(connection, silentLogger, {
      requestTimeoutMs: 30_000,
      // A consumer outlives the loss of its brokers; that there were some at the start is known by now.
      retries: Number.MAX_SAFE_INTEGER,
    }).consumer({
      groupId: this.groupId,
      allowAutoTopicCreation: false,
      readUncommitted: request.readUncommitted,
      maxWaitTimeInMs: 500,
      heartbeatInterval: heartbeatEveryMs,
      // A broker leaves a partition out whose next batch is larger than its share, unless it comes first in the answer.
      maxBytesPerPartition: Math.max(share, batchBytesMax),
      maxBytes: fetchBytesMax,
      ...(request.partition === undefined ? {} : { partitionAssigners: [onePartitionAssigner(request.partition)] }),
      retry: {
        retries: Number.MAX_SAFE_INTEGER,
        initialRetryTime: 250,
        maxRetryTime: 2_000,
      },
    });
    this.#watch.observe(this.#consumer, { fetchBytesMax, batchBytesMax });
  }

  async run(admin: Admin, signal: AbortSignal): Promise<void> {
    const consumer = this.#consumer;
    const { topics, group, start } = this.#request;
    const ends = AbortSignal.any([signal, this.#finished.signal]);
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      // What may pass, such as a coordinator that still loads its groups, has kafkajs start the consumer again.
      if (!payload.restart) this.#fail(payload.error);
    });
    consumer.on(consumer.events.END_BATCH_PROCESS, () => this.#finishAtEnd());
    if (group === undefined) consumer.on(consumer.events.GROUP_JOIN, () => this.#seek());
    const reads = async (): Promise<void> => {
      await consumer.connect();
      // Without a group this counts only where records are deleted before they are read.
      await consumer.subscribe({
        topics: [...topics],
        fromBeginning: group === undefined || start.kind === 'beginning',
      });
      await consumer.run({
        autoCommit: group !== undefined,
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.#onBatch(payload, ends),
      });
    };
    await unlessAborted(reads(), ends);
    while (!ends.aborted) {
      await pause(systemClock, examineEveryMs, ends);
      if (!ends.aborted && this.#request.stopsAtEnd) await this.#examine(admin);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Commits what is resolved, leaves the group and closes the connections. */
  async close(): Promise<void> {
    await this.#consumer.disconnect().catch(() => undefined);
  }

  #fail(error: unknown): void {
    this.#failure ??= asFatal(error, 'to read on', this.#connection);
    this.#finished.abort();
  }

  #finishAtEnd(): void {
    if (this.#request.stopsAtEnd && this.#watch.done) this.#finished.abort();
  }

  #seek(): void {
    for (const { topic, partition, position } of this.#positions.values()) {
      this.#consumer.seek({ topic, partition, offset: String(position) });
    }
  }

  async #examine(admin: Admin): Promise<void> {
    this.#watch.examine(await leadersOf(admin, this.#request.topics));
    this.#finishAtEnd();
  }

  async #onBatch(payload: EachBatchPayload, ends: AbortSignal): Promise<void> {
    const { batch, resolveOffset, heartbeat, isRunning, isStale } = payload;
    const { topic, partition, messages } = batch;
    // kafkajs hands out what was fetched before a seek, or from below the offset asked for when a batch begins there.
    const from = this.#positions.get(keyOf(topic, partition))?.position ?? 0;
    for (let at = 0; at < messages.length; ) {
      if (ends.aborted || !isRunning() || isStale()) return;
      const slice = messages.slice(at, at + Math.min(recordsAtOnce, this.#recordsLeft));
      at += slice.length;
      const records = slice
        .map((message) => asRecord(topic, partition, message))
        .filter(({ offset }) => offset >= from);
      await this.#hand(records, heartbeat);
      const isLast = at >= messages.length;
      const { offset } = slice.at(-1)!;
      resolveOffset(offset);
      this.#watch.advance(topic, partition, Number(isLast ? batch.lastOffset() : offset) + 1);
      this.#recordsLeft -= records.length;
      if (this.#recordsLeft <= 0) return this.#finished.abort();
      await heartbeat();
    }
  }

  /** A reader of our output may take its time: the group must hear of this member meanwhile. */
  async #hand(records: readonly LoggedRecord[], heartbeat: () => Promise<void>): Promise<void> {
    // A beat that fails, as in a rebalance, fails again at the next one, which kafkajs sees.
    const beating = setInterval(() => void heartbeat().catch(() => undefined), heartbeatEveryMs);
    try {
      await this.#sink(records);
    } catch (error) {
      this.#failure ??= error;
      this.#finished.abort();
      throw error;
    } finally {
      clearInterval(beating);
    }
  }
}

async function leadersOf(admin: Admin, topics: readonly string[]): Promise<Leaders> {
  const leaders = new Map<string, number>();
  for (const { name, partitions } of await topicMetadata(admin, topics)) {
    for (const { partitionId, leader } of partitions) if (leader >= 0) leaders.set(keyOf(name, partitionId), leader);
  }
  const { brokers } = await admin.describeCluster();
  return { leaders, brokers: new Map(brokers.map(({ nodeId, host, port }) => [`${host}:${port}`, nodeId])) };
}

function asRecord(topic: string, partition: number, message: KafkaMessage): LoggedRecord {
  const headers = new Map<string, (Buffer | null)[]>();
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    const values = Array.isArray(value) ? value : [value];
    headers.set(
      name,
      values.map((each) => (each === undefined || each === null ? null : Buffer.from(each))),
    );
  }
  const { key, value } = message;
  return {
    topic,
    partition,
    offset: Number(message.offset),
    timestampMs: Number(message.timestamp),
    key,
    value,
    headers,
  };
}

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const version = 0;
const userData = Buffer.alloc(0);

/** Gives the one member of a throw-away group one partition of each topic. */
function onePartitionAssigner(partition: number): PartitionAssigner {
  const name = 'bitacora-one-partition';
  return () => ({
    name,
    version,
    assign: async ({ members, topics }) =>
      members.map(({ memberId }) => ({
        memberId,
        memberAssignment: MemberAssignment.encode({
          version,
          assignment: Object.fromEntries(topics.map((topic) => [topic, [partition]])),
          userData,
        }),
      })),
    protocol: ({ topics }) => ({
      name,
      metadata: MemberMetadata.encode({ version, topics: [...topics], userData }),
    }),
  });
}
