import { readSync } from 'node:fs';
import { CodecError } from '../../protocol/codecs.ts';
import { KafkaError } from '../../protocol/errors.ts';
import {
  announcedBytes,
  type BatchHeader,
  batchHeaderBytes,
  readHeader,
  recordBytes,
  walkRecords,
} from '../../protocol/record-batch.ts';
import { WireError } from '../../protocol/wire.ts';
import { abortedWithin } from './aborted-transactions.ts';
import { readFromFile, type ScannedBatch, scanBatches } from './batch-scan.ts';
import { readHandles } from './read-handles.ts';
import type { Segment } from './segment.ts';
import type { SegmentIndex } from './segment-index.ts';
import type { TailCache } from './tail-cache.ts';

export interface ReadOptions {
  readonly maxBytes: number;
  /** The first batch goes out even when it alone is over `maxBytes`. */
  readonly minOneBatch: boolean;
  readonly isolation: 'read_uncommitted' | 'read_committed';
  /** Where memory for records comes from that are read from a file; what it gives is the caller's to use again. */
  readonly allocate?: (bytes: number) => Buffer;
}

export interface ReadResult {
  /** Whole batches; the first one holds the asked offset, or begins after it where compaction left a gap. */
  readonly records: Buffer;
  /** Those with records in `records`; empty for read_uncommitted. */
  readonly abortedTransactions: readonly { readonly producerId: number; readonly firstOffset: number }[];
}

export interface TimestampedOffset {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

/** What there is to read, as it changes. */
export interface ReadableLog {
  readonly segments: readonly Segment[];
  readonly logStartOffset: number;
  readonly endOffset: number;
  readonly lastStableOffset: number;
  readonly tail: TailCache;
}

/** Answers are put together in memory, so one ends here whatever was asked; a single batch may be larger. */
const readBytesMax = 16 * 1024 * 1024;
/** Of a batch whose records are looked into for a time. */
const unpackedBytesMax = 64 * 1024 * 1024;
const hintsMax = 64;
/** Segments whose indexes stay in memory, beside the active one. */
const indexesMax = 4;
const stepBytes = 4096;
const nothing: ReadResult = { records: Buffer.alloc(0), abortedTransactions: [] };

/** Used within one turn only. */
const stepBuffer = Buffer.allocUnsafe(stepBytes);

interface ReadLimits {
  readonly maxBytes: number;
  readonly minOneBatch: boolean;
  readonly allocate: (bytes: number) => Buffer;
}

interface Batches {
  readonly records: Buffer;
  readonly nextOffset: number;
  /** As they were when the batches were found: a compaction may take out both aborted records and what tells of them. */
  readonly segments: readonly Segment[];
}

interface OpenSegment {
  readonly segment: Segment;
  /** Those of the log as they were when this one was opened. */
  readonly segments: readonly Segment[];
  readonly index: SegmentIndex;
  readonly handle: { readonly fd: number; release: () => void };
}

interface Place {
  readonly segment: Segment;
  readonly position: number;
}

/** Finds batches by offset or time and reads them. */
export class LogReader {
  readonly #log: ReadableLog;
  /** Where reads have ended: most begin where another one did. */
  readonly #hints = new Map<number, Place>();
  readonly #indexed = new Set<Segment>();

  constructor(log: ReadableLog) {
    this.#log = log;
  }

  /** Rejects with a `KafkaError` OFFSET_OUT_OF_RANGE or KAFKA_STORAGE_ERROR. */
  async read(offset: number, options: ReadOptions): Promise<ReadResult> {
    const log = this.#log;
    const isCommitted = options.isolation === 'read_committed';
    if (offset < log.logStartOffset || offset > log.endOffset) {
      const range = `${log.logStartOffset} to ${log.endOffset}`;
      throw new KafkaError('OFFSET_OUT_OF_RANGE', `Offset ${offset} is asked for, and the log has ${range}.`);
    }
    const limit = isCommitted ? log.lastStableOffset : log.endOffset;
    if (offset >= limit) {
      log.tail.want();
      return nothing;
    }
    const maxBytes = Math.min(Math.max(options.maxBytes, 0), readBytesMax);
    const { minOneBatch, allocate = Buffer.allocUnsafe } = options;
    const limits = { maxBytes, minOneBatch, allocate };
    const found = this.#readTail(offset, limit, limits) ?? (await this.#readFile(offset, limit, limits));
    if (found.nextOffset >= log.endOffset) log.tail.want();
    if (!isCommitted || found.records.length === 0) return { ...nothing, records: found.records };
    const lists = found.segments.filter(({ nextOffset }) => nextOffset > offset).map(({ aborted }) => aborted);
    const aborted = abortedWithin(lists, offset, found.nextOffset);
    const abortedTransactions = aborted.map(({ producerId, firstOffset }) => ({ producerId, firstOffset }));
    return { records: found.records, abortedTransactions };
  }

  /** The first record that is as late as `timestampMs`; undefined: there is none. */
  async offsetForTime(timestampMs: number): Promise<TimestampedOffset | undefined> {
    for (let fromOffset = 0; ; ) {
      const open = await this.#openOne(({ segments, logStartOffset }) => {
        const isLeft = ({ nextOffset }: Segment): boolean => nextOffset > Math.max(fromOffset, logStartOffset);
        return segments.find((segment) => isLeft(segment) && segment.maxTimestampMs >= timestampMs);
      });
      if (open === undefined) return undefined;
      const { nextOffset } = open.segment;
      const found = await this.#search(open, timestampMs, open.index.offsetBefore(timestampMs));
      if (found !== undefined) return found;
      fromOffset = nextOffset;
    }
  }

  /** The first record that has the largest timestamp; undefined: no record has one. */
  async offsetOfMaxTimestamp(): Promise<TimestampedOffset | undefined> {
    const open = await this.#openOne(({ segments }) => {
      let latest: Segment | undefined;
      for (const segment of segments) if (segment.maxTimestampMs > (latest?.maxTimestampMs ?? -1)) latest = segment;
      return latest;
    });
    if (open === undefined) return undefined;
    const { maxTimestampMs, maxTimestampOffset } = open.segment;
    return this.#search(open, maxTimestampMs, maxTimestampOffset);
  }

  /** The segment takes no more appends: its index may leave memory. */
  noteClosed(segment: Segment): void {
    this.#keepIndex(segment);
  }

  #readTail(offset: number, limit: number, limits: ReadLimits): Batches | undefined {
    const found = this.#log.tail.read(offset, limit, limits);
    return found && { ...found, segments: this.#log.segments };
  }

  async #readFile(offset: number, limit: number, { maxBytes, minOneBatch, allocate }: ReadLimits): Promise<Batches> {
    const { segment, segments, index, handle } = await this.#openAt(offset);
    try {
      const endPosition = segment.bytes;
      const isWholeSegment = segment.nextOffset <= limit;
      const position = this.#positionOf(offset, { segment, index, fd: handle.fd });
      let records = await readBytes(
        handle.fd,
        position,
        allocate(Math.min(Math.max(maxBytes, batchHeaderBytes), endPosition - position)),
      );
      const first = announcedBytes(records, 0)!;
      if (first < batchHeaderBytes || first > endPosition - position) throw damaged(segment, position);
      if (first > Math.min(records.length, maxBytes)) {
        if (!minOneBatch) return { records: nothing.records, nextOffset: offset, segments };
        records = await readBytes(handle.fd, position, allocate(first));
      }
      // Compaction may have left a gap that ends where the reader may not go yet.
      if (headerOf(records, 0).lastOffset >= limit) return { records: nothing.records, nextOffset: offset, segments };
      const whole = wholeBatches(records, isWholeSegment ? undefined : limit, maxBytes);
      if (whole === undefined) throw damaged(segment, position);
      this.#addHint(whole.nextOffset, { segment, position: position + whole.bytes });
      return { records: records.subarray(0, whole.bytes), nextOffset: whole.nextOffset, segments };
    } finally {
      handle.release();
    }
  }

  /** The segment to read an offset in, with its index; open, so that it can be read whatever becomes of it from here on. */
  async #openAt(offset: number): Promise<OpenSegment> {
    for (;;) {
      // Compaction may leave a segment without a batch.
      const segment = this.#log.segments.find(({ nextOffset, bytes }) => nextOffset > offset && bytes > 0);
      if (segment === undefined) throw new KafkaError('OFFSET_OUT_OF_RANGE', `Offset ${offset} is not in the log.`);
      const open = await this.#open(segment);
      if (offset >= this.#log.logStartOffset && open !== undefined) return open;
      open?.handle.release();
      if (offset < this.#log.logStartOffset)
        throw new KafkaError('OFFSET_OUT_OF_RANGE', `Offset ${offset} is deleted.`);
    }
  }

  /** The segment that `choose` takes, which chooses again when that one went meanwhile; undefined: it takes none. */
  async #openOne(choose: (log: ReadableLog) => Segment | undefined): Promise<OpenSegment | undefined> {
    for (;;) {
      const segment = choose(this.#log);
      if (segment === undefined) return undefined;
      const open = await this.#open(segment);
      if (open !== undefined) return open;
    }
  }

  /** undefined: a compaction, or the deletion of old segments, has come between. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR. */
  async #open(segment: Segment): Promise<OpenSegment | undefined> {
    try {
      const index = segment.loadedIndex ?? (await segment.loadIndex());
      // From here to the file's being open no other turn comes.
      if (!segment.isGone) {
        const handle = readHandles.acquire(segment);
        this.#keepIndex(segment);
        return { segment, segments: this.#log.segments, index, handle };
      }
    } catch (error) {
      if (!segment.isGone) {
        throw new KafkaError('KAFKA_STORAGE_ERROR', `${segment.logPath} cannot be read.`, { cause: error });
      }
    }
    if (!this.#log.segments.includes(segment)) return undefined;
    throw new KafkaError('KAFKA_STORAGE_ERROR', 'The log was closed meanwhile.');
  }

  #positionOf(offset: number, { segment, index, fd }: { segment: Segment; index: SegmentIndex; fd: number }): number {
    const hint = this.#hints.get(offset);
    if (hint?.segment === segment && hint.position < segment.bytes) return hint.position;
    return positionIn(fd, segment, index.positionBefore(offset), offset);
  }

  #addHint(offset: number, place: Place): void {
    this.#hints.delete(offset);
    this.#hints.set(offset, place);
    if (this.#hints.size <= hintsMax) return;
    for (const oldest of this.#hints.keys()) {
      this.#hints.delete(oldest);
      return;
    }
  }

  #keepIndex(segment: Segment): void {
    if (segment === this.#log.segments.at(-1)) return;
    this.#indexed.delete(segment);
    this.#indexed.add(segment);
    if (this.#indexed.size <= indexesMax) return;
    for (const oldest of this.#indexed) {
      this.#indexed.delete(oldest);
      oldest.forgetIndex();
      return;
    }
  }

  /** The first record of a segment, from `fromOffset` on, that is as late as `timestampMs`. Closes the segment. */
  async #search(
    { segment, index, handle }: OpenSegment,
    timestampMs: number,
    fromOffset: number,
  ): Promise<TimestampedOffset | undefined> {
    const { logStartOffset } = this.#log;
    try {
      const start = Math.max(fromOffset, logStartOffset);
      const fromPosition = positionIn(handle.fd, segment, index.positionBefore(start), start);
      let found: TimestampedOffset | undefined;
      await scanBatches(handle.fd, { fromPosition, toPosition: segment.bytes, checksCrc: false }, async (batch) => {
        if (batch.header.maxTimestampMs < timestampMs) return true;
        found = await firstAsLateAs(timestampMs, logStartOffset, batch);
        return found === undefined;
      });
      return found;
    } finally {
      handle.release();
    }
  }
}

/** Fills the buffer. */
async function readBytes(fd: number, position: number, buffer: Buffer): Promise<Buffer> {
  const bytes = buffer.length;
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await readFromFile(fd, buffer, filled, bytes - filled, position + filled).catch(
      (error: unknown) => {
        throw new KafkaError('KAFKA_STORAGE_ERROR', 'The log cannot be read.', { cause: error });
      },
    );
    if (bytesRead === 0) throw new KafkaError('KAFKA_STORAGE_ERROR', 'A segment is shorter than it was.');
    filled += bytesRead;
  }
  return buffer;
}

function damaged(segment: Segment, position: number): KafkaError {
  return new KafkaError('KAFKA_STORAGE_ERROR', `${segment.logPath} is damaged at byte ${position}.`);
}

/**
 * How far whole batches go in `records`: up to `bytesMax`, but for the first, and up to `limit`, an offset, when there is one. undefined:
 * they are no batches.
 */
function wholeBatches(
  records: Buffer,
  limit: number | undefined,
  bytesMax: number,
): { bytes: number; nextOffset: number } | undefined {
  let bytes = 0;
  let last = 0;
  while (bytes < records.length) {
    const announced = announcedBytes(records, bytes);
    if (announced === undefined || (bytes > 0 && bytes + announced > Math.min(records.length, bytesMax))) break;
    if (announced < batchHeaderBytes) return undefined;
    if (limit !== undefined && headerOf(records, bytes).lastOffset >= limit) break;
    last = bytes;
    bytes += announced;
  }
  return bytes === 0 ? undefined : { bytes, nextOffset: headerOf(records, last).lastOffset + 1 };
}

function headerOf(records: Buffer, at: number): BatchHeader {
  try {
    return readHeader(records, at);
  } catch (error) {
    throw new KafkaError('KAFKA_STORAGE_ERROR', 'A batch of the log is damaged.', { cause: error });
  }
}

/** Position of the batch that holds `offset`, or of the first one after it, from a batch on that is not behind it. */
function positionIn(fd: number, segment: Segment, fromPosition: number, offset: number): number {
  let position = fromPosition;
  let chunkStart = position;
  let chunkBytes = 0;
  while (position < segment.bytes) {
    if (position + batchHeaderBytes > chunkStart + chunkBytes) {
      chunkStart = position;
      chunkBytes = readSync(fd, stepBuffer, 0, stepBytes, position);
      if (chunkBytes < batchHeaderBytes) throw damaged(segment, position);
    }
    const at = position - chunkStart;
    const bytes = announcedBytes(stepBuffer, at)!;
    if (bytes < batchHeaderBytes) throw damaged(segment, position);
    if (lastOffsetOf(stepBuffer, at) >= offset) return position;
    position += bytes;
  }
  return position;
}

/** Of a batch of which only the header is in memory. */
function lastOffsetOf(buffer: Buffer, at: number): number {
  const baseOffset = buffer.readUInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
  return baseOffset + buffer.readInt32BE(at + lastOffsetDeltaAt);
}
const lastOffsetDeltaAt = 23;

async function firstAsLateAs(
  timestampMs: number,
  fromOffset: number,
  { header, buffer, at }: ScannedBatch,
): Promise<TimestampedOffset | undefined> {
  const { baseOffset, leaderEpoch } = header;
  const first = { offset: Math.max(baseOffset, fromOffset), timestampMs: header.maxTimestampMs, leaderEpoch };
  if (header.isLogAppendTime) return first;
  let found: TimestampedOffset | undefined;
  try {
    walkRecords(
      await recordBytes(buffer, at, header, unpackedBytesMax),
      header.count,
      ({ offsetDelta, timestampDelta }) => {
        const record = {
          offset: baseOffset + offsetDelta,
          timestampMs: header.baseTimestampMs + timestampDelta,
          leaderEpoch,
        };
        if (found === undefined && record.timestampMs >= timestampMs && record.offset >= fromOffset) found = record;
      },
    );
  } catch (error) {
    // Nobody has looked into the batch before; its header is all that is known.
    if (error instanceof CodecError || error instanceof WireError) return first;
    throw error;
  }
  return found;
}
