import {
  closeSync,
  existsSync,
  fdatasync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BatchHeader } from '../../protocol/record-batch.ts';
import { type AbortedTransaction, readAborted, writeAborted } from './aborted-transactions.ts';
import { scanBatches } from './batch-scan.ts';
import { checksum } from './checksum.ts';
import {
  deletedSuffix,
  indexSuffixes,
  logSuffix,
  offsetFileName,
  offsetIndexSuffix,
  timeIndexSuffix,
  transactionIndexSuffix,
} from './file-names.ts';
import { readHandles } from './read-handles.ts';
import { SegmentIndex } from './segment-index.ts';

const syncData = promisify(fdatasync);
/** Checksum of an index of transactions that is empty: it has no file. */
const noTransactions = checksum(Buffer.alloc(0));
const relativeOffsetMax = 0x7fff_ffff;

/** What is known of a segment without reading it. It stands in the manifest, so that a start need not read everything. */
export interface SegmentFacts {
  readonly baseOffset: number;
  readonly bytes: number;
  /** One past the last batch. */
  readonly nextOffset: number;
  /** -1: no batch has a time. */
  readonly maxTimestampMs: number;
  /** Last offset of the batch that has it. */
  readonly maxTimestampOffset: number;
  /** Of the first batch that has a time. */
  readonly firstTimestampMs: number;
  /** When it was first and last appended to, by this machine's clock. */
  readonly firstAppendMs: number;
  readonly lastAppendMs: number;
}

/** Checksums of the index files; what does not agree is made anew from the log. */
export interface IndexChecksums {
  readonly offsets: number;
  readonly times: number;
  readonly transactions: number;
}

/** A piece of the log: one file of batches, its indexes, and what is known of them. */
export class Segment {
  readonly baseOffset: number;
  readonly #folder: string;
  readonly #indexIntervalBytes: () => number;
  #bytes = 0;
  #nextOffset: number;
  #maxTimestampMs = -1;
  #maxTimestampOffset: number;
  #firstTimestampMs = -1;
  #firstAppendMs = -1;
  #lastAppendMs = -1;
  #aborted: AbortedTransaction[] = [];
  #index: SegmentIndex | undefined;
  #bytesSinceIndex = 0;
  #checksums: IndexChecksums | undefined;
  #writeFd: number | undefined;
  #isSyncing = false;
  #syncedBytes = 0;
  #isClosed = false;
  #isGone = false;
  #suffix: string;

  /** A segment without batches. `suffix`: behind `.log`, for output of a compaction. */
  constructor(folder: string, baseOffset: number, indexIntervalBytes: () => number, suffix = '') {
    this.#folder = folder;
    this.baseOffset = baseOffset;
    this.#indexIntervalBytes = indexIntervalBytes;
    this.#nextOffset = baseOffset;
    this.#maxTimestampOffset = baseOffset;
    this.#index = new SegmentIndex(baseOffset);
    this.#suffix = suffix;
  }

  /** A segment whose log is as the manifest says; undefined when its index of transactions is not, which nothing else can tell. */
  static trusted(
    folder: string,
    facts: SegmentFacts,
    checksums: IndexChecksums,
    indexIntervalBytes: () => number,
  ): Segment | undefined {
    const segment = new Segment(folder, facts.baseOffset, indexIntervalBytes);
    if (checksums.transactions !== noTransactions) {
      const path = segment.#path(transactionIndexSuffix);
      const transactions = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
      if (checksum(transactions) !== checksums.transactions) return undefined;
      segment.#aborted = readAborted(transactions);
    }
    segment.#bytes = facts.bytes;
    segment.#syncedBytes = facts.bytes;
    segment.#nextOffset = facts.nextOffset;
    segment.#maxTimestampMs = facts.maxTimestampMs;
    segment.#maxTimestampOffset = facts.maxTimestampOffset;
    segment.#firstTimestampMs = facts.firstTimestampMs;
    segment.#firstAppendMs = facts.firstAppendMs;
    segment.#lastAppendMs = facts.lastAppendMs;
    segment.#index = undefined;
    segment.#checksums = checksums;
    return segment;
  }

  get logPath(): string {
    return this.#path(`${logSuffix}${this.#suffix}`);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  get maxTimestampMs(): number {
    return this.#maxTimestampMs;
  }

  get maxTimestampOffset(): number {
    return this.#maxTimestampOffset;
  }

  get firstTimestampMs(): number {
    return this.#firstTimestampMs;
  }

  get firstAppendMs(): number {
    return this.#firstAppendMs;
  }

  get lastAppendMs(): number {
    return this.#lastAppendMs;
  }

  get aborted(): readonly AbortedTransaction[] {
    return this.#aborted;
  }

  /** Its files are removed, or another segment has taken their names. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** All of it is on the disk. */
  get isSynced(): boolean {
    return this.#syncedBytes === this.#bytes;
  }

  get facts(): SegmentFacts {
    return {
      baseOffset: this.baseOffset,
      bytes: this.#bytes,
      nextOffset: this.#nextOffset,
      maxTimestampMs: this.#maxTimestampMs,
      maxTimestampOffset: this.#maxTimestampOffset,
      firstTimestampMs: this.#firstTimestampMs,
      firstAppendMs: this.#firstAppendMs,
      lastAppendMs: this.#lastAppendMs,
    };
  }

  /** undefined: the index files were not written since the segment changed. */
  get checksums(): IndexChecksums | undefined {
    return this.#checksums;
  }

  /** Whether indexes can have this offset: they hold differences to the base in 32 bits. */
  canHold(lastOffset: number): boolean {
    return lastOffset - this.baseOffset <= relativeOffsetMax;
  }

  /** Makes the file. Throws when it is there already, or what the system says. */
  create(): void {
    this.#writeFd = openSync(this.logPath, 'wx');
  }

  /** Writes behind the last batch. Throws what the system says, and then nothing of the bytes counts: see `undo`. */
  write(batch: Buffer): void {
    this.#writeFd ??= openSync(this.logPath, 'r+');
    let written = 0;
    while (written < batch.length) {
      written += writeSync(this.#writeFd, batch, written, batch.length - written, this.#bytes + written);
    }
  }

  /** Cuts off what a write left that failed. Throws what the system says. */
  undo(): void {
    if (this.#writeFd !== undefined) ftruncateSync(this.#writeFd, this.#bytes);
  }

  /** A batch was written, or found, at the end. The index must be there. */
  note(header: BatchHeader, nowMs: number): void {
    const index = this.#index!;
    const position = this.#bytes;
    if (header.maxTimestampMs > this.#maxTimestampMs) {
      this.#maxTimestampMs = header.maxTimestampMs;
      this.#maxTimestampOffset = header.lastOffset;
    }
    if (this.#firstTimestampMs < 0) this.#firstTimestampMs = header.maxTimestampMs;
    if (this.#firstAppendMs < 0) this.#firstAppendMs = nowMs;
    this.#lastAppendMs = nowMs;
    if (this.#bytesSinceIndex > this.#indexIntervalBytes()) {
      index.addOffset(header.lastOffset, position);
      index.addTime(this.#maxTimestampMs, this.#maxTimestampOffset);
      this.#bytesSinceIndex = 0;
    }
    this.#bytes = position + header.bytes;
    this.#bytesSinceIndex += header.bytes;
    this.#nextOffset = header.lastOffset + 1;
    this.#checksums = undefined;
  }

  noteAborted(transaction: AbortedTransaction): void {
    this.#aborted.push(transaction);
    this.#checksums = undefined;
  }

  /** When it was appended to, for a segment that is made of others. */
  noteTimes(firstAppendMs: number, lastAppendMs: number): void {
    this.#firstAppendMs = firstAppendMs;
    this.#lastAppendMs = lastAppendMs;
  }

  /** The index if it is in memory. */
  get loadedIndex(): SegmentIndex | undefined {
    return this.#index;
  }

  /** The index, from its files when they are as they were written, else made anew. Rejects with what reading rejects with. */
  async loadIndex(): Promise<SegmentIndex> {
    if (this.#index !== undefined) return this.#index;
    const index = (await this.#readIndex()) ?? (await this.#rebuildIndex());
    this.#index ??= index;
    return this.#index;
  }

  /** It can be read again; the files are right. */
  forgetIndex(): void {
    if (this.#checksums !== undefined) this.#index = undefined;
  }

  /** Writes the index files as they are now. Throws what the system says. */
  writeIndexes(): void {
    if (this.#checksums !== undefined || this.#index === undefined) return;
    this.#index.addTime(this.#maxTimestampMs, this.#maxTimestampOffset);
    const { offsetsFile, timesFile } = this.#index;
    const transactions = writeAborted(this.#aborted);
    writeFileSync(this.#path(offsetIndexSuffix), offsetsFile);
    writeFileSync(this.#path(timeIndexSuffix), timesFile);
    const transactionsPath = this.#path(transactionIndexSuffix);
    if (transactions.length > 0) writeFileSync(transactionsPath, transactions);
    else rmSync(transactionsPath, { force: true });
    this.#checksums = {
      offsets: checksum(offsetsFile),
      times: checksum(timesFile),
      transactions: checksum(transactions),
    };
  }

  /** Forces what was written so far to the disk. Rejects with what the system says, and then nobody knows what is there. */
  async sync(): Promise<void> {
    const bytes = this.#bytes;
    if (this.#syncedBytes === bytes || this.#isGone) return;
    this.#writeFd ??= openSync(this.logPath, 'r+');
    this.#isSyncing = true;
    try {
      await syncData(this.#writeFd);
      this.#syncedBytes = bytes;
    } finally {
      this.#isSyncing = false;
      if (this.#isClosed) this.#closeWriting();
    }
  }

  /** Nothing more is written, unless the segment is written to again. */
  closeWriting(): void {
    if (this.#isSyncing) this.#isClosed = true;
    else this.#closeWriting();
  }

  /** Cuts the file to what was found sound. Throws what the system says. */
  truncateToNoted(): void {
    this.#writeFd ??= openSync(this.logPath, 'r+');
    ftruncateSync(this.#writeFd, this.#bytes);
  }

  /** Gives the log another suffix. Throws what the system says. */
  rename(suffix: string): void {
    renameSync(this.logPath, this.#path(`${logSuffix}${suffix}`));
    this.#suffix = suffix;
  }

  /**
   * Puts the files out of the way; who reads them now still can. Answers the paths that are left to be unlinked. Throws what the
   * system says.
   */
  retire(): string[] {
    this.rename(deletedSuffix);
    for (const suffix of indexSuffixes) rmSync(this.#path(suffix), { force: true });
    this.release();
    return [this.logPath];
  }

  /** Lets go of the files, which are no longer this segment's. */
  release(): void {
    this.#isGone = true;
    this.#index = undefined;
    this.closeWriting();
    readHandles.drop(this);
  }

  #path(suffix: string): string {
    return join(this.#folder, offsetFileName(this.baseOffset, suffix));
  }

  #closeWriting(): void {
    this.#isClosed = false;
    if (this.#writeFd !== undefined) closeSync(this.#writeFd);
    this.#writeFd = undefined;
  }

  async #readIndex(): Promise<SegmentIndex | undefined> {
    if (this.#checksums === undefined) return undefined;
    try {
      const [offsets, times] = await Promise.all([
        readFile(this.#path(offsetIndexSuffix)),
        readFile(this.#path(timeIndexSuffix)),
      ]);
      const areRight = checksum(offsets) === this.#checksums?.offsets && checksum(times) === this.#checksums.times;
      return areRight ? new SegmentIndex(this.baseOffset, offsets, times) : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #rebuildIndex(): Promise<SegmentIndex> {
    const again = new Segment(this.#folder, this.baseOffset, this.#indexIntervalBytes, this.#suffix);
    const handle = readHandles.acquire(this);
    try {
      await scanBatches(handle.fd, { fromPosition: 0, toPosition: this.#bytes, checksCrc: false }, ({ header }) =>
        again.note(header, 0),
      );
    } finally {
      handle.release();
    }
    this.#checksums = undefined;
    this.#bytesSinceIndex = again.#bytesSinceIndex;
    return again.#index!;
  }
}
