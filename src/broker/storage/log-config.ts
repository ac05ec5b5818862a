/** Settings of a partition's log, in the meaning of Kafka's topic settings (https://kafka.apache.org/documentation/#topicconfigs). */
export interface LogConfig {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  /** -1: for ever. */
  readonly retentionMs: number;
  /** -1: any size. */
  readonly retentionBytes: number;
  readonly maxMessageBytes: number;
  readonly cleanupPolicy: { readonly compact: boolean; readonly delete: boolean };
  readonly deleteRetentionMs: number;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
  readonly minCleanableDirtyRatio: number;
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime';
  readonly indexIntervalBytes: number;
}

/** When appended data is forced to the disk: never but by the system, at intervals, or before each acknowledgement. */
export type FlushPolicy = 'none' | 'acks-all' | { readonly intervalMs: number };
