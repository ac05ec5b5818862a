import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { FlushPolicy, LogConfig } from './log-config.ts';
import type { ReadHandles } from './read-handles.ts';

export type { FlushPolicy, LogConfig } from './log-config.ts';

export interface PartitionLogOptions {
  /** Of this partition alone; made when it is not there. */
  readonly folder: string;
  readonly config: LogConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly flush: FlushPolicy;
  /** Shared by the logs of a broker: the bound on open files. */
  readonly handles: ReadHandles;
}

export interface Appended {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** -1: the records keep their producer's time. */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
  /** The batch was there already: the offsets are those of the first time. */
  readonly isDuplicate: boolean;
}

export interface Marker {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly commit: boolean;
  readonly leaderEpoch: number;
}

export interface ReadOptions {
  readonly maxBytes: number;
  /** The first batch goes out even when it alone is over `maxBytes`. */
  readonly minOneBatch: boolean;
  readonly isolation: 'read_uncommitted' | 'read_committed';
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

export interface ActiveProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1: none since the epoch began. */
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  /** -1: no marker yet. */
  readonly coordinatorEpoch: number;
  /** -1: no transaction is open. */
  readonly currentTxnStartOffset: number;
}
