export interface AppendOptions {
  readonly leaderEpoch: number;
  /** A coordinator's batches are the broker's own: they have no sequences, and are taken as they are. */
  readonly origin: 'client' | 'coordinator';
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

export interface DeletedSegments {
  readonly segments: number;
  readonly bytes: number;
}
