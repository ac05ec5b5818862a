import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { Backoff, type Clock, pause, unlessAborted } from '../kernel/clock.ts';
import { BitacoraError, FatalError } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import type {
  Log,
  LogReader,
  PartitionEnds,
  ReadHandler,
  RecordSlices,
  TopicDescription,
  TopicSettings,
} from '../log/log.ts';
import type { Partitioner } from '../log/partitioner.ts';
import type { Store } from '../store/store.ts';
import { type ApplyCounters, applyRecords } from './apply.ts';
import { CatchUp } from './catch-up.ts';
import { asFatal, storeFailure } from './fatal.ts';
import { KeyArrivals } from './key-arrivals.ts';
import { Lag } from './lag.ts';
import { registerReplicaMetrics } from './metrics.ts';
import { type Moment, momentAt, momentNow, msSince, wallMsOf } from './moment.ts';
import { OffsetWaits } from './offset-waits.ts';
import { type Resumed, SnapshotKeeper, type SnapshotOptions, type SnapshotSource } from './snapshot-keeper.ts';
import type { ReplicaStatus } from './status.ts';
import { inspectTopic, unfit, type Verdict, type Witness, warnings } from './topic-guard.ts';

export interface ReplicaOptions {
  readonly log: Log;
  readonly store: Store;
  /** A step of what is to be done with the store once everything has been read; true when it is done. `clear` undoes it. */
  readonly finishStore?: () => boolean;
  /** Absent: everything is read at every start. */
  readonly snapshots?: SnapshotOptions;
  readonly partitioner: Partitioner;
  /** How the topic is made when it does not exist. */
  readonly settings: TopicSettings;
  readonly readyLagMaxMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The node can never serve this topic: the process is to end with this message. */
  readonly onFatal: (error: FatalError) => void;
}

/** What is known of the topic while it is being read; made anew by every rebuild. */
interface Lineage {
  readonly description: TopicDescription;
  /** When the ends were read that are to be reached. */
  readonly opened: Moment;
  /** Where the partitions began then. */
  readonly logStarts: readonly number[];
  readonly positions: number[];
  /** Of what was read last in each partition; -1 where nothing was, or the log does not tell. */
  readonly leaderEpochs: number[];
  readonly newestMs: number[];
  readonly catchUp: CatchUp;
  readonly lag: Lag;
  witnesses: (Witness | undefined)[];
  /** Why what is in memory is not what the log holds, as the reader has found out. */
  lostBecause: string | undefined;
  isFinishing: boolean;
  /** When the node last had everything, by both clocks, and how far that was. */
  caughtUp: CaughtUp | undefined;
  /** When the log was last asked for its ends. */
  sightedAt: Moment | undefined;
}

interface CaughtUp extends Moment {
  readonly positions: readonly number[];
}

const watchEveryMs = 2_000;
const guardEveryMs = 60_000;
/** Entries looked at without a turn of the event loop: one or two milliseconds when every one is dropped. */
const sweepEntries = 500;
/** In each round: fifty thousand entries a second can go, and ten million keys are swept in about three minutes. */
const sweepsPerRound = 200;
/** From this size on, a batch is followed by a turn of the event loop, so that a replay does not starve requests. */
const yieldRecords = 1_000;
/** A `delete.retention.ms` below this is not held against a node that lags: it would rebuild for ever. */
const retentionFloorMs = 60_000;

/**
 * Keeps the store equal to the log: reads every partition from its beginning, applies record by record, and watches that the
 * topic stays the one that was read.
 */
export class Replica implements Service {
  readonly name = 'replica';
  readonly arrivals = new KeyArrivals();
  readonly #options: ReplicaOptions;
  readonly #stopping = new AbortController();
  readonly #waits: OffsetWaits;
  readonly #snapshots: SnapshotKeeper | undefined;
  readonly #counters: ApplyCounters = { applied: 0, superseded: 0, withoutKey: 0, keyTooLong: 0, misplaced: 0 };
  #lineage: Lineage | undefined;
  #reader: LogReader | undefined;
  #refusal: string | undefined;
  /** Why the store cannot be trusted any more. */
  #failure: FatalError | undefined;
  #logAnswers = false;
  #isResuming = false;
  #rebuilds = 0;
  #wakeWatch: () => void = () => {};
  #disturbed = false;
  #done: Promise<void> = Promise.resolve();

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#waits = new OffsetWaits(options.clock);
    const { snapshots, clock, logger, metrics } = options;
    if (snapshots !== undefined) {
      this.#snapshots = new SnapshotKeeper({
        ...snapshots,
        source: () => this.#snapshotSource(),
        clock,
        logger,
        metrics,
      });
    }
    registerReplicaMetrics(options.metrics, {
      status: () => this.status(),
      counters: this.#counters,
      store: options.store,
      rebuilds: () => this.#rebuilds,
    });
  }

  async run(): Promise<void> {
    this.#done = this.#live();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wakeWatch();
    await this.#reader?.stop();
    this.#waits.abandon();
    this.arrivals.abandon();
    await this.#done;
    await this.#snapshots?.stop();
  }

  /** Partitions of the topic; undefined until the log has told. */
  get partitions(): number | undefined {
    return this.#lineage?.positions.length;
  }

  /** The applied position of a partition: the next offset to apply. */
  position(partition: number): number {
    return this.#lineage?.positions[partition] ?? 0;
  }

  isCaughtUp(partition: number): boolean {
    return this.#lineage?.catchUp.isCaughtUp(partition) ?? false;
  }

  /** Where the partition ended when the log was last asked, and never below the applied position. */
  end(partition: number): number {
    return Math.max(this.#lineage?.lag.end(partition) ?? 0, this.position(partition));
  }

  /** The topic that is being read; undefined until the log has told. */
  get topic(): Pick<TopicDescription, 'topic' | 'clusterId'> | undefined {
    return this.#lineage?.description;
  }

  /** Why writes are not taken, for a person; undefined when they are. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Whether the applied position of `partition` is at `position` within `timeoutMs`. */
  async reaches(partition: number, position: number, timeoutMs: number): Promise<boolean> {
    if (this.position(partition) >= position) return true;
    return this.#waits.wait(partition, position, timeoutMs);
  }

  status(): ReplicaStatus {
    const { clock, readyLagMaxMs } = this.#options;
    const lineage = this.#lineage;
    const logAnswers = this.#logAnswers;
    const startedFrom = this.#snapshots?.startedFrom;
    if (lineage === undefined) {
      const common = { ready: false, partitions: [], lagMs: 0, logAnswers, startedFrom, progress: undefined };
      if (this.#refusal !== undefined) return { ...common, state: 'refused', reason: this.#refusal };
      if (this.#isResuming) return { ...common, state: 'catching-up', reason: 'the node is reading its snapshot' };
      return { ...common, state: 'connecting', reason: 'the log has not answered yet' };
    }
    const partitions = lineage.positions.map((position, partition) => {
      const end = this.end(partition);
      return { partition, position, end, lag: end - position };
    });
    const lagMs = lineage.lag.ms(clock.monotonicMs());
    const common = { partitions, lagMs, logAnswers, startedFrom };
    if (this.#refusal !== undefined) {
      return { ...common, state: 'refused', ready: false, reason: this.#refusal, progress: undefined };
    }
    if (!lineage.catchUp.done) {
      const progress = lineage.catchUp.progress(lineage.positions, clock.monotonicMs());
      return { ...common, state: 'catching-up', ready: false, reason: 'the node is reading the log', progress };
    }
    const late = lagMs > readyLagMaxMs;
    const reason = late ? `the node is ${Math.round(lagMs)} ms behind the log` : undefined;
    return { ...common, state: 'serving', ready: !late, reason, progress: undefined };
  }

  async #live(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, logger, store, onFatal } = this.#options;
    let hasServed = false;
    while (!signal.aborted) {
      try {
        if (!(await this.#bringUp({ mayCreate: !hasServed }))) continue;
      } catch (error) {
        if (signal.aborted) return;
        const fatal = asFatal(error);
        if (!hasServed) {
          onFatal(fatal);
          return;
        }
        // A node that has served once waits for somebody to mend what is wrong.
        this.#refuse(fatal.message);
        await pause(clock, guardEveryMs / 2, signal);
        continue;
      }
      if (!hasServed) this.#snapshots?.run();
      hasServed = true;
      if (this.#failure === undefined) this.#refusal = undefined;
      const reason = await this.#watch();
      if (reason !== undefined) {
        logger.error(`${reason}: what is in memory is dropped and the topic is read from its beginning`);
        this.#rebuilds += 1;
        this.#snapshots?.discard(reason);
        this.#lineage = undefined;
        this.#refusal = undefined;
        this.#waits.abandon();
        this.arrivals.abandon();
      }
      await this.#reader?.stop();
      this.#reader = undefined;
      if (reason === undefined) return;
      store.clear();
    }
  }

  /** From nothing to reading: false when the replica was stopped meanwhile. Rejects when the topic can never be served. */
  async #bringUp({ mayCreate }: { mayCreate: boolean }): Promise<boolean> {
    const { log, store, settings, clock, logger } = this.#options;
    const opening = await this.#untilAnswered(async () => {
      const description = await log.describe();
      if (description !== undefined) {
        const ends = await log.ends();
        if (ends.length === description.partitions) return { description, ends };
        throw new BitacoraError('log_unavailable', 'Kafka is not of one mind about the partitions of the topic');
      }
      // Who deletes a topic that was in use does not want it back.
      if (!mayCreate) throw new BitacoraError('log_unavailable', 'The topic no longer exists');
      await log.create(settings);
      logger.info(`created the topic, with ${settings.partitions} partition(s) and cleanup.policy=compact`);
      return undefined;
    });
    if (opening === undefined) return false;
    const { description, ends } = opening;
    const opened = momentNow(clock);
    const reason = unfit(description);
    if (reason !== undefined) throw new FatalError(reason);
    for (const warning of warnings(description, settings)) logger.warn(warning);
    store.tombstoneRetentionMs = description.deleteRetentionMs;
    const resumed = mayCreate ? await this.#resume(description, ends) : undefined;
    if (this.#stopping.signal.aborted) return false;
    const from = resumed?.from ?? ends.map(({ earliest }) => ({ offset: earliest, leaderEpoch: -1 }));
    const positions = from.map(({ offset }) => offset);
    const targets = ends.map(({ end }) => end);
    const lineage: Lineage = {
      description,
      opened,
      logStarts: ends.map(({ earliest }) => earliest),
      positions,
      leaderEpochs: from.map(({ leaderEpoch }) => leaderEpoch),
      newestMs: positions.map(() => -1),
      catchUp: new CatchUp(positions, targets, clock.monotonicMs()),
      lag: new Lag(),
      witnesses: [],
      lostBecause: undefined,
      isFinishing: false,
      caughtUp: resumed && { ...momentAt(resumed.caughtUpAtMs, clock), positions: [...positions] },
      sightedAt: undefined,
    };
    this.#lineage = lineage;
    this.#sight(lineage, ends, opened);
    this.#reader = log.read(from, this.#handlerFor(lineage));
    return true;
  }

  async #resume(description: TopicDescription, ends: readonly PartitionEnds[]): Promise<Resumed | undefined> {
    this.#isResuming = true;
    const { signal } = this.#stopping;
    // A disk that hangs does not keep a node from stopping.
    const resumed = this.#snapshots && (await unlessAborted(this.#snapshots.resume(description, ends, signal), signal));
    this.#isResuming = false;
    return resumed;
  }

  #snapshotSource(): SnapshotSource | undefined {
    const lineage = this.#lineage;
    // A node whose topic is not what it should be does not know what its memory is worth.
    if (!lineage?.catchUp.done || lineage.lostBecause !== undefined || this.#refusal !== undefined) return undefined;
    const { logStarts, positions, leaderEpochs, caughtUp, opened } = lineage;
    const { store, clock } = this.#options;
    // The next look finds that out too; until then nothing may be written down as if all were there.
    const reached = positions.map((end, partition) => ({ partition, earliest: 0, end }));
    if (this.#cutOff(lineage, reached) !== undefined) return undefined;
    const description = { ...lineage.description, deleteRetentionMs: store.tombstoneRetentionMs };
    const newest = caughtUp !== undefined && caughtUp.monotonicMs >= opened.monotonicMs ? caughtUp : opened;
    return { description, logStarts, positions, leaderEpochs, caughtUpAtMs: wallMsOf(newest, clock) };
  }

  /** Asks until the log answers something, with growing pauses and one line each. undefined once stopped. */
  async #untilAnswered<T>(ask: () => Promise<T | undefined>): Promise<T | undefined> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(500, 30_000);
    while (!signal.aborted) {
      try {
        const answer = await unlessAborted(ask(), signal);
        if (signal.aborted) break;
        this.#logAnswers = true;
        if (answer !== undefined) return answer;
      } catch (error) {
        this.#logAnswers = false;
        if (!(error instanceof BitacoraError) || error.code !== 'log_unavailable') throw error;
        const delayMs = backoff.nextMs();
        logger.warn(`${error.detail}; trying again in ${(delayMs / 1000).toFixed(1)} s`);
        await pause(clock, delayMs, signal);
      }
    }
    return undefined;
  }

  #handlerFor(lineage: Lineage): ReadHandler {
    const { store, partitioner, clock } = this.#options;
    const context = {
      store,
      partitioner,
      partitions: lineage.positions.length,
      counters: this.#counters,
      newestMs: lineage.newestMs,
      arrivals: this.arrivals,
    };
    return {
      onBatch: async (slices: RecordSlices) => {
        if (lineage !== this.#lineage) return;
        try {
          applyRecords(context, slices, clock.nowMs());
        } catch (error) {
          this.#fail(error);
          return;
        }
        this.#advance(lineage, slices.partition, slices.nextOffset, slices.leaderEpoch);
        if (slices.count >= yieldRecords) await yieldToEventLoop();
      },
      onGap: (partition, nextOffset, leaderEpoch) => this.#advance(lineage, partition, nextOffset, leaderEpoch),
      onDisturbance: (reason) => {
        if (lineage !== this.#lineage) return;
        this.#options.logger.warn(`${reason}; looking at the topic`);
        this.#disturbed = true;
        this.#wakeWatch();
      },
      onLineageLost: (reason) => {
        if (lineage !== this.#lineage) return;
        lineage.lostBecause = reason;
        this.#wakeWatch();
      },
    };
  }

  #advance(lineage: Lineage, partition: number, position: number, leaderEpoch: number): void {
    // A reader that is being stopped may have a last word; it is about a log that is no longer this one.
    if (lineage !== this.#lineage) return;
    if (position <= (lineage.positions[partition] ?? 0)) return;
    lineage.positions[partition] = position;
    lineage.leaderEpochs[partition] = leaderEpoch;
    lineage.lag.advance(partition, position);
    this.#waits.advance(partition, position);
    if (lineage.catchUp.done) return;
    lineage.catchUp.advance(partition, position);
    if (!lineage.catchUp.done) return;
    void this.#finishStore(lineage);
    this.#wakeWatch();
  }

  /** `now` is when the ends were answered. */
  #sight(lineage: Lineage, ends: readonly PartitionEnds[], now: Moment): void {
    const nowMs = now.monotonicMs;
    for (const { partition, end } of ends) {
      lineage.lag.sighted(partition, end, nowMs);
      lineage.lag.advance(partition, lineage.positions[partition] ?? 0);
    }
    if (lineage.catchUp.done && lineage.lag.ms(nowMs) === 0) {
      // All ends that were seen before have been reached. When this one has not, what is new may be as old as the last look.
      const isAtEnd = ends.every(({ partition, end }) => end <= (lineage.positions[partition] ?? 0));
      const at = isAtEnd ? now : lineage.sightedAt;
      if (at !== undefined) lineage.caughtUp = { ...at, positions: [...lineage.positions] };
    }
    lineage.sightedAt = now;
  }

  /** Watches the topic until the replica is stopped (undefined) or must be rebuilt (the reason). */
  async #watch(): Promise<string | undefined> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    let guardAtMs = 0;
    while (!signal.aborted) {
      await this.#sweep();
      const lineage = this.#lineage;
      if (lineage === undefined) return undefined;
      void this.#finishStore(lineage);
      const firstWitnesses = lineage.catchUp.done && lineage.witnesses.length === 0;
      const guardIsDue =
        clock.monotonicMs() >= guardAtMs || firstWitnesses || this.#disturbed || this.#refusal !== undefined;
      if (guardIsDue) guardAtMs = clock.monotonicMs() + guardEveryMs;
      this.#disturbed = false;
      const reason = lineage.lostBecause ?? (await unlessAborted(this.#look(lineage, guardIsDue), signal));
      if (this.#failure !== undefined) return undefined;
      if (reason !== undefined) return reason;
      await this.#nextRound();
    }
    return undefined;
  }

  /** Once everything has been read; step by step beside what else goes on, of ten million keys in some seconds. */
  async #finishStore(lineage: Lineage): Promise<void> {
    const { finishStore = () => true } = this.#options;
    if (!lineage.catchUp.done || lineage.isFinishing) return;
    lineage.isFinishing = true;
    try {
      while (lineage === this.#lineage && !this.#stopping.signal.aborted && !finishStore()) await yieldToEventLoop();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #sweep(): Promise<void> {
    const { clock, store } = this.#options;
    try {
      for (let sweeps = 0; sweeps < sweepsPerRound && this.#failure === undefined; sweeps += 1) {
        if (store.sweep(clock.nowMs(), sweepEntries) || this.#stopping.signal.aborted) return;
        await yieldToEventLoop();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** One look at the topic; a reason means rebuild. */
  async #look(lineage: Lineage, guardIsDue: boolean): Promise<string | undefined> {
    const { log, logger } = this.#options;
    try {
      // The position first: the end that is read afterwards cannot be below it in the same log.
      const positions = [...lineage.positions];
      const ends = await log.ends();
      this.#setLogAnswers(true);
      const shrunk = ends.some(({ partition, earliest, end }) => {
        const position = positions[partition] ?? 0;
        return end < position || earliest > position;
      });
      await this.#noteLoweredRetention(lineage);
      const cutOff = this.#cutOff(lineage, ends);
      if (cutOff !== undefined) return cutOff;
      this.#sight(lineage, ends, momentNow(this.#options.clock));
      if (guardIsDue || shrunk || ends.length !== positions.length) {
        const verdict = await this.#guard(lineage, positions, ends);
        const wasRefused = this.#refusal !== undefined;
        if (verdict.kind === 'rebuild') return verdict.reason;
        if (verdict.kind === 'refuse') this.#refuse(verdict.reason);
        // Whatever was wrong with the topic may have cost records.
        else if (wasRefused) return 'the topic is usable again';
      }
      return undefined;
    } catch (error) {
      this.#setLogAnswers(false, error);
      logger.debug({ err: error }, 'the log did not answer');
      if (!(await this.#topicExists())) this.#refuse('the topic no longer exists');
      return undefined;
    }
  }

  async #guard(lineage: Lineage, positions: readonly number[], ends: readonly PartitionEnds[]): Promise<Verdict> {
    const { log, store } = this.#options;
    const description = await log.describe();
    const verdict = inspectTopic(
      {
        clusterId: lineage.description.clusterId,
        topicId: lineage.description.topicId,
        partitions: positions.length,
        positions,
        witnesses: lineage.witnesses,
      },
      { description, ends, witnessOffsets: await this.#offsetsAt(lineage.witnesses) },
    );
    if (verdict.kind === 'sound' && description !== undefined) {
      store.tombstoneRetentionMs = description.deleteRetentionMs;
      if (lineage.catchUp.done) lineage.witnesses = await this.#takeWitnesses(lineage);
    }
    return verdict;
  }

  /** One question after the other: there may be a thousand partitions. */
  async #offsetsAt(witnesses: readonly (Witness | undefined)[]): Promise<(number | undefined)[]> {
    const offsets: (number | undefined)[] = [];
    for (const [partition, witness] of witnesses.entries()) {
      if (witness !== undefined)
        offsets[partition] = await this.#options.log.firstOffsetSince(partition, witness.timestampMs);
    }
    return offsets;
  }

  /** One millisecond after the newest record: the first offset at that time or later is where the partition ends now. */
  async #takeWitnesses(lineage: Lineage): Promise<(Witness | undefined)[]> {
    const witnesses = lineage.newestMs.map((newestMs) =>
      newestMs < 0 ? undefined : { timestampMs: newestMs + 1, offset: 0 },
    );
    const offsets = await this.#offsetsAt(witnesses);
    return witnesses.map((witness, partition) => witness && { ...witness, offset: offsets[partition] ?? 0 });
  }

  /**
   * A node that was behind for longer than the log keeps tombstones may have missed some for good, even when it has caught up
   * since. Nothing but reading everything again brings it back in line. (Both clocks count: one of them stands still while
   * the machine sleeps, and the other can be set back.)
   */
  #cutOff({ caughtUp }: Lineage, ends: readonly PartitionEnds[]): string | undefined {
    const { store, clock } = this.#options;
    if (caughtUp === undefined) return undefined;
    const awayMs = msSince(caughtUp, clock);
    if (awayMs <= Math.max(store.tombstoneRetentionMs, retentionFloorMs)) return undefined;
    if (ends.every(({ partition, end }) => end <= (caughtUp.positions[partition] ?? 0))) return undefined;
    return `the node was behind the log for longer than delete.retention.ms (${store.tombstoneRetentionMs})`;
  }

  /** Who lowers it while a node is behind takes tombstones from it that it counts on. */
  async #noteLoweredRetention({ caughtUp }: Lineage): Promise<void> {
    const { log, store, clock } = this.#options;
    if (caughtUp === undefined || msSince(caughtUp, clock) <= retentionFloorMs) return;
    const description = await log.describe();
    if (description === undefined) return;
    store.tombstoneRetentionMs = Math.min(store.tombstoneRetentionMs, description.deleteRetentionMs);
  }

  async #topicExists(): Promise<boolean> {
    try {
      return (await this.#options.log.describe()) !== undefined;
    } catch {
      return true;
    }
  }

  /**
   * The store could not take a record, or put itself in order: most likely it is full. What it holds is not what the log
   * holds, and reading on would leave a hole, so nothing more is applied, read or written, and the process is to end.
   */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const { logger, onFatal } = this.#options;
    this.#failure = storeFailure(error);
    logger.debug({ err: error }, 'the store failed');
    this.#lineage = undefined;
    this.#snapshots?.giveUp();
    this.#refuse(this.#failure.message);
    this.#waits.abandon();
    this.arrivals.abandon();
    this.#wakeWatch();
    onFatal(this.#failure);
  }

  #refuse(reason: string): void {
    if (this.#refusal === reason) return;
    this.#refusal = reason;
    this.#options.logger.error(`${reason}; the node says that it is not ready and takes no writes`);
  }

  #setLogAnswers(answers: boolean, error?: unknown): void {
    if (answers === this.#logAnswers) return;
    this.#logAnswers = answers;
    const { logger } = this.#options;
    if (answers) logger.info('the log answers again');
    else logger.warn(`${error instanceof BitacoraError ? error.detail : String(error)}; reads go on from memory`);
  }

  /** Ends when the next look is due, or something calls for one at once. */
  async #nextRound(): Promise<void> {
    const wake = new AbortController();
    this.#wakeWatch = () => wake.abort();
    if (this.#stopping.signal.aborted || this.#failure !== undefined) return;
    if (this.#disturbed || this.#lineage?.lostBecause !== undefined) return;
    await pause(this.#options.clock, watchEveryMs, wake.signal);
  }
}
