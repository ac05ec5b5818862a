import type { NewRecord } from '../protocol/record-batch.ts';

/** A topic of the broker's own, of one partition, in which a coordinator keeps its state so that a restart finds it again. */
export interface StateLog {
  /**
   * Appends the records as one batch, in the order of the calls: when it returns they are in the log, when the promise resolves they
   * are as durable as the broker was told to make them. With a producer the batch is part of its transaction, to be completed by a
   * marker. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR.
   */
  append(records: readonly NewRecord[], producer?: StateProducer): Promise<void>;
  /** Visits all that the log holds, in order. Markers come as Kafka writes them, so that pending offsets can be applied by them. */
  replay(visit: (entry: StateEntry) => void): Promise<void>;
}

export interface StateProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export type StateEntry =
  | {
      readonly kind: 'record';
      readonly key: Buffer | null;
      readonly value: Buffer | null;
      readonly timestampMs: number;
      /** Of the transaction that the record is part of; undefined: of none. */
      readonly transaction: StateProducer | undefined;
    }
  | { readonly kind: 'marker'; readonly producer: StateProducer; readonly commit: boolean };
