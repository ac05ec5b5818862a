import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { Backoff, type Clock, pause, unlessAborted } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import { kafkaErrorName, kafkaErrors } from '../../protocol/errors.ts';
import type { fetchResponse } from '../../protocol/messages/fetch.ts';
import { type MessageValue, noUuid } from '../../protocol/schema.ts';
import { apis } from './apis.ts';
import type { Brokers } from './brokers.ts';
import type { HeldAnswer } from './connection.ts';
import type { Delivery, FetchedPartition } from './delivery.ts';
import { checkEpochs } from './epoch-check.ts';
import { fetchedBatches } from './fetched-batches.ts';
import type { PartitionCursor } from './partition-cursor.ts';
import { TransactionFilter } from './transaction-filter.ts';
import type { Troubles } from './troubles.ts';
import { UnreadableBatchError } from './unreadable-batch.ts';

export type IsolationLevel = 'read_committed' | 'read_uncommitted';

/** What the loops of all brokers share. */
export interface FetchContext {
  readonly brokers: Brokers;
  readonly topic: string;
  /** undefined: brokers are asked by the topic's name. */
  readonly topicId: () => string | undefined;
  readonly isolation: IsolationLevel;
  readonly delivery: Delivery;
  readonly troubles: Troubles;
  readonly clock: Clock;
  /** Ends the loops, wherever they are. */
  readonly signal: AbortSignal;
  /** Metadata is to be asked for: somebody else may lead. */
  readonly seekLeaders: () => void;
  /** A partition was let go of, and another loop may ask for it. */
  readonly letGo: () => void;
  readonly fetched: (bytes: number) => void;
  readonly failed: () => void;
  readonly outOfRange: (cursor: PartitionCursor) => void;
  readonly unreadable: (cursor: PartitionCursor, error: UnreadableBatchError) => void;
  readonly lost: (reason: string) => void;
}

type Answer = MessageValue<typeof fetchResponse>;
type AnsweredPartition = Answer['responses'][number]['partitions'][number];

interface Asked {
  readonly held: HeldAnswer<Answer>;
  /** The offset that was asked for, by cursor, in the order of the request. */
  readonly offsets: ReadonlyMap<PartitionCursor, number>;
}

const mebibyte = 1024 * 1024;
/** Below a broker's own cap on an answer (`fetch.max.bytes`, 55 MiB). */
const fetchBytesMax = 50 * mebibyte;
/** More in one answer is not faster, and there are two of them: see docs/adr/0013-direct-log-reader.md. */
const partitionBytesMax = 4 * mebibyte;
const fetchWaitMs = 500;
/** Beyond what the broker was asked to wait: it reads from a disk, which may be busy. */
const fetchTimeoutMs = 30_000;
/** Topics have ids instead of names from the next version on (KIP-516). */
const namesUpTo = 12;
const throttleMsMax = 30_000;
/** What answers that bring nothing have to be apart at least, when the broker does not wait as it was asked to. */
const idlePauseMs = 50;
const strayedOftenMin = 3;
/** Longer than this nothing else of the process is kept waiting. */
const turnMs = 5;
const consumerReplicaId = -1;
const noRecords = Buffer.alloc(0);

/** The broker that was asked is not the one to ask, or does not know yet that it is. */
const leaderErrors = new Set<number>([
  kafkaErrors.NOT_LEADER_OR_FOLLOWER.code,
  kafkaErrors.LEADER_NOT_AVAILABLE.code,
  kafkaErrors.REPLICA_NOT_AVAILABLE.code,
  kafkaErrors.FENCED_LEADER_EPOCH.code,
  kafkaErrors.UNKNOWN_LEADER_EPOCH.code,
  kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code,
  kafkaErrors.UNKNOWN_TOPIC_ID.code,
  kafkaErrors.INCONSISTENT_TOPIC_ID.code,
  kafkaErrors.OFFSET_NOT_AVAILABLE.code,
  kafkaErrors.KAFKA_STORAGE_ERROR.code,
]);

/**
 * Fetches from one broker what it leads. While one answer is handed on the next Fetch is under way, from where the headers in
 * the answer say that it ends; so there are two answers at most, and memory is bounded by them.
 */
export class FetchLoop {
  readonly #context: FetchContext;
  readonly #nodeId: number;
  /** In the order in which they are asked for: what brought something goes to the end, so that no large batch is held back for ever. */
  #cursors: readonly PartitionCursor[];
  readonly #backoff = new Backoff(250, 10_000);
  /** What the request under way, or its answer that nobody has looked at, is about. */
  #asking: ReadonlySet<PartitionCursor> = new Set();
  /** What the answer that is being handed on is about. */
  #delivering: ReadonlySet<PartitionCursor> = new Set();
  #wake = new AbortController();
  #isOver = false;
  /** No request is sent before, by the monotonic clock. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  /** `cursors` are all of the topic: of them those count that the broker leads at the time. */
  constructor(context: FetchContext, nodeId: number, cursors: readonly PartitionCursor[]) {
    this.#context = context;
    this.#nodeId = nodeId;
    this.#cursors = cursors;
  }

  /** Something has changed that a loop may be waiting for. */
  wake(): void {
    this.#wake.abort();
    this.#wake = new AbortController();
  }

  /** Ends when the broker leads nothing any more, or all is stopped. Rejects when the handler did. */
  async run(): Promise<void> {
    try {
      let asked = await this.#ask();
      while (asked !== undefined) {
        this.#delivering = this.#asking;
        this.#asking = new Set();
        const fetched = await this.#take(asked);
        // Not awaited: it is under way while this answer is handed on. It never rejects.
        const next = this.#ask();
        for (const each of fetched) await this.#deliver(each);
        asked.held.release();
        this.#delivering = new Set();
        this.#letGo();
        this.wake();
        asked = await next;
      }
    } finally {
      this.#isOver = true;
      this.#asking = new Set();
      this.#delivering = new Set();
      this.#letGo();
    }
  }

  /** The next answer, however long that takes; undefined when the broker leads nothing any more, or all is stopped. */
  async #ask(): Promise<Asked | undefined> {
    const { signal, clock, troubles, failed, seekLeaders } = this.#context;
    const place = `what broker ${this.#nodeId} leads`;
    while (!signal.aborted && !this.#isOver) {
      const wake = this.#wake.signal;
      try {
        if (!this.#cursors.some((cursor) => cursor.leader === this.#nodeId || cursor.holder === this)) return undefined;
        const asked = await unlessAborted(this.#askOnce(), signal);
        if (asked !== undefined) {
          this.#backoff.reset();
          troubles.end(place);
          return asked;
        }
        await pause(clock, this.#waitMs(), wake);
      } catch (error) {
        if (signal.aborted || this.#isOver) return undefined;
        failed();
        troubles.begin(place, rootMessage(error));
        this.#asking = new Set();
        this.#letGo();
        seekLeaders();
        await pause(clock, this.#backoff.nextMs(), wake);
      }
    }
    return undefined;
  }

  /** undefined: there is nothing to ask for at the moment. Rejects when the broker did not answer. */
  async #askOnce(): Promise<Asked | undefined> {
    const { clock, signal, brokers, topic, topicId, isolation, fetched } = this.#context;
    const quietMs = this.#notBeforeMs - clock.monotonicMs();
    if (quietMs > 0) await pause(clock, quietMs, signal);
    const cursors = await this.#ready();
    if (cursors.length === 0 || signal.aborted || this.#isOver) return undefined;
    for (const cursor of cursors) cursor.holder = this;
    this.#asking = new Set(cursors);
    const connection = await brokers.node(this.#nodeId, 'fetch');
    const offsets = new Map(cursors.map((cursor) => [cursor, cursor.fetchOffset]));
    const id = topicId();
    const startedMs = clock.monotonicMs();
    const held = await connection.requestHeld(
      apis.fetch,
      {
        replicaId: consumerReplicaId,
        maxWaitMs: fetchWaitMs,
        minBytes: 1,
        maxBytes: fetchBytesMax,
        isolationLevel: isolation === 'read_committed' ? 1 : 0,
        topics: [
          {
            topic,
            topicId: id ?? noUuid,
            partitions: cursors.map(({ partition, leaderEpoch, fetchOffset }) => ({
              partition,
              currentLeaderEpoch: leaderEpoch,
              fetchOffset,
              partitionMaxBytes: partitionBytesMax,
            })),
          },
        ],
      },
      { timeoutMs: fetchTimeoutMs, isLarge: true, ...(id === undefined ? { versionMax: namesUpTo } : {}) },
    );
    const { errorCode, throttleTimeMs } = held.answer;
    const nowMs = clock.monotonicMs();
    fetched(held.bytes);
    const idleMs = hasRecords(held.answer) ? 0 : idlePauseMs - (nowMs - startedMs);
    this.#notBeforeMs = nowMs + Math.max(idleMs, Math.min(throttleTimeMs, throttleMsMax));
    if (errorCode === 0) return { held, offsets };
    held.release();
    throw new Error(`it answered ${nameOf(errorCode)}`);
  }

  /** What can be asked for now. Partitions with another leader than before are compared with it first. */
  async #ready(): Promise<readonly PartitionCursor[]> {
    const { brokers, topic, clock, lost } = this.#context;
    const free = (cursor: PartitionCursor): boolean =>
      cursor.leader === this.#nodeId &&
      (cursor.holder === undefined || cursor.holder === this) &&
      cursor.readyAtMs <= clock.monotonicMs();
    // What is still being handed on has to be, before one can say how far the partition was read.
    const unchecked = this.#cursors.filter(
      (cursor) => free(cursor) && cursor.isUnchecked && !this.#delivering.has(cursor),
    );
    if (unchecked.length > 0) {
      const { lostBecause, failed } = await checkEpochs(await brokers.node(this.#nodeId), topic, unchecked);
      for (const { cursor, errorCode } of failed) this.#refused(cursor, errorCode);
      if (lostBecause !== undefined) lost(lostBecause);
    }
    return this.#cursors.filter((cursor) => free(cursor) && !cursor.isUnchecked);
  }

  /** Goes over the headers of an answer: what it has to hand on, and where each partition is to be asked for next. */
  async #take({ held, offsets }: Asked): Promise<FetchedPartition[]> {
    const fetched: FetchedPartition[] = [];
    const [first] = offsets.keys();
    const byPartition = new Map([...offsets.keys()].map((cursor) => [cursor.partition, cursor]));
    const { topic, topicId, clock } = this.#context;
    let turnSinceMs = clock.monotonicMs();
    const responses = held.answer.responses.filter((each) => each.topic === topic || each.topicId === topicId());
    for (const answered of responses.flatMap(({ partitions }) => partitions)) {
      const cursor = byPartition.get(answered.partitionIndex);
      byPartition.delete(answered.partitionIndex);
      // One that was rewound meanwhile has been asked for in vain.
      if (cursor === undefined || cursor.fetchOffset !== offsets.get(cursor)) continue;
      if (answered.errorCode !== 0) this.#refused(cursor, answered.errorCode);
      else this.#takePartition(cursor, answered, { isFirst: cursor === first, fetched });
      // Of tiny batches, one partition has tens of thousands.
      if (clock.monotonicMs() - turnSinceMs < turnMs) continue;
      await yieldToEventLoop();
      turnSinceMs = clock.monotonicMs();
    }
    const brought = new Set(fetched.map(({ cursor }) => cursor));
    this.#cursors = [
      ...this.#cursors.filter((cursor) => !brought.has(cursor)),
      ...this.#cursors.filter((cursor) => brought.has(cursor)),
    ];
    return fetched;
  }

  #takePartition(
    cursor: PartitionCursor,
    { records, abortedTransactions }: AnsweredPartition,
    { isFirst, fetched }: { isFirst: boolean; fetched: FetchedPartition[] },
  ): void {
    const { isolation } = this.#context;
    const fromOffset = cursor.fetchOffset;
    const bytes = records ?? noRecords;
    let found = fetchedBatches(bytes, fromOffset);
    const brings = found.count > 0 || found.fault !== undefined;
    if (!brings && bytes.length > 0 && (isFirst || !found.isCut)) {
      // The first partition of a request gets its next batch whole, whatever its size (KIP-74).
      const detail = found.isCut ? 'the broker sends a part of it only' : 'the broker sends only what is before it';
      found = { ...found, fault: { reason: 'format', offset: fromOffset, detail } };
    }
    if (found.count === 0 && found.fault === undefined) {
      // A batch that found no room beside those of other partitions has been seen by nobody yet.
      if (bytes.length === 0) this.#recovered(cursor);
      return;
    }
    cursor.fetchOffset = found.nextOffset;
    // There is no use in asking for what is behind it.
    if (found.fault !== undefined) cursor.readyAtMs = Number.POSITIVE_INFINITY;
    const filter = new TransactionFilter(isolation === 'read_committed' ? abortedTransactions : null);
    fetched.push({ cursor, fromOffset, records: bytes, found, filter });
  }

  async #deliver(fetched: FetchedPartition): Promise<void> {
    const { delivery, unreadable, clock } = this.#context;
    const { cursor } = fetched;
    try {
      await delivery.deliver(fetched);
      this.#recovered(cursor);
    } catch (error) {
      if (!(error instanceof UnreadableBatchError)) throw error;
      unreadable(cursor, error);
      cursor.retryLater(clock.monotonicMs());
    }
  }

  #recovered(cursor: PartitionCursor): void {
    cursor.recovered();
    this.#context.troubles.end(`partition ${cursor.partition}`);
  }

  /** The broker answered for this partition, and what it said is no records. */
  #refused(cursor: PartitionCursor, errorCode: number): void {
    const { clock, troubles, seekLeaders, outOfRange, unreadable, topic } = this.#context;
    const { partition, fetchOffset: offset } = cursor;
    if (leaderErrors.has(errorCode)) {
      cursor.rewind();
      cursor.leader = undefined;
      cursor.strayed += 1;
      // Now and then somebody else becomes the leader, which is no trouble.
      if (cursor.strayed >= strayedOftenMin) troubles.begin(`partition ${partition}`, nameOf(errorCode));
      seekLeaders();
      return;
    }
    if (errorCode === kafkaErrors.OFFSET_OUT_OF_RANGE.code) outOfRange(cursor);
    else if (errorCode === kafkaErrors.CORRUPT_MESSAGE.code) {
      const detail = 'the broker answers CORRUPT_MESSAGE';
      unreadable(cursor, new UnreadableBatchError('broker', { topic, partition, offset }, detail));
    } else troubles.begin(`partition ${partition}`, nameOf(errorCode));
    cursor.retryLater(clock.monotonicMs());
  }

  /** Until a partition that was put off can be asked for again, or something happens that nobody tells of. */
  #waitMs(): number {
    const nowMs = this.#context.clock.monotonicMs();
    const waits = this.#cursors
      .filter(({ leader }) => leader === this.#nodeId)
      .map(({ readyAtMs }) => readyAtMs - nowMs)
      .filter((waitMs) => waitMs > 0);
    return Math.min(fetchWaitMs, ...waits);
  }

  /** Other loops may ask for what this one has nothing of any more. */
  #letGo(): void {
    let any = false;
    for (const cursor of this.#cursors) {
      if (cursor.holder !== this || this.#asking.has(cursor) || this.#delivering.has(cursor)) continue;
      cursor.holder = undefined;
      if (cursor.fetchOffset !== cursor.position) cursor.rewind();
      any ||= cursor.leader !== this.#nodeId;
    }
    if (any) this.#context.letGo();
  }
}

function hasRecords({ responses }: Answer): boolean {
  return responses.some(({ partitions }) => partitions.some(({ records }) => records !== null && records.length > 0));
}

function nameOf(errorCode: number): string {
  return kafkaErrorName(errorCode) ?? `error ${errorCode}`;
}
