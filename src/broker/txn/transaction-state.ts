/** Where a transactional id stands: names as DescribeTransactions gives them, numbers as `__transaction_state` keeps them. */
export const transactionStatuses = {
  /** A producer has the id and has begun nothing since. */
  Empty: 0,
  Ongoing: 1,
  /** The outcome is decided for good, and the markers are on their way to the partitions. */
  PrepareCommit: 2,
  PrepareAbort: 3,
  /** Every partition has its marker. */
  CompleteCommit: 4,
  CompleteAbort: 5,
} as const;

export type TransactionStatus = keyof typeof transactionStatuses;

/** Partitions by topic, in the order in which they were added. */
export type PartitionSet = ReadonlyMap<string, ReadonlySet<number>>;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** All that is known of a transactional id. A new state takes the place of the old one as a whole. */
export interface TransactionState extends ProducerIdentity {
  readonly status: TransactionStatus;
  /**
   * Who the producer was before it last asked for an epoch, so that the repetition of that request is known for one (KIP-360).
   * Kafka's format has no place for them: after a restart the repetition is fenced, there as here. -1: nobody, or not known.
   */
  readonly previousProducerId: number;
  readonly lastProducerEpoch: number;
  readonly timeoutMs: number;
  readonly partitions: PartitionSet;
  /** When the first partition was added; -1: no transaction was begun since the producer came. */
  readonly startedMs: number;
  readonly updatedMs: number;
}

export const noPartitions: PartitionSet = new Map();

export function holdsPartition(partitions: PartitionSet, { topic, partition }: TopicPartition): boolean {
  return partitions.get(topic)?.has(partition) ?? false;
}

export function withPartitions(partitions: PartitionSet, added: readonly TopicPartition[]): PartitionSet {
  const union = new Map(Array.from(partitions, ([topic, numbers]) => [topic, new Set(numbers)]));
  for (const { topic, partition } of added) {
    const numbers = union.get(topic);
    if (numbers === undefined) union.set(topic, new Set([partition]));
    else numbers.add(partition);
  }
  return union;
}

export function listPartitions(partitions: PartitionSet): TopicPartition[] {
  return Array.from(partitions, ([topic, numbers]) =>
    Array.from(numbers, (partition) => ({ topic, partition })),
  ).flat();
}
