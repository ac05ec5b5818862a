import { statfs } from 'node:fs/promises';
import type { Logger } from '../../kernel/logger.ts';
import type { LogConfig } from './log-config.ts';
import type { DeletedSegments } from './log-contract.ts';
import { lateness } from './retention.ts';
import type { SegmentFacts } from './segment.ts';

/** Of a log, what matters when room is to be made. */
export interface DeletableLog {
  readonly config: Pick<LogConfig, 'cleanupPolicy'>;
  readonly closedSegments: readonly SegmentFacts[];
  /** Nothing is deleted of a log that is closed or broken. */
  readonly isWritable: boolean;
  dropOldestSegment(): Promise<DeletedSegments>;
}

export interface DiskRetentionOptions {
  /** A folder of the file system in question. */
  readonly folder: string;
  readonly logs: readonly DeletableLog[];
  readonly usedPercentMax: number;
  readonly logger: Logger;
}

/**
 * Deletes the oldest segments of topics whose `cleanup.policy` names delete until the file system is no fuller than it may be, whoever
 * has filled it. Active segments stay, and so do topics that are only compacted: what is left of those is the data. Rejects with what
 * the system says.
 */
export async function freeDisk({ folder, logs, usedPercentMax, logger }: DiskRetentionOptions): Promise<void> {
  const { bsize, blocks, bfree, bavail } = await statfs(folder);
  const usedBytes = (blocks - bfree) * bsize;
  // What only the administrator could use does not count, as in `df`.
  const excessBytes = usedBytes - ((usedBytes + bavail * bsize) * usedPercentMax) / 100;
  const oldest = oldestSegments(logs, excessBytes);
  let freedBytes = 0;
  let segments = 0;
  for (const log of oldest) {
    // Its topic may have been deleted since the list was made.
    if (!log.isWritable) continue;
    try {
      const deleted = await log.dropOldestSegment();
      freedBytes += deleted.bytes;
      segments += deleted.segments;
    } catch (error) {
      logger.warn({ err: error }, 'a segment that was to make room cannot be deleted');
    }
  }
  if (segments === 0) return;
  logger.warn({ segments, freedBytes, usedPercentMax }, 'the disk is too full: the oldest segments are deleted');
}

/** The logs to drop a segment from, in order and as often as they are named, to get rid of at least `excessBytes` if that can be. */
export function oldestSegments<Log extends Omit<DeletableLog, 'dropOldestSegment'>>(
  logs: readonly Log[],
  excessBytes: number,
): Log[] {
  const candidates = logs
    .filter(({ config, isWritable }) => config.cleanupPolicy.delete && isWritable)
    .flatMap((log) => inOrder(log.closedSegments).map(({ bytes, atMs }) => ({ log, bytes, atMs })))
    .sort((one, other) => one.atMs - other.atMs);
  const chosen: Log[] = [];
  let bytes = 0;
  for (const candidate of candidates) {
    if (bytes >= excessBytes) break;
    chosen.push(candidate.log);
    bytes += candidate.bytes;
  }
  return chosen;
}

/** Segments with times that never go back: a log loses its first segment first, however late the records in it are. */
function inOrder(segments: readonly SegmentFacts[]): { bytes: number; atMs: number }[] {
  let atMs = Number.NEGATIVE_INFINITY;
  return segments.map((segment) => {
    atMs = Math.max(atMs, lateness(segment));
    return { bytes: segment.bytes, atMs };
  });
}
