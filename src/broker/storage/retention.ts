import type { LogConfig } from './log-config.ts';
import type { SegmentFacts } from './segment.ts';

export interface RetentionLimits {
  readonly config: LogConfig;
  readonly logStartOffset: number;
  readonly nowMs: number;
}

/** The time by which a segment grows old: of its latest record, or of the last append where records have no time. */
export function lateness({
  maxTimestampMs,
  lastAppendMs,
}: Pick<SegmentFacts, 'maxTimestampMs' | 'lastAppendMs'>): number {
  return maxTimestampMs >= 0 ? maxTimestampMs : lastAppendMs;
}

/** How many segments, from the oldest on, may go: each for one of the reasons, up to the first for which there is none. */
export function expiredCount(
  segments: readonly SegmentFacts[],
  { config, logStartOffset, nowMs }: RetentionLimits,
): number {
  const { cleanupPolicy, retentionMs, retentionBytes } = config;
  let bytesOver = segments.reduce((sum, { bytes }) => sum + bytes, 0) - retentionBytes;
  const isExpired = (segment: SegmentFacts, index: number): boolean => {
    const next = segments[index + 1];
    if (next !== undefined && next.baseOffset <= logStartOffset) return true;
    if (!cleanupPolicy.delete || (next === undefined && segment.bytes === 0)) return false;
    if (retentionMs >= 0 && nowMs - lateness(segment) > retentionMs) return true;
    return retentionBytes >= 0 && bytesOver >= segment.bytes;
  };
  const kept = segments.findIndex((segment, index) => {
    if (!isExpired(segment, index)) return true;
    bytesOver -= segment.bytes;
    return false;
  });
  return kept < 0 ? segments.length : kept;
}
