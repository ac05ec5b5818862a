import type { PartitionEnds, TopicDescription } from '../log/log.ts';
import type { SnapshotHeader, SnapshotSummary } from '../snapshot/snapshot-format.ts';
import { entryLayoutVersion } from '../store/entry-layout.ts';

/** Of the retention of tombstones, for clocks that differ and for the time that reading on takes. */
const marginPart = 0.1;
const marginMsMin = 60_000;

export interface NodeNow {
  readonly description: TopicDescription;
  readonly ends: readonly PartitionEnds[];
  readonly partitioner: string;
  /** Whether the store keeps its keys in order. */
  readonly ordered: boolean;
  readonly nowMs: number;
}

export interface Refusal {
  readonly code: 'no_topic_id' | 'absent' | 'unsound' | 'other_topic' | 'other_settings' | 'not_in_log' | 'too_old';
  /** For a person. */
  readonly reason: string;
}

/**
 * Whether what a snapshot holds, and the log from its positions on, make what the whole log makes. Undefined: yes. That records
 * below what is known are still those that were read, the reader finds out by their leader epoch.
 */
export function refusalOf(header: SnapshotHeader, summary: SnapshotSummary, now: NodeNow): Refusal | undefined {
  const { description, ends, partitioner, ordered, nowMs } = now;
  const { topic, topicId, clusterId, partitions, deleteRetentionMs } = description;
  if (topicId === undefined) {
    return { code: 'no_topic_id', reason: 'the log does not tell the topic’s id (LOG_READER=direct does)' };
  }
  const differs = (code: Refusal['code'], what: string, then: unknown, found: unknown): Refusal | undefined =>
    then === found ? undefined : { code, reason: `the snapshot is of ${what} ${then}, and now it is ${found}` };
  const difference =
    differs('other_topic', 'topic', header.topic, topic) ??
    differs('other_topic', 'cluster', header.clusterId, clusterId) ??
    differs('other_topic', 'topic id', header.topicId, topicId) ??
    differs('other_topic', 'a number of partitions of', header.positions.length, partitions) ??
    differs('other_settings', 'entry layout', header.entryLayout, entryLayoutVersion) ??
    differs('other_settings', 'PARTITIONER', header.partitioner, partitioner) ??
    differs('other_settings', 'ORDERED_INDEX', onOff(header.ordered), onOff(ordered));
  if (difference !== undefined) return difference;
  let isWritten = false;
  for (const { partition, earliest, end } of ends) {
    const position = header.positions[partition];
    const knownTo = summary.knownTo[partition];
    const logStart = header.logStarts[partition];
    // A compacted log keeps its beginning. One that has moved means that records were dropped, as other settings do it.
    if (logStart !== earliest) {
      const reason = `partition ${partition} began at offset ${logStart} when the snapshot was made, and now at ${earliest}`;
      return { code: 'not_in_log', reason };
    }
    if (position === undefined || knownTo === undefined || position < earliest || knownTo < position || knownTo > end) {
      const reason = `the snapshot goes to offset ${knownTo} of partition ${partition} and is read on from ${position}, and the log has ${earliest} to ${end}`;
      return { code: 'not_in_log', reason };
    }
    if (end > position) isWritten = true;
  }
  // Where nothing has been written since, no tombstone can have come and gone.
  if (!isWritten) return undefined;
  const ageMs = nowMs - header.caughtUpAtMs;
  if (ageMs < 0) return { code: 'too_old', reason: 'the snapshot is from the future: a clock was set back' };
  // Kafka dates a tombstone's end when it first compacts it, by the setting of that time, which may have been raised since.
  const retentionMs = Math.min(deleteRetentionMs, header.deleteRetentionMs);
  const ageMsMax = retentionMs - Math.max(marginMsMin, retentionMs * marginPart);
  if (ageMs < ageMsMax) return undefined;
  const reason =
    `the snapshot had all that the log held ${Math.round(ageMs / 1000)} s ago, and tombstones written since may be gone: ` +
    `delete.retention.ms is or was ${retentionMs}, less a margin`;
  return { code: 'too_old', reason };
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}
