import type { GroupTimes } from './group.ts';

export interface GroupSettings extends GroupTimes {
  /** Bounds of what a member may ask for. */
  readonly sessionTimeoutMinMs: number;
  readonly sessionTimeoutMaxMs: number;
  /** How long offsets are kept that nobody uses (KIP-211). */
  readonly offsetsRetentionMs: number;
  /** How often it is looked for such offsets. */
  readonly offsetsRetentionCheckMs: number;
  /** Length of what a client may keep with an offset. */
  readonly offsetMetadataCharactersMax: number;
}

const minuteMs = 60_000;

/**
 * Kafka's defaults (https://kafka.apache.org/documentation/#brokerconfigs), but for the first: its 3 s are there to spare a large
 * cluster of consumers the rebalances while it is started, and would be most of what a test or a laptop waits for.
 */
export const defaultGroupSettings: GroupSettings = {
  initialRebalanceDelayMs: 0,
  newMemberJoinTimeoutMs: 5 * minuteMs,
  sessionTimeoutMinMs: 6_000,
  sessionTimeoutMaxMs: 30 * minuteMs,
  offsetsRetentionMs: 7 * 24 * 60 * minuteMs,
  offsetsRetentionCheckMs: 10 * minuteMs,
  offsetMetadataCharactersMax: 4_096,
};
