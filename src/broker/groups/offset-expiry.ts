import type { Group } from './group.ts';
import type { CommittedOffset } from './offset-table.ts';

interface Candidate {
  readonly group: Group;
  readonly topic: string;
  readonly committed: CommittedOffset;
  /** Since when the group has had no members; undefined: it is not known, or it has some. */
  readonly emptySinceMs: number | undefined;
}

/**
 * Whether nobody has used an offset for as long as offsets are kept (KIP-211). Of a group without members the time counts from when
 * the last one went, so that a group that commits seldom does not lose its place while it works; of a stable group of consumers, for
 * topics that none of them subscribes to any more, from the commit; so too where offsets are committed without any members.
 */
export function isExpired(
  { group, topic, committed, emptySinceMs }: Candidate,
  { nowMs, offsetsRetentionMs }: { nowMs: number; offsetsRetentionMs: number },
): boolean {
  if (group.isSubscribedTo(topic)) return false;
  const isAbandoned = group.state === 'Empty';
  if (!isAbandoned && !(group.state === 'Stable' && group.isOfConsumers)) return false;
  if (committed.expiresAtMs !== undefined) return nowMs >= committed.expiresAtMs;
  const sinceMs = isAbandoned ? (emptySinceMs ?? committed.committedAtMs) : committed.committedAtMs;
  return nowMs - sinceMs >= offsetsRetentionMs;
}
