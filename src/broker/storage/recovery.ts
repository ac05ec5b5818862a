import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../kernel/logger.ts';
import { type ScannedBatch, scanBatches } from './batch-scan.ts';
import { finishSwap } from './compaction-swap.ts';
import { readMarker } from './control-batch.ts';
import {
  cleanedSuffix,
  deletedSuffix,
  indexSuffixes,
  leaderEpochsFile,
  logSuffix,
  offsetFileName,
  offsetInName,
  snapshotSuffix,
  swapSuffix,
} from './file-names.ts';
import { LeaderEpochs } from './leader-epochs.ts';
import { type Manifest, manifestFile, readManifest } from './manifest.ts';
import { ProducerStates } from './producer-state.ts';
import { readHandles } from './read-handles.ts';
import { Segment } from './segment.ts';

export interface RecoveryOptions {
  readonly folder: string;
  readonly indexIntervalBytes: () => number;
  readonly nowMs: number;
  readonly logger: Logger;
}

/** A log as it was found, ready to go on from. */
export interface RecoveredLog {
  /** At least one; the last one is the active one, and its index is in memory. */
  readonly segments: Segment[];
  readonly producers: ProducerStates;
  readonly epochs: LeaderEpochs;
  readonly logStartOffset: number;
  readonly cleanOffset: number;
  /** Offsets of the snapshots of the producers. */
  readonly snapshots: readonly number[];
}

/**
 * Finds out what a folder holds. Segments that are as the manifest says are believed. The rest, which is what was being written when
 * the process ended, is read batch by batch, and the log is cut in front of the first one whose length, CRC or offset is wrong.
 * Rejects with what the system says.
 */
export async function recover(options: RecoveryOptions): Promise<RecoveredLog> {
  return new Recovery(options).run();
}

class Recovery {
  readonly #options: RecoveryOptions;
  readonly #segments: Segment[] = [];
  #producers = new ProducerStates();
  #epochs = new LeaderEpochs();

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  async run(): Promise<RecoveredLog> {
    const { folder } = this.#options;
    await this.#removeLeftovers();
    const manifest = await readManifest(join(folder, manifestFile));
    const bases = offsetsOf(await readdir(folder), logSuffix);
    const trusted = await this.#trusted(manifest, bases);
    await this.#takeState(trusted, bases, manifest);
    await this.#scan(bases);
    const last = this.#segments.at(-1);
    const logStartOffset = Math.max(manifest?.logStartOffset ?? 0, this.#segments[0]?.baseOffset ?? 0);
    // Records that were deleted on demand are gone even when those after them were lost.
    if (last === undefined || last.nextOffset < logStartOffset) await this.#startOver(logStartOffset);
    else await last.loadIndex();
    this.#epochs.cutFrom(this.#segments.at(-1)!.nextOffset);
    await this.#removeOrphans();
    return {
      segments: this.#segments,
      producers: this.#producers,
      epochs: this.#epochs,
      logStartOffset,
      cleanOffset: manifest?.cleanOffset ?? 0,
      snapshots: offsetsOf(await readdir(folder), snapshotSuffix),
    };
  }

  async #removeLeftovers(): Promise<void> {
    const { folder } = this.#options;
    await finishSwap(folder);
    for (const name of await readdir(folder)) {
      if ([deletedSuffix, cleanedSuffix, swapSuffix, '.tmp'].some((suffix) => name.endsWith(suffix))) {
        await rm(join(folder, name));
      }
    }
  }

  /** Indexes of segments that are gone, and snapshots behind the end: a later offset could be taken for what they are about. */
  async #removeOrphans(): Promise<void> {
    const { folder } = this.#options;
    const bases = new Set(this.#segments.map(({ baseOffset }) => baseOffset));
    const endOffset = this.#segments.at(-1)!.nextOffset;
    for (const name of await readdir(folder)) {
      const indexed = indexSuffixes.map((suffix) => offsetInName(name, suffix)).find((base) => base !== undefined);
      const isOrphan =
        (indexed !== undefined && !bases.has(indexed)) || (offsetInName(name, snapshotSuffix) ?? 0) > endOffset;
      if (isOrphan) await rm(join(folder, name));
    }
  }

  /** The segments from the first on that are as the manifest says. */
  async #trusted(manifest: Manifest | undefined, bases: readonly number[]): Promise<Segment[]> {
    const { folder, indexIntervalBytes } = this.#options;
    const known = new Map(manifest?.segments.map((facts) => [facts.baseOffset, facts]));
    const trusted: Segment[] = [];
    for (const base of bases) {
      const facts = known.get(base);
      if (facts === undefined) return trusted;
      const { size } = await stat(join(folder, offsetFileName(base, logSuffix)));
      const segment =
        size === facts.bytes ? Segment.trusted(folder, facts, facts.checksums, indexIntervalBytes) : undefined;
      if (segment === undefined) return trusted;
      trusted.push(segment);
    }
    return trusted;
  }

  /**
   * Takes trusted segments as far as there is a snapshot of the producers behind them; what comes after is scanned, since the state is
   * made of the snapshot and of the batches that follow it.
   */
  async #takeState(
    trusted: readonly Segment[],
    bases: readonly number[],
    manifest: Manifest | undefined,
  ): Promise<void> {
    const { folder, nowMs } = this.#options;
    const epochs = LeaderEpochs.parse(await textOf(join(folder, leaderEpochsFile)));
    if (epochs === undefined) return;
    for (let count = trusted.length; count >= 0 && bases.length > 0; count -= 1) {
      const endOffset = bases[count] ?? trusted[count - 1]!.nextOffset;
      const path = join(folder, offsetFileName(endOffset, snapshotSuffix));
      const producers = ProducerStates.parse(await bytesOf(path), nowMs);
      if (producers === undefined) continue;
      this.#producers = producers;
      this.#epochs = epochs;
      // Epochs of what is scanned are found again there.
      this.#epochs.cutFrom(Math.max(endOffset, manifest?.logStartOffset ?? 0));
      this.#segments.push(...trusted.slice(0, count));
      return;
    }
  }

  async #scan(bases: readonly number[]): Promise<void> {
    const { folder, indexIntervalBytes, logger } = this.#options;
    for (const [index, base] of bases.entries()) {
      if (index < this.#segments.length) continue;
      const segment = new Segment(folder, base, indexIntervalBytes);
      const fault = await this.#scanSegment(segment, bases[index + 1] ?? Number.MAX_SAFE_INTEGER);
      this.#segments.push(segment);
      if (fault === undefined) continue;
      logger.warn({ folder, offset: segment.nextOffset, lostBytes: fault.lostBytes }, `the log is cut: ${fault.what}`);
      segment.truncateToNoted();
      for (const later of bases.slice(index + 1)) {
        logger.warn({ folder, baseOffset: later }, 'a segment behind the cut is removed');
        await rm(join(folder, offsetFileName(later, logSuffix)));
      }
      return;
    }
  }

  async #scanSegment(segment: Segment, endOffset: number): Promise<{ what: string; lostBytes: number } | undefined> {
    const { size } = await stat(segment.logPath);
    const handle = readHandles.acquire(segment);
    try {
      let misplaced: string | undefined;
      const range = { fromPosition: 0, toPosition: size, checksCrc: true };
      const { position, fault } = await scanBatches(handle.fd, range, (batch) => {
        const { baseOffset, lastOffset } = batch.header;
        const isInPlace = baseOffset >= segment.nextOffset && lastOffset < endOffset && segment.canHold(lastOffset);
        if (!isInPlace) misplaced = `a batch with offset ${baseOffset} out of order`;
        else this.#replay(segment, batch);
        return isInPlace;
      });
      const what = fault ?? misplaced;
      return what === undefined ? undefined : { what, lostBytes: size - position };
    } finally {
      handle.release();
    }
  }

  #replay(segment: Segment, { header, buffer, at }: ScannedBatch): void {
    const { nowMs } = this.#options;
    segment.note(header, Math.min(nowMs, header.maxTimestampMs < 0 ? nowMs : header.maxTimestampMs));
    this.#epochs.assign(header.leaderEpoch, header.baseOffset);
    if (header.producerId < 0) return;
    if (!header.isControl) {
      this.#producers.add(header, nowMs);
      return;
    }
    const marker = readMarker(buffer, at, header);
    if (marker === undefined) return;
    const { producerId, producerEpoch, lastOffset, maxTimestampMs } = header;
    const state = { producerId, producerEpoch, coordinatorEpoch: marker.coordinatorEpoch, timestampMs: maxTimestampMs };
    const completed = this.#producers.addMarker(state, lastOffset, nowMs);
    if (completed === undefined || marker.commit) return;
    segment.noteAborted({ ...completed, lastStableOffset: this.#producers.firstOpenOffset ?? lastOffset + 1 });
  }

  async #startOver(offset: number): Promise<void> {
    const { folder, indexIntervalBytes } = this.#options;
    for (const segment of this.#segments.splice(0)) {
      segment.release();
      await rm(segment.logPath);
    }
    const first = new Segment(folder, offset, indexIntervalBytes);
    first.create();
    this.#segments.push(first);
  }
}

function offsetsOf(names: readonly string[], suffix: string): number[] {
  return names
    .map((name) => offsetInName(name, suffix))
    .filter((offset) => offset !== undefined)
    .sort((one, other) => one - other);
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

async function textOf(path: string): Promise<string> {
  return (await bytesOf(path)).toString();
}
