import { unlink } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import { KafkaError } from '../../protocol/errors.ts';
import { assignAppendTime, assignOffset, type BatchHeader } from '../../protocol/record-batch.ts';
import { checkBatch, checkCompressedKeys, checkOwnBatch } from './batch-validation.ts';
import { type CompactionResult, compactSegments, dirtySegments, type Swapped } from './compaction.ts';
import { writeMarker } from './control-batch.ts';
import { leaderEpochsFile } from './file-names.ts';
import type { LeaderEpochs } from './leader-epochs.ts';
import type { FlushPolicy, LogConfig } from './log-config.ts';
import type { ActiveProducer, Appended, AppendOptions, DeletedSegments, Marker } from './log-contract.ts';
import { type ChangingLog, LogDurability } from './log-durability.ts';
import {
  LogReader,
  type ReadableLog,
  type ReadOptions,
  type ReadResult,
  type TimestampedOffset,
} from './log-reader.ts';
import type { ProducerStates } from './producer-state.ts';
import { type RecoveredLog, recover } from './recovery.ts';
import { expiredCount, lateness } from './retention.ts';
import { Segment, type SegmentFacts } from './segment.ts';
import { TailCache, tailMemory } from './tail-cache.ts';
import { replaceFile } from './whole-file.ts';

export type { CompactionResult } from './compaction.ts';
export type { FlushPolicy, LogConfig } from './log-config.ts';
export type { ActiveProducer, Appended, AppendOptions, DeletedSegments, Marker } from './log-contract.ts';
export type { ReadOptions, ReadResult, TimestampedOffset } from './log-reader.ts';
export type { SegmentFacts } from './segment.ts';

export interface PartitionLogOptions {
  /** Of this partition alone; made when it is not there. */
  readonly folder: string;
  readonly config: LogConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly flush: FlushPolicy;
  /** In which it is led from now on. */
  readonly leaderEpoch: number;
}

/** Kafka's `producer.id.expiration.ms`. */
const producerExpirationMs = 24 * 60 * 60 * 1000;
const noTimestamp = -1;

/**
 * The log of one partition in Kafka's file layout. Appends happen within one turn, into the system's page cache; when they are on the
 * disk, `flushed` tells, as the flush policy has it. The log end is also the high watermark, because there is one replica.
 */
export class PartitionLog {
  readonly #options: PartitionLogOptions;
  #config: LogConfig;
  /** In order; the last one is the active one. The array is replaced rather than changed, but for a new active segment. */
  #segments: Segment[];
  readonly #producers: ProducerStates;
  readonly #epochs: LeaderEpochs;
  readonly #tail = new TailCache(tailMemory);
  readonly #reader: LogReader;
  readonly #durability: LogDurability;
  readonly #listeners = new Set<() => void>();
  #closedBytes: number;
  #logStartOffset: number;
  #cleanOffset: number;
  #endOffset: number;
  #appendedBytes = 0;
  /** The file is as the epochs are in memory, which matters only once there is a record of the last one. */
  #areEpochsSaved = false;
  /** Something is to be written when the log is closed. */
  #isChanged: boolean;
  #isClosed = false;
  #failure: unknown;
  #maintenance: Promise<unknown> = Promise.resolve();
  #cancelFlush: (() => void) | undefined;

  private constructor(options: PartitionLogOptions, recovered: RecoveredLog) {
    this.#options = options;
    this.#config = options.config;
    this.#segments = recovered.segments;
    this.#closedBytes = closedBytesOf(recovered.segments);
    this.#producers = recovered.producers;
    this.#epochs = recovered.epochs;
    this.#logStartOffset = recovered.logStartOffset;
    this.#cleanOffset = recovered.cleanOffset;
    this.#endOffset = this.#active.nextOffset;
    this.#isChanged = this.#segments.some(({ isSynced }) => !isSynced);
    const { folder, logger } = options;
    this.#durability = new LogDurability({ folder, logger, log: this.#view(), snapshots: recovered.snapshots });
    this.#reader = new LogReader(this.#view());
  }

  /** Opens the log as a process left it, however it ended. Rejects with what the system says. */
  static async open(options: PartitionLogOptions): Promise<PartitionLog> {
    const { folder, clock, logger } = options;
    await mkdir(folder, { recursive: true });
    let log: PartitionLog | undefined;
    const indexIntervalBytes = (): number => (log?.config ?? options.config).indexIntervalBytes;
    const recovered = await recover({ folder, indexIntervalBytes, nowMs: clock.nowMs(), logger });
    log = new PartitionLog(options, recovered);
    // As Kafka's leaders do: what was led before ends here, even if nothing is ever appended (KIP-101).
    log.#epochs.assign(options.leaderEpoch, log.#endOffset);
    if (log.#isChanged) log.#settleRecovered();
    return log;
  }

  get config(): LogConfig {
    return this.#config;
  }

  configure(config: LogConfig): void {
    this.#config = config;
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** One past the last record: the log end and the high watermark. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Where the oldest open transaction begins, or the end. */
  get lastStableOffset(): number {
    return Math.max(this.#logStartOffset, this.#producers.firstOpenOffset ?? this.#endOffset);
  }

  get sizeBytes(): number {
    return this.#closedBytes + this.#active.bytes;
  }

  /** All that was appended since the log was opened; unlike its size this never shrinks. */
  get appendedBytes(): number {
    return this.#appendedBytes;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether it is neither closed nor has failed for good. */
  get isWritable(): boolean {
    return !this.#isClosed && this.#failure === undefined && !this.#durability.hasFailed;
  }

  /** Segments that take no more appends, oldest first. */
  get closedSegments(): readonly SegmentFacts[] {
    return this.#segments.slice(0, -1).map(({ facts }) => facts);
  }

  /**
   * Appends one batch within this turn; offset, leader epoch and the time of the append are set in its own bytes. Throws a `KafkaError`,
   * and then nothing was appended: see `checkBatch`, `ProducerStates.check`, or KAFKA_STORAGE_ERROR.
   */
  append(batch: Buffer, { leaderEpoch, origin }: AppendOptions): Appended {
    this.#requireWritable();
    const isClient = origin === 'client';
    const header = isClient ? checkBatch(batch, this.#config) : checkOwnBatch(batch, this.#config);
    const seen = header.producerId < 0 ? undefined : this.#producers.check(header, isClient);
    if (seen !== undefined) {
      const { baseOffset, lastOffset, timestampMs } = seen;
      const logAppendTimeMs = this.#config.messageTimestampType === 'LogAppendTime' ? timestampMs : noTimestamp;
      return { baseOffset, lastOffset, logAppendTimeMs, logStartOffset: this.#logStartOffset, isDuplicate: true };
    }
    const nowMs = this.#options.clock.nowMs();
    const placed = this.#place(batch, header, leaderEpoch, nowMs);
    if (placed.producerId >= 0) this.#producers.add(placed, nowMs);
    this.#advance();
    return {
      baseOffset: placed.baseOffset,
      lastOffset: placed.lastOffset,
      logAppendTimeMs: placed.isLogAppendTime ? placed.maxTimestampMs : noTimestamp,
      logStartOffset: this.#logStartOffset,
      isDuplicate: false,
    };
  }

  /**
   * To be awaited before `append` when it is not undefined: the keys of a compressed batch on a compacted topic, which take
   * decompression to be seen. Rejects with a `KafkaError` INVALID_RECORD or CORRUPT_MESSAGE.
   */
  checkCompressedKeys(batch: Buffer): Promise<void> | undefined {
    return checkCompressedKeys(batch, this.#config);
  }

  /**
   * Ends the transaction of a producer in this partition, if it has one. Throws a `KafkaError` INVALID_PRODUCER_EPOCH,
   * TRANSACTION_COORDINATOR_FENCED or KAFKA_STORAGE_ERROR.
   */
  appendMarker({ leaderEpoch, ...marker }: Marker): { offset: number } {
    this.#requireWritable();
    const nowMs = this.#options.clock.nowMs();
    const state = { ...marker, timestampMs: nowMs };
    this.#producers.checkMarker(state);
    const batch = writeMarker(state);
    const { lastOffset: offset } = this.#place(batch, checkOwnBatch(batch, this.#config), leaderEpoch, nowMs);
    const completed = this.#producers.addMarker(state, offset, nowMs);
    if (completed !== undefined && !marker.commit) {
      this.#active.noteAborted({ ...completed, lastStableOffset: this.#producers.firstOpenOffset ?? offset + 1 });
    }
    this.#advance();
    return { offset };
  }

  /** Resolves when everything before `offset` is as safe as the flush policy says. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR. */
  async flushed(offset: number): Promise<void> {
    if (this.#options.flush === 'acks-all') await this.#durability.upTo(offset);
  }

  /** Rejects with a `KafkaError` OFFSET_OUT_OF_RANGE or KAFKA_STORAGE_ERROR. */
  async read(offset: number, options: ReadOptions): Promise<ReadResult> {
    this.#requireOpen();
    return this.#reader.read(offset, options);
  }

  /** Has `listener` called after each append, and when the log is closed. The returned function ends that. */
  onAdvance(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first record that is as late as `timestampMs`; undefined: there is none. */
  async offsetForTime(timestampMs: number): Promise<TimestampedOffset | undefined> {
    this.#requireOpen();
    return this.#reader.offsetForTime(timestampMs);
  }

  /** The first record that has the largest timestamp; undefined: no record has one. */
  async offsetOfMaxTimestamp(): Promise<TimestampedOffset | undefined> {
    this.#requireOpen();
    return this.#reader.offsetOfMaxTimestamp();
  }

  /** The largest epoch up to the asked one, and where it ends; -1 and -1: not known. */
  endOffsetForEpoch(leaderEpoch: number): { leaderEpoch: number; endOffset: number } {
    return this.#epochs.endOffsetFor(leaderEpoch, this.#endOffset);
  }

  /** The epoch of the record at this offset, or of the next one; -1: not known. */
  epochAt(offset: number): number {
    return this.#epochs.epochAt(offset);
  }

  /**
   * The log begins at `offset` from now on; -1: at its end. Whole segments before it go with the next `retain`. Throws a `KafkaError`
   * OFFSET_OUT_OF_RANGE, POLICY_VIOLATION or KAFKA_STORAGE_ERROR.
   */
  deleteRecordsBefore(offset: number): void {
    this.#requireWritable();
    if (!this.#config.cleanupPolicy.delete) {
      throw new KafkaError('POLICY_VIOLATION', 'A topic without cleanup.policy=delete keeps its records.');
    }
    const startOffset = offset === -1 ? this.#endOffset : offset;
    if (startOffset < 0 || startOffset > this.#endOffset) {
      throw new KafkaError(
        'OFFSET_OUT_OF_RANGE',
        `Offset ${offset} is asked for, and the log ends at ${this.#endOffset}.`,
      );
    }
    if (startOffset > this.#logStartOffset) this.#storing(() => this.#startAt(startOffset));
  }

  activeProducers(): IterableIterator<ActiveProducer> {
    return this.#producers.active();
  }

  /** Deletes whole segments by age, size and log start as the settings say. To be called now and then. */
  retain(nowMs: number): Promise<DeletedSegments> {
    return this.#inTurn(() => {
      this.#tidy(nowMs);
      const limits = () => ({ config: this.#config, logStartOffset: this.#logStartOffset, nowMs });
      const expired = () => expiredCount(this.#segments, limits());
      if (this.#active.bytes > 0 && expired() === this.#segments.length) this.#roll();
      return this.#drop(Math.min(expired(), this.#segments.length - 1));
    });
  }

  /** Deletes the oldest segment, whatever the settings say; never the active one. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR. */
  dropOldestSegment(): Promise<DeletedSegments> {
    return this.#inTurn(async () => {
      // The folder may be another log's by now.
      this.#requireWritable();
      return this.#drop(Math.min(1, this.#segments.length - 1));
    });
  }

  /** Whether there is enough to compact, or something has waited too long for it (KIP-354). */
  isDirtyEnough(nowMs: number): boolean {
    const dirty = dirtySegments(this.#closedBy(nowMs), this.#compactionLimits(nowMs));
    const sum = (segments: readonly Segment[]): number => segments.reduce((bytes, segment) => bytes + segment.bytes, 0);
    const dirtyBytes = sum(dirty);
    if (dirtyBytes === 0) return false;
    const cleanBytes = sum(this.#segments.filter(({ nextOffset }) => nextOffset <= this.#cleanOffset));
    if (dirtyBytes / (cleanBytes + dirtyBytes) > this.#config.minCleanableDirtyRatio) return true;
    return dirty.some((segment) => nowMs - lateness(segment) > this.#config.maxCompactionLagMs);
  }

  /** Leaves the last record of each key, of what may be compacted now. */
  compact(nowMs: number): Promise<CompactionResult> {
    return this.#inTurn(async () => {
      this.#tidy(nowMs);
      const result = await compactSegments({
        folder: this.#options.folder,
        segments: () => this.#segments.slice(0, -1),
        aborted: () => this.#segments.flatMap(({ aborted }) => aborted),
        limits: this.#compactionLimits(nowMs),
        config: this.#config,
        producers: this.#producers,
        isStopping: () => this.#isClosed,
        replace: (old, swap) => this.#replace(old, swap),
        noteClean: (offset) => {
          this.#cleanOffset = offset;
        },
      });
      await this.#durability.checkpoint();
      return result;
    });
  }

  /** Forces everything to the disk. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR. */
  flush(): Promise<void> {
    return this.#durability.upTo(this.#endOffset);
  }

  /** Ends what is under way and writes down what makes the next start short. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.#stop();
    try {
      if (this.#isChanged && this.#failure === undefined) await this.#durability.settle();
    } finally {
      for (const segment of this.#segments) segment.release();
    }
  }

  /**
   * Ends what is under way and deletes the folder. With `aside` it gets that path first: files go one after the other, and a crash on
   * the way is not to leave what looks like a log.
   */
  async remove({ aside }: { readonly aside?: string } = {}): Promise<void> {
    await this.#stop();
    for (const segment of this.#segments) segment.release();
    const { folder } = this.#options;
    if (aside !== undefined) await rename(folder, aside);
    await rm(aside ?? folder, { recursive: true, force: true });
  }

  get #active(): Segment {
    return this.#segments.at(-1)!;
  }

  /** The log as its parts see it, which is how it is whenever they look. */
  #view(): ReadableLog & ChangingLog {
    const log = this;
    return {
      get segments() {
        return log.#segments;
      },
      get logStartOffset() {
        return log.#logStartOffset;
      },
      get cleanOffset() {
        return log.#cleanOffset;
      },
      get endOffset() {
        return log.#endOffset;
      },
      get lastStableOffset() {
        return log.lastStableOffset;
      },
      producers: this.#producers,
      tail: this.#tail,
    };
  }

  /** Writes a batch at the end. Throws a `KafkaError` KAFKA_STORAGE_ERROR, and then nothing has changed. */
  #place(batch: Buffer, header: BatchHeader, leaderEpoch: number, nowMs: number): BatchHeader {
    const baseOffset = this.#endOffset;
    const lastOffset = baseOffset + (header.lastOffset - header.baseOffset);
    const isLogAppendTime = this.#config.messageTimestampType === 'LogAppendTime';
    const maxTimestampMs = isLogAppendTime ? nowMs : header.maxTimestampMs;
    assignOffset(batch, 0, baseOffset, leaderEpoch);
    if (isLogAppendTime) assignAppendTime(batch, 0, header.bytes, nowMs);
    const placed = { ...header, baseOffset, lastOffset, leaderEpoch, maxTimestampMs, isLogAppendTime };
    this.#storing(() => {
      const active = this.#active;
      const isFull = active.bytes + header.bytes > this.#config.segmentBytes || !active.canHold(lastOffset);
      if (active.bytes > 0 && (isFull || this.#isOld(active, nowMs))) this.#roll();
      if (this.#epochs.assign(leaderEpoch, baseOffset)) this.#areEpochsSaved = false;
      if (!this.#areEpochsSaved) this.#writeEpochs();
      this.#writeOrUndo(batch);
    });
    this.#active.note(placed, nowMs);
    this.#endOffset = lastOffset + 1;
    this.#appendedBytes += header.bytes;
    this.#isChanged = true;
    this.#tail.append(batch, baseOffset, lastOffset);
    return placed;
  }

  #writeOrUndo(batch: Buffer): void {
    const active = this.#active;
    try {
      active.write(batch);
    } catch (error) {
      try {
        active.undo();
      } catch (second) {
        // What the file ends in is not known any more, so nothing can be put behind it.
        this.#failure = second;
      }
      throw error;
    }
  }

  /** Runs what writes files; whatever it throws becomes a `KafkaError` KAFKA_STORAGE_ERROR. */
  #storing(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.logger.error({ err: error, folder: this.#options.folder }, 'the log cannot be written');
      throw new KafkaError('KAFKA_STORAGE_ERROR', 'The log cannot be written.', { cause: error });
    }
  }

  #advance(): void {
    for (const listener of this.#listeners) listener();
    const { flush, clock, logger } = this.#options;
    if (typeof flush !== 'object' || this.#cancelFlush !== undefined) return;
    this.#cancelFlush = clock.after(flush.intervalMs, () => {
      this.#cancelFlush = undefined;
      this.flush().catch((error: unknown) => logger.error({ err: error }, 'the log cannot be forced to the disk'));
    });
  }

  #isOld(segment: Segment, nowMs: number): boolean {
    const { cleanupPolicy, segmentMs, maxCompactionLagMs } = this.#config;
    const ageMaxMs = cleanupPolicy.compact ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs;
    return segment.bytes > 0 && nowMs - segment.firstAppendMs >= ageMaxMs;
  }

  /** Begins a new segment. Throws what the system says, and then nothing has changed. */
  #roll(): void {
    const old = this.#active;
    const next = new Segment(this.#options.folder, this.#endOffset, () => this.#config.indexIntervalBytes);
    this.#durability.writeSnapshot();
    next.create();
    this.#writeIndexes(old);
    this.#segments.push(next);
    this.#closedBytes += old.bytes;
    this.#durability.noteNames();
    this.#isChanged = true;
    this.#reader.noteClosed(old);
    void this.#durability.checkpoint();
  }

  #writeEpochs(): void {
    replaceFile(join(this.#options.folder, leaderEpochsFile), this.#epochs.text());
    this.#areEpochsSaved = true;
  }

  #writeIndexes(segment: Segment): void {
    try {
      segment.writeIndexes();
    } catch (error) {
      // They are made again when they are needed.
      const { baseOffset } = segment;
      this.#options.logger.warn({ err: error, baseOffset }, 'the index of a segment cannot be written');
    }
  }

  #compactionLimits(nowMs: number) {
    return {
      cleanOffset: this.#cleanOffset,
      endOffset: this.lastStableOffset,
      nowMs,
      lagMs: this.#config.minCompactionLagMs,
    };
  }

  /** Closed segments, and the active one when `#tidy` would close it. */
  #closedBy(nowMs: number): readonly Segment[] {
    return this.#isOld(this.#active, nowMs) ? this.#segments : this.#segments.slice(0, -1);
  }

  #tidy(nowMs: number): void {
    this.#requireWritable();
    this.#producers.expire(nowMs - producerExpirationMs);
    this.#tail.check();
    if (this.#isOld(this.#active, nowMs)) this.#storing(() => this.#roll());
  }

  #startAt(offset: number): void {
    this.#logStartOffset = offset;
    this.#isChanged = true;
    this.#epochs.cutBefore(offset);
    this.#areEpochsSaved = false;
    this.#writeEpochs();
    this.#durability.saveNow();
  }

  async #drop(count: number): Promise<DeletedSegments> {
    const old = this.#segments.slice(0, count);
    const first = this.#segments[count]!;
    if (count === 0) return { segments: 0, bytes: 0 };
    this.#storing(() => {
      this.#startAt(Math.max(this.#logStartOffset, first.baseOffset));
      this.#setSegments(this.#segments.slice(count));
      this.#unlink(old.flatMap((segment) => segment.retire()));
      this.#durability.noteNames();
    });
    await this.#durability.checkpoint();
    return { segments: count, bytes: old.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  #replace(old: readonly Segment[], swap: () => Swapped): void {
    this.#storing(() => {
      // A file of the same name and size may have other bytes from now on, so the manifest must not vouch for it.
      this.#durability.saveNow(old);
      const { segments, left } = this.#swapOrFail(swap);
      this.#setSegments(this.#segments.toSpliced(this.#segments.indexOf(old[0]!), old.length, ...segments));
      this.#durability.noteNames();
      this.#isChanged = true;
      // It may hold what was just taken out, such as aborted records that no index tells of any more.
      this.#tail.clear();
      for (const segment of segments) this.#writeIndexes(segment);
      this.#unlink(left);
    });
  }

  #setSegments(segments: Segment[]): void {
    this.#segments = segments;
    this.#closedBytes = closedBytesOf(segments);
  }

  #swapOrFail(swap: () => Swapped): Swapped {
    try {
      return swap();
    } catch (error) {
      // Some names have changed and others not: the next start ends that.
      this.#failure = error;
      throw error;
    }
  }

  #unlink(paths: readonly string[]): void {
    for (const path of paths) {
      unlink(path, (error) => {
        if (error !== null && error.code !== 'ENOENT') {
          this.#options.logger.warn({ err: error, path }, 'an old segment is left for the next start to remove');
        }
      });
    }
  }

  /** After a start that had to scan: what it found goes to the disk, and is believed by the next one. */
  #settleRecovered(): void {
    this.#storing(() => {
      this.#writeEpochs();
      for (const segment of this.#segments.slice(0, -1)) {
        segment.writeIndexes();
        this.#reader.noteClosed(segment);
      }
    });
    void this.#durability.checkpoint();
  }

  async #stop(): Promise<void> {
    this.#isClosed = true;
    this.#cancelFlush?.();
    this.#tail.clear();
    for (const listener of this.#listeners) listener();
    await this.#maintenance;
    await this.#durability.stop();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#maintenance.then(work);
    this.#maintenance = done.catch(() => undefined);
    return done;
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new KafkaError('KAFKA_STORAGE_ERROR', 'The log is closed.');
  }

  #requireWritable(): void {
    this.#requireOpen();
    if (!this.isWritable) {
      throw new KafkaError('KAFKA_STORAGE_ERROR', 'A write to the log failed beyond mending until the next start.');
    }
  }
}

const closedBytesOf = (segments: readonly Segment[]): number =>
  segments.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0);
