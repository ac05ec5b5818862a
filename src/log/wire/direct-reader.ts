import { setMaxListeners } from 'node:events';
import { Backoff, type Clock, pause, unlessAborted } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { kafkaErrorName } from '../../protocol/errors.ts';
import type { LogReader, ReadFrom, ReadHandler } from '../log.ts';
import type { Brokers, TopicMetadata } from './brokers.ts';
import { Delivery } from './delivery.ts';
import { type FetchContext, FetchLoop, type IsolationLevel } from './fetch-loop.ts';
import { GroupOffsets } from './group-offsets.ts';
import { PartitionCursor } from './partition-cursor.ts';
import { Troubles } from './troubles.ts';
import { type UnreadableBatchError, type UnreadableReason, unreadableReasons } from './unreadable-batch.ts';

export interface DirectReaderOptions {
  /** Its own: the reader closes them when it is stopped. */
  readonly brokers: Brokers;
  readonly topic: string;
  /** The topic's id where it is known, so that another topic of the name is not taken for it. */
  readonly topicId: string | undefined;
  /** Under which positions are committed. */
  readonly groupId: string;
  /** One for each partition, in partition order. */
  readonly from: readonly ReadFrom[];
  readonly handler: ReadHandler;
  readonly isolation: IsolationLevel;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Counts over all readers of a log, one after the other. */
export class DirectReaderStats {
  /** Requests to a broker that failed as a whole. */
  restarts = 0;
  /** Fetches of an offset that the broker does not have. */
  disturbances = 0;
  fetches = 0;
  fetchedBytes = 0;
  readonly unreadable: Record<UnreadableReason, number> = zeros();
}

/** As much as the kafkajs adapter takes; an answer has at most 50 MiB, and no honest batch in it grows beyond this. */
const unpackedBytesMax = 128 * 1024 * 1024;
/** How often leaders are asked for when nothing calls for it: a topic made anew under the name is found out by this. */
const leadersEveryMs = 180_000;
/** Leaders that are sought again so soon are sought with growing pauses. */
const soughtAgainMs = 10_000;
const strayedOftenMin = 3;
const commitWithinMs = 2_000;
const restartPauseMs = 1_000;

/**
 * Reads every partition by Fetch requests of its own, from the given positions on: one loop for each broker that leads some, all of
 * which hand on to one handler. Nothing is skipped that cannot be read: see `UnreadableBatchError`. What the log says
 * beside records is the handler's: see `ReadHandler`. Everything else is tried again until the reader is stopped.
 */
export class DirectReader implements LogReader {
  readonly #options: DirectReaderOptions;
  readonly #stats: DirectReaderStats;
  readonly #cursors: readonly PartitionCursor[];
  /** Ends all that reads: the reader was stopped, or what it reads is not the log any more. */
  readonly #ending = new AbortController();
  readonly #context: FetchContext;
  readonly #troubles: Troubles;
  readonly #groupOffsets: GroupOffsets;
  readonly #loops = new Map<number, FetchLoop>();
  readonly #running = new Set<Promise<void>>();
  #topicId: string | undefined;
  #sought = new AbortController();
  #isStopped = false;
  #hasLost = false;
  #stopped: Promise<void> | undefined;

  constructor(options: DirectReaderOptions, stats: DirectReaderStats) {
    this.#options = options;
    this.#stats = stats;
    this.#topicId = options.topicId;
    this.#cursors = options.from.map((from, partition) => new PartitionCursor(partition, from));
    this.#troubles = new Troubles(options.logger);
    const { brokers, topic, groupId, handler, isolation, clock, logger } = options;
    const { signal } = this.#ending;
    // Each loop listens, and there may be many brokers: by default Node.js warns of more than ten listeners as of a leak.
    setMaxListeners(0, signal);
    this.#groupOffsets = new GroupOffsets({
      brokers,
      topic,
      groupId,
      positions: () => this.#positions(),
      clock,
      logger,
    });
    this.#context = {
      brokers,
      topic,
      topicId: () => this.#topicId,
      isolation,
      delivery: new Delivery({ topic, handler, clock, unpackedBytesMax, signal }),
      troubles: this.#troubles,
      clock,
      signal,
      seekLeaders: () => this.#sought.abort(),
      letGo: () => this.#wakeLoops(),
      fetched: (bytes) => {
        stats.fetches += 1;
        stats.fetchedBytes += bytes;
      },
      failed: () => {
        stats.restarts += 1;
      },
      outOfRange: (cursor) => this.#outOfRange(cursor),
      unreadable: (cursor, error) => this.#unreadable(cursor, error),
      lost: (reason) => this.#lose(reason),
    };
    this.#track(this.#followLeaders());
    this.#track(this.#groupOffsets.run(signal));
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async #end(): Promise<void> {
    const { brokers, clock } = this.#options;
    this.#endReading();
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (!this.#hasLost) await Promise.race([this.#groupOffsets.commit(), pause(clock, commitWithinMs)]);
    brokers.close();
  }

  #endReading(): void {
    this.#ending.abort();
    this.#sought.abort();
    this.#wakeLoops();
  }

  #track(task: Promise<void>): void {
    const tracked = task.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  #positions() {
    return this.#cursors.map(({ position, readEpoch }) => ({ offset: position, leaderEpoch: readEpoch }));
  }

  async #followLeaders(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    const backoff = new Backoff(100, 5_000);
    while (!signal.aborted) {
      this.#sought = new AbortController();
      const askedAtMs = clock.monotonicMs();
      const areFound = await this.#findLeaders();
      if (signal.aborted) return;
      if (areFound) await pause(clock, leadersEveryMs, this.#sought.signal);
      if (clock.monotonicMs() - askedAtMs >= soughtAgainMs) backoff.reset();
      if (!signal.aborted) await pause(clock, backoff.nextMs(), signal);
    }
  }

  /** Whether every partition has a leader now. */
  async #findLeaders(): Promise<boolean> {
    const { brokers, topic } = this.#options;
    const place = `topic "${topic}"`;
    let metadata: TopicMetadata | undefined;
    try {
      metadata = await unlessAborted(brokers.metadata(topic), this.#ending.signal);
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#troubles.begin(place, rootMessage(error));
      return false;
    }
    if (metadata === undefined || this.#ending.signal.aborted) return false;
    const { errorCode, topicId } = metadata;
    if (errorCode !== 0) {
      this.#troubles.begin(place, kafkaErrorName(errorCode) ?? `error ${errorCode}`);
      return false;
    }
    this.#troubles.end(place);
    this.#topicId ??= topicId;
    if (topicId !== undefined && topicId !== this.#topicId) {
      this.#lose(`${place} was made anew: its id is ${topicId}, not ${this.#topicId}`);
      return false;
    }
    const areFound = this.#take(metadata);
    this.#startLoops();
    return areFound;
  }

  #take({ partitions, topicId }: TopicMetadata): boolean {
    const found = new Map(partitions.map((each) => [each.partition, each]));
    let areFound = true;
    for (const cursor of this.#cursors) {
      const { leader = -1, leaderEpoch = -1 } = found.get(cursor.partition) ?? {};
      // A broker that lags behind the others, unless all say so; without an id it may also be another topic, whose epochs begin anew.
      const isEarlier = topicId !== undefined && leaderEpoch >= 0 && leaderEpoch < cursor.leaderEpoch;
      const isOld = isEarlier && cursor.strayed < strayedOftenMin;
      if (leader >= 0 && !isOld) {
        cursor.ledBy(leader, leaderEpoch);
        continue;
      }
      if (!isOld) cursor.leader = undefined;
      if (cursor.leader !== undefined) continue;
      areFound = false;
      cursor.strayed += 1;
      if (cursor.strayed >= strayedOftenMin) this.#troubles.begin(`partition ${cursor.partition}`, 'it has no leader');
    }
    return areFound;
  }

  #startLoops(): void {
    if (this.#ending.signal.aborted) return;
    const leaders = new Set(this.#cursors.flatMap(({ leader }) => leader ?? []));
    for (const nodeId of leaders) {
      if (this.#loops.has(nodeId)) continue;
      const loop = new FetchLoop(this.#context, nodeId, this.#cursors);
      this.#loops.set(nodeId, loop);
      this.#track(this.#run(loop, nodeId));
    }
    this.#wakeLoops();
  }

  async #run(loop: FetchLoop, nodeId: number): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#ending;
    try {
      await loop.run();
    } catch (error) {
      // What a peer says never ends here, so it is a fault of this program: reading goes on from where it was.
      logger.error({ err: error }, `reading from broker ${nodeId} failed`);
      this.#stats.restarts += 1;
      await pause(clock, restartPauseMs, signal);
    }
    this.#loops.delete(nodeId);
    this.#startLoops();
  }

  #wakeLoops(): void {
    for (const loop of this.#loops.values()) loop.wake();
  }

  #outOfRange({ partition, fetchOffset }: PartitionCursor): void {
    this.#stats.disturbances += 1;
    if (this.#ending.signal.aborted) return;
    this.#options.handler.onDisturbance(`partition ${partition} has no offset ${fetchOffset}`);
  }

  #unreadable(cursor: PartitionCursor, error: UnreadableBatchError): void {
    this.#stats.unreadable[error.reason] += 1;
    const what = `${error.reason} ${error.offset}`;
    if (cursor.unreadable === what) return;
    cursor.unreadable = what;
    this.#options.logger.error({ err: error }, error.message);
  }

  #lose(reason: string): void {
    if (this.#ending.signal.aborted || this.#isStopped) return;
    this.#hasLost = true;
    this.#endReading();
    this.#options.handler.onLineageLost(reason);
  }
}

function zeros(): Record<UnreadableReason, number> {
  return Object.fromEntries(unreadableReasons.map((reason) => [reason, 0])) as Record<UnreadableReason, number>;
}
