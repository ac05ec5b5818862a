import { type Clock, pause, unlessAborted } from '../kernel/clock.ts';
import { rootMessage } from '../kernel/errors.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import type { PartitionEnds, ReadFrom, TopicDescription } from '../log/log.ts';
import type { SnapshotFile } from '../snapshot/snapshot-file.ts';
import { SnapshotFault } from '../snapshot/snapshot-format.ts';
import type { SnapshotReader } from '../snapshot/snapshot-reader.ts';
import { type Refusal, refusalOf } from './resume.ts';
import type { StartedFrom } from './status.ts';

export interface SnapshotOptions {
  readonly file: SnapshotFile;
  readonly intervalMs: number;
  /** The name of the partitioner: records that it finds in the wrong partition are not in memory. */
  readonly partitioner: string;
}

export interface SnapshotKeeperOptions extends SnapshotOptions {
  /** What is in memory, while it is worth a snapshot: once everything has been read. */
  readonly source: () => SnapshotSource | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The arrays, by partition, go on changing with what is applied. */
export interface SnapshotSource {
  /** As the topic is now. */
  readonly description: TopicDescription;
  readonly logStarts: readonly number[];
  readonly positions: readonly number[];
  readonly leaderEpochs: readonly number[];
  readonly caughtUpAtMs: number;
}

/** Where a node goes on that has resumed. */
export interface Resumed {
  readonly from: readonly Required<ReadFrom>[];
  readonly caughtUpAtMs: number;
}

/** For how long a node that stops writes its last snapshot. */
const lastWriteMsMax = 20_000;
/** While nothing is written, a snapshot is made anew after this part of the tombstones' retention, or it would become too old. */
const refreshPart = 0.25;

/** Resumes from the snapshot that there is, and has another written now and then, one at a time. */
export class SnapshotKeeper {
  /** What this node's memory was made of; undefined: that is not decided yet. */
  startedFrom: StartedFrom | undefined;
  readonly #options: SnapshotKeeperOptions;
  readonly #stopping = new AbortController();
  #writing = new AbortController();
  #idle: Promise<void> = Promise.resolve();
  #timer: Promise<void> = Promise.resolve();
  #saved:
    | { readonly topicId: string; readonly positions: readonly number[]; readonly caughtUpAtMs: number }
    | undefined;
  #saidNoTopicId = false;
  #outcome: Refusal['code'] | 'resumed' | undefined;
  #restored = 0;
  #failures = 0;
  #last: { readonly atMs: number; readonly durationMs: number; readonly bytes: number } | undefined;

  constructor(options: SnapshotKeeperOptions) {
    this.#options = options;
    this.#register(options.metrics);
  }

  /** Fills the store from the snapshot if it may be; undefined: the store is empty, and everything is to be read. */
  async resume(
    description: TopicDescription,
    ends: readonly PartitionEnds[],
    signal: AbortSignal,
  ): Promise<Resumed | undefined> {
    const { file, logger } = this.#options;
    let snapshot: SnapshotReader | undefined;
    try {
      await file
        .removeUnfinished()
        .catch((error: unknown) => logger.warn(`an unfinished snapshot could not be removed: ${rootMessage(error)}`));
      snapshot = await file.open();
      if (snapshot === undefined) return this.#replays({ code: 'absent', reason: 'there is no snapshot' });
      const { partitioner, clock } = this.#options;
      const now = { description, ends, partitioner, ordered: file.ordered, nowMs: clock.nowMs() };
      const refusal = refusalOf(snapshot.header, snapshot.summary, now);
      if (refusal !== undefined) return this.#replays(refusal);
      const startedMs = clock.monotonicMs();
      await file.restore(snapshot, signal);
      const { header, summary } = snapshot;
      const seconds = ((clock.monotonicMs() - startedMs) / 1000).toFixed(1);
      logger.info(`resumed from the snapshot: ${summary.entries} keys in ${seconds} s`);
      this.#outcome = 'resumed';
      this.#restored = summary.entries;
      this.startedFrom = { place: 'snapshot', keys: summary.entries };
      this.#saved = { topicId: header.topicId, positions: header.positions, caughtUpAtMs: header.caughtUpAtMs };
      const from = header.positions.map((offset, partition) => ({
        offset,
        leaderEpoch: summary.leaderEpochs[partition]!,
        knownTo: summary.knownTo[partition]!,
      }));
      return { from, caughtUpAtMs: header.caughtUpAtMs };
    } catch (error) {
      if (signal.aborted) return undefined;
      const what = error instanceof SnapshotFault ? 'is not sound' : 'cannot be read';
      return this.#replays({ code: 'unsound', reason: `the snapshot ${file.path} ${what}: ${rootMessage(error)}` });
    } finally {
      await snapshot?.close();
    }
  }

  /** From now on snapshots are written. */
  run(): void {
    this.#timer = this.#keep();
  }

  /** Writes a last one, as far as there is time. Nothing may be applied any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#writing.abort();
    const late = new AbortController();
    const cancel = this.#options.clock.after(lastWriteMsMax, () => late.abort());
    await unlessAborted(this.#writeLast(late.signal), late.signal);
    cancel();
    if (late.signal.aborted) this.#options.logger.warn('there was no time for a last snapshot: the one before stays');
  }

  /** What is in memory is not to be trusted any more: one that is being written of it is given up, and the one before stays. */
  giveUp(): void {
    this.#writing.abort();
  }

  /** What is in memory is not what the log holds, nor is what was written of it. */
  discard(reason: string): void {
    this.#writing.abort();
    this.#saved = undefined;
    this.startedFrom = { place: 'beginning', because: reason };
    const { file, logger } = this.#options;
    this.#idle = this.#idle
      .then(() => file.discard())
      .catch((error: unknown) => logger.warn(`the snapshot could not be removed: ${rootMessage(error)}`));
  }

  #replays(refusal: Refusal): undefined {
    this.#outcome = refusal.code;
    this.startedFrom = { place: 'beginning', because: refusal.reason };
    this.#options.logger.info(`${refusal.reason}: the topic is read from its beginning`);
    return undefined;
  }

  async #keep(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      await pause(clock, intervalMs, signal);
      if (signal.aborted) return;
      await this.#write();
    }
  }

  async #writeLast(late: AbortSignal): Promise<void> {
    await this.#timer;
    const abort = (): void => this.#writing.abort();
    late.addEventListener('abort', abort);
    await this.#write(late);
    late.removeEventListener('abort', abort);
  }

  /** After what is under way. Never rejects. */
  #write(late?: AbortSignal): Promise<void> {
    this.#idle = this.#idle.then(async () => {
      if (late?.aborted) return;
      this.#writing = new AbortController();
      const source = this.#options.source();
      if (source !== undefined && this.#isWorth(source)) await this.#writeOne(source, this.#writing.signal);
    });
    return this.#idle;
  }

  #isWorth({ description, positions, caughtUpAtMs }: SnapshotSource): boolean {
    const { clock, logger } = this.#options;
    const { topicId, deleteRetentionMs } = description;
    if (topicId === undefined) {
      if (!this.#saidNoTopicId) {
        logger.info(
          'no snapshots are written: the log does not tell the topic’s id, without which none can be resumed from',
        );
      }
      this.#saidNoTopicId = true;
      return false;
    }
    const saved = this.#saved;
    if (saved === undefined || saved.topicId !== topicId) return true;
    if (positions.some((position, partition) => position !== saved.positions[partition])) return true;
    const ageMs = clock.nowMs() - saved.caughtUpAtMs;
    // Of a time that is still to come: the clock was set back.
    if (ageMs < 0) return true;
    return caughtUpAtMs > saved.caughtUpAtMs && ageMs > deleteRetentionMs * refreshPart;
  }

  async #writeOne(source: SnapshotSource, signal: AbortSignal): Promise<void> {
    const { file, partitioner, clock, logger } = this.#options;
    const { description, logStarts, caughtUpAtMs } = source;
    const { topic, clusterId, deleteRetentionMs } = description;
    const topicId = description.topicId!;
    // Before the first entry is taken: what is applied from now on is read again after a restart.
    const positions = [...source.positions];
    const startedMs = clock.monotonicMs();
    const createdAtMs = clock.nowMs();
    const named = { topic, topicId, clusterId, partitioner, deleteRetentionMs, logStarts };
    const reach = () => ({ knownTo: [...source.positions], leaderEpochs: [...source.leaderEpochs] });
    try {
      const { bytes, entries } = await file.write({ ...named, createdAtMs, caughtUpAtMs, positions }, reach, signal);
      // Given up when it was already in its place: it may be removed.
      if (signal.aborted) return;
      const durationMs = clock.monotonicMs() - startedMs;
      this.#saved = { topicId, positions, caughtUpAtMs };
      this.#last = { atMs: clock.nowMs(), durationMs, bytes };
      logger.info(`wrote a snapshot: ${entries} keys, ${bytes} bytes, ${(durationMs / 1000).toFixed(1)} s`);
    } catch (error) {
      if (signal.aborted) return;
      this.#failures += 1;
      logger.warn(`the snapshot ${file.path} could not be written: ${rootMessage(error)}; the one before stays`);
    }
  }

  #register(metrics: Metrics): void {
    metrics.gauge({
      name: 'bitacora_snapshot_last_success_timestamp_seconds',
      help: 'When the last snapshot was complete; 0 before the first of this process.',
      read: () => (this.#last?.atMs ?? 0) / 1000,
    });
    metrics.gauge({
      name: 'bitacora_snapshot_duration_seconds',
      help: 'How long the last snapshot took to write.',
      read: () => (this.#last?.durationMs ?? 0) / 1000,
    });
    metrics.gauge({
      name: 'bitacora_snapshot_bytes',
      help: 'Bytes of the last snapshot.',
      read: () => this.#last?.bytes ?? 0,
    });
    metrics.counter({
      name: 'bitacora_snapshot_failures_total',
      help: 'Snapshots that could not be written.',
      read: () => this.#failures,
    });
    metrics.gauge({
      name: 'bitacora_snapshot_restored_keys',
      help: 'Keys that came from a snapshot at the start.',
      read: () => this.#restored,
    });
    metrics.gauge({
      name: 'bitacora_snapshot_start',
      help: 'Always 1; the label says whether the start resumed from a snapshot, or why not.',
      labelNames: ['outcome'],
      read: () => (this.#outcome === undefined ? [] : [{ labels: { outcome: this.#outcome }, value: 1 }]),
    });
  }
}
