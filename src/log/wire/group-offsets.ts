import { type Clock, pause, unlessAborted } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { kafkaErrorName, kafkaErrors } from '../../protocol/errors.ts';
import { apis } from './apis.ts';
import type { Brokers } from './brokers.ts';

export interface GroupOffsetsOptions {
  readonly brokers: Brokers;
  readonly topic: string;
  readonly groupId: string;
  /** What is to be committed, in partition order. */
  readonly positions: () => readonly CommittedPosition[];
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface CommittedPosition {
  readonly offset: number;
  readonly leaderEpoch: number;
}

const commitEveryMs = 5_000;
/** Brokers forget offsets that nobody has committed for `offsets.retention.minutes`, by default a week. */
const commitAgainMs = 30 * 60_000;
const commitWithinMs = 10_000;
/** As a consumer commits that is no member of the group: one that has its partitions by itself. */
const noGeneration = -1;

/**
 * Commits how far the node has read, so that Kafka's tools show its lag; nothing is ever read back. The node is no member of its
 * group: it needs no share of the partitions, and so there is no rebalance to wait for, at a start or after a kill.
 */
export class GroupOffsets {
  readonly #options: GroupOffsetsOptions;
  #committed: readonly CommittedPosition[] = [];
  #committedAtMs = Number.NEGATIVE_INFINITY;
  #coordinator: number | undefined;
  /** Why the last commit was refused, so that the same refusal is told once. */
  #refusal: string | undefined;

  constructor(options: GroupOffsetsOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await pause(clock, commitEveryMs, signal);
      if (!signal.aborted) await unlessAborted(this.commit(), signal);
    }
  }

  /** Nothing depends on one commit, so it never rejects. */
  async commit(): Promise<void> {
    const { brokers, groupId, clock, logger } = this.#options;
    const positions = this.#options.positions();
    const isDue = clock.monotonicMs() - this.#committedAtMs >= commitAgainMs;
    const changed = positions
      .map((position, partition) => ({ ...position, partition }))
      .filter(({ offset, partition }) => isDue || offset !== this.#committed[partition]?.offset);
    if (changed.length === 0) return;
    try {
      this.#coordinator ??= await brokers.coordinator(groupId);
      const connection = await brokers.node(this.#coordinator);
      const { topics } = await connection.request(apis.offsetCommit, this.#request(changed), {
        timeoutMs: commitWithinMs,
      });
      const failed = topics.flatMap(({ partitions }) => partitions).find(({ errorCode }) => errorCode !== 0);
      if (failed === undefined) {
        this.#committed = positions;
        if (isDue) this.#committedAtMs = clock.monotonicMs();
        this.#refusal = undefined;
      } else this.#refused(failed.errorCode);
    } catch (error) {
      this.#coordinator = undefined;
      logger.debug({ err: error }, `the offsets of group ${groupId} were not committed: ${rootMessage(error)}`);
    }
  }

  #request(changed: readonly (CommittedPosition & { partition: number })[]) {
    const { topic, groupId } = this.#options;
    const partitions = changed.map(({ partition, offset, leaderEpoch }) => ({
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: leaderEpoch,
      committedMetadata: '',
    }));
    return { groupId, generationIdOrMemberEpoch: noGeneration, memberId: '', topics: [{ name: topic, partitions }] };
  }

  #refused(errorCode: number): void {
    const { groupId, logger } = this.#options;
    this.#coordinator = undefined;
    const name = kafkaErrorName(errorCode) ?? `error ${errorCode}`;
    if (name in kafkaErrors && kafkaErrors[name as keyof typeof kafkaErrors].retriable) {
      logger.debug(`the offsets of group ${groupId} were not committed: ${name}`);
      return;
    }
    if (this.#refusal === name) return;
    this.#refusal = name;
    const why = inUse.has(name) ? 'somebody else is a member of the group' : 'this user may not';
    logger.warn(
      `Kafka refuses the offsets of group ${groupId} (${name}: ${why}); the node reads on, and Kafka’s tools do not show its lag`,
    );
  }
}

const inUse = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS', 'FENCED_INSTANCE_ID']);
