import { offsetsTopic } from '../topics/topic-name.ts';
import type { ProducerIdentity, TopicPartition } from './transaction-state.ts';

/** Ends a producer's transaction in a partition. */
export interface Marker extends ProducerIdentity {
  readonly coordinatorEpoch: number;
  readonly commit: boolean;
}

/** The partitions that transactions write to, as far as the coordinator has to do with them. */
export interface TransactionTargets {
  /**
   * Resolves when the marker is as durable as the broker was told to make it. A partition that is no longer there needs none:
   * resolves, and nothing happens. Rejects with a `KafkaError` INVALID_PRODUCER_EPOCH where the partition knows a later epoch of the
   * producer; with any other error when the marker could not be written, and has to come again.
   */
  writeMarker(topic: string, partition: number, marker: Marker): Promise<void>;
  hasPartition(topic: string, partition: number): boolean;
}

/** What DescribeProducers tells of a producer that has written to a partition. */
export interface ActiveProducer extends ProducerIdentity {
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  /** Of the last marker; -1: there was none. */
  readonly coordinatorEpoch: number;
  /** First offset of the open transaction; -1: none is open. */
  readonly currentTxnStartOffset: number;
}

/** Where the offsets of all groups are: a group that a transaction commits offsets for has this partition take part in it. */
export const offsetsPartition: TopicPartition = { topic: offsetsTopic, partition: 0 };
