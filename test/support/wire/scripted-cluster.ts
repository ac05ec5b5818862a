import { setTimeout as sleep } from 'node:timers/promises';
import { apis } from '../../../src/log/wire/apis.ts';
import { kafkaErrors } from '../../../src/protocol/errors.ts';
import type { fetchRequest, fetchResponse } from '../../../src/protocol/messages/fetch.ts';
import { type NewBatch, readHeader, writeBatch } from '../../../src/protocol/record-batch.ts';
import type { MessageInput, MessageValue } from '../../../src/protocol/schema.ts';
import { ScriptedBroker } from './scripted-broker.ts';

type FetchedTopic = MessageValue<typeof fetchRequest>['topics'][number];
type Wanted = FetchedTopic['partitions'][number];
type Fetched = NonNullable<NonNullable<MessageInput<typeof fetchResponse>['responses']>[number]['partitions']>[number];

/** One partition, which a test makes as it likes. */
export class ScriptedPartition {
  leader = 0;
  leaderEpoch = 0;
  startOffset = 0;
  /** In order. */
  readonly batches: { readonly bytes: Buffer; readonly lastOffset: number }[] = [];
  /** Error codes that the next fetches are answered with, each once. */
  readonly fetchErrors: number[] = [];
  abortedTransactions: { producerId: number; firstOffset: number }[] = [];
  /** Answers OffsetForLeaderEpoch for an epoch; by default all that is there is of it. */
  endOfEpoch: (epoch: number) => { leaderEpoch: number; endOffset: number } = (epoch) => ({
    leaderEpoch: epoch,
    endOffset: this.endOffset,
  });

  get endOffset(): number {
    return (this.batches.at(-1)?.lastOffset ?? this.startOffset - 1) + 1;
  }

  /** Appends batches at the end. */
  append(...batches: NewBatch[]): void {
    for (const batch of batches) {
      const bytes = writeBatch({ leaderEpoch: this.leaderEpoch, baseOffset: this.endOffset, ...batch });
      this.batches.push({ bytes, lastOffset: readHeader(bytes).lastOffset });
    }
  }

  /** Appends bytes that are to pass for a batch of one record, whatever they are. */
  plant(bytes: Buffer): void {
    this.batches.push({ bytes, lastOffset: this.endOffset });
  }

  /** A batch of one record. */
  put(key: string, value = key): void {
    this.append({ records: [{ key: Buffer.from(key), value: Buffer.from(value), timestampMs: 1 }] });
  }
}

const { NONE, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, OFFSET_OUT_OF_RANGE } = kafkaErrors;
const { UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID } = kafkaErrors;

/** Brokers over real sockets that have one topic, made of what a test puts there. */
export class ScriptedCluster {
  readonly topic = 'scripted';
  topicId = '11111111-2222-4333-8444-555555555555';
  /** false: as if it had been deleted. */
  exists = true;
  readonly partitions: ScriptedPartition[];
  readonly brokers: ScriptedBroker[];
  /** What was committed, request by request. */
  readonly commits: { groupId: string; memberId: string; generation: number; offsets: number[] }[] = [];
  /** What commits are answered with. */
  commitError = 0;
  /** Most fetches that were ever under way at one broker. */
  fetchesAtOnceMax = 0;

  private constructor(brokers: ScriptedBroker[], partitions: number) {
    this.brokers = brokers;
    this.partitions = Array.from({ length: partitions }, () => new ScriptedPartition());
    for (const [nodeId, broker] of brokers.entries()) this.#script(broker, nodeId);
  }

  static async start({ brokers = 1, partitions = 1 } = {}): Promise<ScriptedCluster> {
    const started = await Promise.all(Array.from({ length: brokers }, () => ScriptedBroker.start()));
    return new ScriptedCluster(started, partitions);
  }

  async stop(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.stop()));
  }

  /** A broker that has stopped comes back under its address. */
  async restart(nodeId: number): Promise<void> {
    const broker = await ScriptedBroker.start(this.brokers[nodeId]!.port);
    this.brokers[nodeId] = broker;
    this.#script(broker, nodeId);
  }

  #script(broker: ScriptedBroker, nodeId: number): void {
    broker.on(apis.metadata, ({ version }) => ({
      brokers: this.brokers.map(({ address }, id) => ({ nodeId: id, ...address })),
      clusterId: 'scripted-cluster',
      topics: [
        {
          name: this.topic,
          errorCode: this.exists ? NONE.code : UNKNOWN_TOPIC_OR_PARTITION.code,
          ...(version >= 10 && this.exists ? { topicId: this.topicId } : {}),
          partitions: this.exists
            ? this.partitions.map(({ leader, leaderEpoch }, partitionIndex) => ({
                partitionIndex,
                leaderId: leader,
                leaderEpoch,
              }))
            : [],
        },
      ],
    }));
    let underWay = 0;
    broker.on(apis.fetch, async ({ body, version }) => {
      underWay += 1;
      this.fetchesAtOnceMax = Math.max(this.fetchesAtOnceMax, underWay);
      const answer = await this.#fetch(body, version, nodeId);
      underWay -= 1;
      return answer;
    });
    broker.on(apis.offsetForLeaderEpoch, ({ body }) => ({
      topics: body.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, leaderEpoch, currentLeaderEpoch }) => {
          const log = this.partitions[partition]!;
          const errorCode = this.#leaderError(log, currentLeaderEpoch, nodeId);
          return { partition, errorCode, ...(errorCode === NONE.code ? log.endOfEpoch(leaderEpoch) : {}) };
        }),
      })),
    }));
    broker.on(apis.findCoordinator, ({ body, version }) => {
      const found = { nodeId: 0, ...this.brokers[0]!.address };
      return version >= 4 ? { coordinators: body.coordinatorKeys.map((key) => ({ key, ...found })) } : found;
    });
    broker.on(apis.offsetCommit, ({ body }) => {
      const { groupId, memberId, generationIdOrMemberEpoch: generation, topics } = body;
      const partitions = topics.flatMap((each) => each.partitions);
      this.commits.push({ groupId, memberId, generation, offsets: partitions.map((each) => each.committedOffset) });
      return {
        topics: topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: this.commitError })),
        })),
      };
    });
  }

  async #fetch(body: MessageValue<typeof fetchRequest>, version: number, nodeId: number) {
    const deadlineMs = performance.now() + body.maxWaitMs;
    for (;;) {
      let isUrgent = false;
      const responses = body.topics.map((wanted) => ({
        topic: wanted.topic,
        topicId: wanted.topicId,
        partitions: wanted.partitions.map((each) => {
          const fetched = this.#read(wanted, each, version, nodeId);
          isUrgent ||= fetched.errorCode !== NONE.code || fetched.records!.length > 0;
          return fetched;
        }),
      }));
      if (isUrgent || performance.now() >= deadlineMs) return { responses };
      await sleep(5);
    }
  }

  #read({ topicId }: FetchedTopic, wanted: Wanted, version: number, nodeId: number): Fetched {
    const log = this.partitions[wanted.partition]!;
    const knows = version < 13 || topicId === this.topicId;
    let errorCode: number = this.#leaderError(log, wanted.currentLeaderEpoch, nodeId);
    if (!this.exists || !knows) errorCode = version < 13 ? UNKNOWN_TOPIC_OR_PARTITION.code : UNKNOWN_TOPIC_ID.code;
    else if (errorCode === NONE.code && log.fetchErrors.length > 0) errorCode = log.fetchErrors.shift()!;
    else if (errorCode === NONE.code && (wanted.fetchOffset < log.startOffset || wanted.fetchOffset > log.endOffset)) {
      errorCode = OFFSET_OUT_OF_RANGE.code;
    }
    const common = { partitionIndex: wanted.partition, errorCode, highWatermark: log.endOffset };
    if (errorCode !== NONE.code) return { ...common, records: Buffer.alloc(0) };
    let size = 0;
    const taken = log.batches
      .filter(({ lastOffset }) => lastOffset >= wanted.fetchOffset)
      .map(({ bytes }) => bytes)
      .filter((bytes, index) => {
        size += bytes.length;
        return index === 0 || size <= wanted.partitionMaxBytes;
      });
    return { ...common, abortedTransactions: log.abortedTransactions, records: Buffer.concat(taken) };
  }

  #leaderError(log: ScriptedPartition, currentLeaderEpoch: number, nodeId: number): number {
    if (log.leader !== nodeId) return NOT_LEADER_OR_FOLLOWER.code;
    if (currentLeaderEpoch < 0 || currentLeaderEpoch === log.leaderEpoch) return NONE.code;
    return currentLeaderEpoch < log.leaderEpoch ? FENCED_LEADER_EPOCH.code : UNKNOWN_LEADER_EPOCH.code;
  }
}
