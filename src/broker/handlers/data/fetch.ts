import type { Clock } from '../../../kernel/clock.ts';
import { KafkaError, kafkaErrors } from '../../../protocol/errors.ts';
import { fetchRequest, fetchResponse } from '../../../protocol/messages/fetch.ts';
import type { MessageInput, MessageValue } from '../../../protocol/schema.ts';
import { AnswerMemory } from '../../server/answer-memory.ts';
import { BufferPool } from '../../server/buffer-pool.ts';
import type { Faults } from '../../server/faults.ts';
import { type AnswerHints, handler } from '../../server/handler.ts';
import type { PartitionLog } from '../../storage/partition-log.ts';
import type { Topic, Topics } from '../../topics/topics.ts';
import { AppendWait } from './append-wait.ts';
import { checkLeaderEpoch, partitionOf } from './partition-of.ts';

type FetchRequest = MessageValue<typeof fetchRequest>;
type FetchResponse = MessageInput<typeof fetchResponse>;
type WantedTopic = FetchRequest['topics'][number];
type Wanted = WantedTopic['partitions'][number];

interface Parts {
  readonly topics: Topics;
  readonly clock: Clock;
  readonly faults: Faults;
}

/** Topics have ids instead of names from here on (KIP-516). */
const topicIdsFrom = 13;
/** No answer is larger whatever the client asks for: it is put together in memory. */
const answerBytesMax = 64 * 1024 * 1024;
/** Records of all answers that are being put together, or that their clients have not read yet. */
const unsentBytesMax = 128 * 1024 * 1024;
/** What an answer may have however much the others hold: readers get on, if slowly. */
const answerLeastBytes = 64 * 1024;
/** No client waits longer, so that a connection which hangs is noticed. */
const waitMaxMs = 5 * 60_000;
/** Of an answer, beside its records. */
const partitionBytes = 256;
/** Kept for the records of answers to come: enough for eight readers of old records at once. */
const idleBufferBytesMax = 8 * 1024 * 1024;
const noRecords = Buffer.alloc(0);

interface Gathered {
  readonly response: FetchResponse & Required<AnswerHints>;
  readonly recordBytes: number;
  /** Something else than waiting is to be told: an error. */
  readonly isUrgent: boolean;
  /** Of the logs that were read. */
  readonly appends: AppendWait;
}

/**
 * Fetch (key 1). There are no fetch sessions (KIP-227): every answer says session 0, which clients take as a refusal of one, and
 * a request that names a session is answered FETCH_SESSION_ID_NOT_FOUND. `records` is never null, since several clients do not
 * expect it. A fetch that finds less than `minBytes` waits for appends as long as the client said.
 */
export function fetch({ topics, clock, faults }: Parts) {
  const buffers = new BufferPool(idleBufferBytesMax);
  const memory = new AnswerMemory({ bytesMax: unsentBytesMax, leastBytes: answerLeastBytes });

  return handler({
    request: fetchRequest,
    response: fetchResponse,
    async handle({ version, signal }, request) {
      if (request.sessionId !== 0) return { errorCode: kafkaErrors.FETCH_SESSION_ID_NOT_FOUND.code };
      const deadlineMs = clock.monotonicMs() + Math.min(Math.max(request.maxWaitMs, 0), waitMaxMs);
      for (;;) {
        const gathered = await gather(request, version);
        const leftMs = deadlineMs - clock.monotonicMs();
        const missing = Math.min(request.minBytes, request.maxBytes) - gathered.recordBytes;
        if (missing <= 0 || gathered.isUrgent || leftMs <= 0 || signal.aborted) return gathered.response;
        gathered.response.release();
        await gathered.appends.until(missing, { timeoutMs: leftMs, clock, signal });
      }
    },
  });

  async function gather(request: FetchRequest, version: number): Promise<Gathered> {
    const appends = new AppendWait();
    const room = memory.reserve(wantedBytes(request));
    let left = room.bytes;
    let recordBytes = 0;
    let isUrgent = false;
    let count = 0;
    const taken: Buffer[] = [];
    const allocate = (bytes: number): Buffer => {
      const buffer = buffers.take(bytes);
      taken.push(buffer);
      return buffer;
    };
    const release = (): void => {
      for (const buffer of taken.splice(0)) buffers.give(buffer);
      room.free();
    };
    const responses: FetchResponse['responses'] & object[] = [];
    for (const wantedTopic of request.topics) {
      const topic = version >= topicIdsFrom ? topics.findById(wantedTopic.topicId) : topics.find(wantedTopic.topic);
      const partitions: object[] = [];
      for (const wanted of wantedTopic.partitions) {
        count += 1;
        const maxBytes = Math.min(left, Math.max(wanted.partitionMaxBytes, 0));
        const part = await faults.part(
          `a fetch of ${wantedTopic.topic || wantedTopic.topicId}-${wanted.partition}`,
          () =>
            read({
              topic,
              wanted,
              version,
              maxBytes,
              isFirst: recordBytes === 0,
              isolationLevel: request.isolationLevel,
              allocate,
              appends,
            }),
        );
        const { errorCode } = part;
        if ('logStartOffset' in part) {
          left -= part.records.length;
          recordBytes += part.records.length;
          isUrgent ||= 'divergingEpoch' in part;
          partitions.push({ partitionIndex: wanted.partition, ...part });
        } else {
          isUrgent = true;
          partitions.push({ partitionIndex: wanted.partition, errorCode, highWatermark: -1, records: noRecords });
        }
      }
      responses.push({ topic: wantedTopic.topic, topicId: wantedTopic.topicId, partitions });
    }
    room.keep(recordBytes);
    // It waits for no more than it has room for.
    isUrgent ||= room.isShort && recordBytes > 0;
    return {
      response: { responses, roomBytes: (count + 1) * partitionBytes, release },
      recordBytes,
      isUrgent,
      appends,
    };
  }

  async function read(ask: {
    topic: Topic | undefined;
    wanted: Wanted;
    version: number;
    maxBytes: number;
    isFirst: boolean;
    isolationLevel: number;
    allocate: (bytes: number) => Buffer;
    appends: AppendWait;
  }) {
    const { topic, wanted, version, maxBytes, isFirst } = ask;
    if (topic === undefined && version >= topicIdsFrom) {
      throw new KafkaError('UNKNOWN_TOPIC_ID', 'This server does not host this topic ID.');
    }
    const log = partitionOf(topics, topic?.name ?? '', wanted.partition);
    checkLeaderEpoch(topics, wanted.currentLeaderEpoch);
    ask.appends.note(log);
    const isCommitted = ask.isolationLevel === 1;
    const state = () => ({
      highWatermark: log.endOffset,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.logStartOffset,
    });
    const diverging = divergence(log, wanted);
    if (diverging !== undefined) return { ...state(), divergingEpoch: diverging, records: noRecords };
    const { records, abortedTransactions } = await log.read(wanted.fetchOffset, {
      maxBytes,
      // The first batch of an answer goes out whatever its size, or the reader would be stuck before it (KIP-74).
      minOneBatch: isFirst,
      isolation: isCommitted ? 'read_committed' : 'read_uncommitted',
      allocate: ask.allocate,
    });
    return { ...state(), abortedTransactions: isCommitted ? abortedTransactions : null, records };
  }
}

function wantedBytes({ maxBytes, topics }: FetchRequest): number {
  let sum = 0;
  for (const { partitions } of topics)
    for (const { partitionMaxBytes } of partitions) sum += Math.max(partitionMaxBytes, 0);
  return Math.min(Math.max(maxBytes, 0), answerBytesMax, sum);
}

/** A reader that had what was cut off here since is told from where on (KIP-595). */
function divergence(log: PartitionLog, wanted: Wanted): { epoch: number; endOffset: number } | undefined {
  if (wanted.lastFetchedEpoch < 0) return undefined;
  const { leaderEpoch, endOffset } = log.endOffsetForEpoch(wanted.lastFetchedEpoch);
  if (leaderEpoch < 0 || endOffset < 0) return undefined;
  return leaderEpoch < wanted.lastFetchedEpoch || endOffset < wanted.fetchOffset
    ? { epoch: leaderEpoch, endOffset }
    : undefined;
}
