import { rm } from 'node:fs/promises';
import { CodecError } from '../../protocol/codecs.ts';
import { type BatchHeader, batchHeaderBytes, recordBytes, walkRecords } from '../../protocol/record-batch.ts';
import { WireError } from '../../protocol/wire.ts';
import type { AbortedTransaction } from './aborted-transactions.ts';
import { type ScannedBatch, scanBatches } from './batch-scan.ts';
import { CompactionOutput } from './compaction-output.ts';
import { swapSegments } from './compaction-swap.ts';
import { readMarker } from './control-batch.ts';
import type { LogConfig } from './log-config.ts';
import { OffsetMap } from './offset-map.ts';
import type { ProducerStates } from './producer-state.ts';
import { readHandles } from './read-handles.ts';
import { emptied, rewritten } from './record-rewrite.ts';
import { lateness } from './retention.ts';
import type { Segment } from './segment.ts';
import { TransactionFilter } from './transaction-filter.ts';

/** Of the log that is compacted. */
export interface CompactionJob {
  readonly folder: string;
  /** Segments that take no more appends, as they are now. */
  readonly segments: () => readonly Segment[];
  /** Of the whole log, since a transaction may end in the active segment that has its records before. */
  readonly aborted: () => readonly AbortedTransaction[];
  readonly limits: DirtyLimits;
  readonly config: LogConfig;
  readonly producers: ProducerStates;
  readonly isStopping: () => boolean;
  /** Has the log go on with what `swap` answers instead of `old`, all in one turn. */
  readonly replace: (old: readonly Segment[], swap: () => Swapped) => void;
  /** Everything before `offset` is compacted. */
  readonly noteClean: (offset: number) => void;
}

export interface Swapped {
  readonly segments: readonly Segment[];
  /** Files to be unlinked. */
  readonly left: readonly string[];
}

export interface CompactionResult {
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export interface DirtyLimits {
  /** Everything before was compacted already. */
  readonly cleanOffset: number;
  /** Nothing from here on is touched: the last stable offset. */
  readonly endOffset: number;
  readonly nowMs: number;
  /** `min.compaction.lag.ms` */
  readonly lagMs: number;
}

/** What the map of keys may take; with more keys the log is compacted piece by piece. */
const mapBytesMax = 32 * 1024 * 1024;
/** Batches that hold more stay as they are. */
const unpackedBytesMax = 64 * 1024 * 1024;
/** Positions in the index have 31 bits, and batches grow when they are rewritten uncompressed. */
const positionMax = 0x7fff_ffff;

/** Those of `segments`, which take no more appends, that have something to compact. */
export function dirtySegments(segments: readonly Segment[], limits: DirtyLimits): readonly Segment[] {
  const end = segments.findIndex((segment) => {
    const isTooYoung = limits.lagMs > 0 && limits.nowMs - lateness(segment) < limits.lagMs;
    return segment.nextOffset > limits.endOffset || isTooYoung;
  });
  const old = end < 0 ? segments : segments.slice(0, end);
  return old.filter(({ nextOffset, bytes }) => bytes > 0 && nextOffset > limits.cleanOffset);
}

/**
 * Compaction as Kafka does it (https://kafka.apache.org/documentation/#design_compactionbasics): the last offset of each key in what is
 * new, then everything up to there is written anew without the records that have a later one. Offsets stay. A tombstone, or the marker
 * of a transaction of which nothing is left, gets the time from which it may go when it is first met, and goes after it (KIP-534). Data
 * of aborted transactions goes at once. The last batch of each producer stays, without records if need be, because its sequences are
 * found there again; so does the last batch of the range. Between pieces of a few hundred kilobytes others get their turn.
 */
export async function compactSegments(job: CompactionJob): Promise<CompactionResult> {
  let bytesBefore = 0;
  let bytesAfter = 0;
  let { cleanOffset } = job.limits;
  for (;;) {
    const dirty = dirtySegments(job.segments(), { ...job.limits, cleanOffset });
    const last = dirty.at(-1);
    if (last === undefined) return { bytesBefore, bytesAfter };
    const { map, endOffset } = await mapOf(job, dirty, cleanOffset);
    if (job.isStopping()) return { bytesBefore, bytesAfter };
    const pass = new CleaningPass(job, map, endOffset);
    for (const group of groupsOf(
      job.segments().filter(({ baseOffset }) => baseOffset < endOffset),
      job.config,
    )) {
      const cleaned = await pass.clean(group);
      if (cleaned === undefined) return { bytesBefore, bytesAfter };
      bytesBefore += cleaned.bytesBefore;
      bytesAfter += cleaned.bytesAfter;
    }
    cleanOffset = endOffset;
    job.noteClean(cleanOffset);
  }
}

/** Neighbours that fit into one segment together. */
function groupsOf(segments: readonly Segment[], { segmentBytes }: LogConfig): Segment[][] {
  const groups: Segment[][] = [];
  let bytes = 0;
  for (const segment of segments) {
    const group = groups.at(-1);
    const fits = group !== undefined && bytes + segment.bytes <= segmentBytes && group[0]!.canHold(segment.nextOffset);
    if (fits) {
      group.push(segment);
      bytes += segment.bytes;
    } else {
      groups.push([segment]);
      bytes = segment.bytes;
    }
  }
  return groups;
}

/** The last offset of each key from `fromOffset` on, and where the map ends: at the last segment's end unless it was full before. */
async function mapOf(
  job: CompactionJob,
  dirty: readonly Segment[],
  fromOffset: number,
): Promise<{ map: OffsetMap; endOffset: number }> {
  const map = new OffsetMap(mapBytesMax);
  const filter = new TransactionFilter(job.aborted().filter(({ lastOffset }) => lastOffset >= fromOffset));
  let endOffset = fromOffset;
  for (const segment of dirty) {
    await scanSegment(segment, async (batch) => {
      const { header } = batch;
      if (job.isStopping() || map.isFull) return false;
      endOffset = Math.max(endOffset, header.lastOffset + 1);
      if (header.lastOffset < fromOffset) return true;
      if (header.isControl) noteMarker(filter, batch);
      else if (!filter.isAborted(header)) await addKeys(map, batch);
      return true;
    });
    if (map.isFull) return { map, endOffset };
    endOffset = Math.max(endOffset, segment.nextOffset);
  }
  return { map, endOffset };
}

async function addKeys(map: OffsetMap, { header, buffer, at }: ScannedBatch): Promise<void> {
  const bytes = await unpacked(buffer, at, header);
  if (bytes === undefined) return;
  walkRecords(bytes, header.count, ({ keyStart, keyLength, offsetDelta }) => {
    if (keyLength >= 0) map.put(bytes, keyStart, keyLength, header.baseOffset + offsetDelta);
  });
}

/** Records of a batch; undefined when they cannot be read: then the batch stays as it is. */
async function unpacked(buffer: Buffer, at: number, header: BatchHeader): Promise<Buffer | undefined> {
  try {
    const bytes = await recordBytes(buffer, at, header, unpackedBytesMax);
    walkRecords(bytes, header.count, () => undefined);
    return bytes;
  } catch (error) {
    if (error instanceof CodecError || error instanceof WireError) return undefined;
    throw error;
  }
}

/** As `rewritten`; undefined when records have times beyond what a batch can be written with: then it stays as it is. */
function writtenAnew(...batch: Parameters<typeof rewritten>): Buffer | undefined {
  try {
    return rewritten(...batch);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function noteMarker(filter: TransactionFilter, { header, buffer, at }: ScannedBatch): void {
  const marker = readMarker(buffer, at, header);
  if (marker !== undefined) filter.marker(header, marker.commit);
}

async function scanSegment(segment: Segment, visit: (batch: ScannedBatch) => unknown): Promise<void> {
  const handle = readHandles.acquire(segment);
  try {
    const range = { fromPosition: 0, toPosition: segment.bytes, checksCrc: true };
    const { fault, position } = await scanBatches(handle.fd, range, visit);
    if (fault !== undefined) throw new Error(`${segment.logPath} is damaged at byte ${position}: ${fault}`);
  } finally {
    handle.release();
  }
}

/** One writing over of everything up to the end of the map. */
class CleaningPass {
  readonly #job: CompactionJob;
  readonly #map: OffsetMap;
  readonly #endOffset: number;
  readonly #filter: TransactionFilter;

  constructor(job: CompactionJob, map: OffsetMap, endOffset: number) {
    this.#job = job;
    this.#map = map;
    this.#endOffset = endOffset;
    this.#filter = new TransactionFilter(job.aborted());
  }

  /** Puts what is left of `old` in its place; undefined: the log is being closed, and nothing was changed. */
  async clean(old: readonly Segment[]): Promise<CompactionResult | undefined> {
    const { folder, config, replace } = this.#job;
    const output = new CompactionOutput(folder, old[0]!.baseOffset, {
      segmentBytesMax: Math.min(config.segmentBytes, positionMax),
      indexIntervalBytes: () => config.indexIntervalBytes,
    });
    const isWhole = await this.#write(old, output).catch(async (error: unknown) => {
      await this.#discard(output);
      throw error;
    });
    if (!isWhole) {
      await this.#discard(output);
      return undefined;
    }
    const bytesBefore = old.reduce((sum, { bytes }) => sum + bytes, 0);
    if (old.length === 1 && output.isUnchanged) {
      await this.#discard(output);
      return { bytesBefore, bytesAfter: bytesBefore };
    }
    const { segments } = output;
    let hasBegun = false;
    try {
      replace(old, () => {
        hasBegun = true;
        return { segments, left: swapSegments(segments, old) };
      });
    } catch (error) {
      // The next attempt makes files of the same names. Once names have changed, the next start sees to them.
      if (!hasBegun) await this.#discard(output);
      throw error;
    }
    return { bytesBefore, bytesAfter: segments.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  /** Answers false when the log is being closed. */
  async #write(old: readonly Segment[], output: CompactionOutput): Promise<boolean> {
    const { isStopping } = this.#job;
    for (const segment of old) {
      await scanSegment(segment, async (batch) => {
        if (!isStopping()) await this.#cleanBatch(batch, output);
        return !isStopping();
      });
      if (isStopping()) return false;
    }
    await output.finish({ firstAppendMs: old[0]!.firstAppendMs, lastAppendMs: old.at(-1)!.lastAppendMs });
    return !isStopping();
  }

  async #discard(output: CompactionOutput): Promise<void> {
    for (const path of output.discard()) await rm(path, { force: true });
  }

  async #cleanBatch(batch: ScannedBatch, output: CompactionOutput): Promise<void> {
    const { header } = batch;
    if (header.isControl) this.#cleanMarker(batch, output);
    else if (this.#filter.isAborted(header) || header.count === 0) this.#remove(header, output);
    else await this.#cleanRecords(batch, output);
  }

  #cleanMarker(batch: ScannedBatch, output: CompactionOutput): void {
    const { header, buffer, at } = batch;
    const marker = readMarker(buffer, at, header);
    if (marker === undefined) {
      if (header.count === 0) this.#remove(header, output);
      else output.keep(batch);
      return;
    }
    const { canGo, aborted } = this.#filter.marker(header, marker.commit);
    if (canGo && this.#isPastHorizon(header)) this.#remove(header, output);
    else if (canGo && !header.hasDeleteHorizon) {
      const records = buffer.subarray(at + batchHeaderBytes, at + header.bytes);
      output.rewrite(rewritten(header, records, () => true, this.#newHorizonMs()));
    } else output.keep(batch);
    if (aborted !== undefined) output.noteAborted(aborted);
  }

  async #cleanRecords(batch: ScannedBatch, output: CompactionOutput): Promise<void> {
    const { header, buffer, at } = batch;
    const bytes = await unpacked(buffer, at, header);
    if (bytes === undefined) {
      output.keep(batch);
      return;
    }
    const isKept: boolean[] = [];
    let kept = 0;
    let tombstones = 0;
    walkRecords(bytes, header.count, ({ keyStart, keyLength, valueLength, offsetDelta }) => {
      const isLatest = keyLength >= 0 && this.#map.get(bytes, keyStart, keyLength) <= header.baseOffset + offsetDelta;
      const isTombstone = valueLength < 0;
      const stays = isLatest && !(isTombstone && this.#isPastHorizon(header));
      isKept.push(stays);
      if (stays) kept += 1;
      if (stays && isTombstone) tombstones += 1;
    });
    const needsHorizon = tombstones > 0 && !header.hasDeleteHorizon;
    if (kept === 0) this.#remove(header, output);
    else if (kept === header.count && !needsHorizon) output.keep(batch);
    else {
      const oldHorizonMs = header.hasDeleteHorizon ? header.baseTimestampMs : undefined;
      const horizonMs = needsHorizon ? this.#newHorizonMs() : oldHorizonMs;
      const rewrite = writtenAnew(header, bytes, (index) => isKept[index]!, horizonMs);
      if (rewrite === undefined) output.keep(batch);
      else output.rewrite(rewrite);
    }
  }

  /** Nothing of the records stays; the batch itself does where its offsets or sequences are needed. */
  #remove(header: BatchHeader, output: CompactionOutput): void {
    const isNeeded =
      header.lastOffset + 1 === this.#endOffset || (header.producerId >= 0 && this.#job.producers.isLastOf(header));
    if (isNeeded) output.rewrite(emptied(header));
    else output.drop();
  }

  #isPastHorizon({ hasDeleteHorizon, baseTimestampMs }: BatchHeader): boolean {
    return hasDeleteHorizon && baseTimestampMs <= this.#job.limits.nowMs;
  }

  #newHorizonMs(): number {
    return this.#job.limits.nowMs + this.#job.config.deleteRetentionMs;
  }
}
