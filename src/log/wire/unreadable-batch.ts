/**
 * - `crc`: the bytes are not those that were written.
 * - `format`: they are no record batch, or its records are not what its header says.
 * - `old_format`: messages of format 0 or 1, which Kafka wrote before 0.11.
 * - `codec`: they do not unpack.
 * - `too_large`: they unpack to more than is allowed.
 * - `broker`: the broker itself says that it cannot read them.
 */
export const unreadableReasons = ['crc', 'format', 'old_format', 'codec', 'too_large', 'broker'] as const;
export type UnreadableReason = (typeof unreadableReasons)[number];

const advice: Record<UnreadableReason, string> = {
  crc: 'unless it is sound the next time: then it was the network, and else the broker’s disk',
  format: 'and kafka-dump-log.sh --deep-iteration shows what the broker has',
  old_format: 'unless the node is started with LOG_READER=kafkajs, or the topic is copied to a new one',
  codec: 'and kafka-dump-log.sh --deep-iteration shows what the broker has',
  too_large: 'until kafka-delete-records.sh has moved the start of the partition past it',
  broker: 'and the broker’s own log tells more',
};

/** A batch that cannot be applied. It is fetched again and never skipped: what it holds may be the last value of a key. */
export class UnreadableBatchError extends Error {
  readonly reason: UnreadableReason;
  readonly topic: string;
  readonly partition: number;
  /** Of the batch, as far as can be told. */
  readonly offset: number;

  constructor(
    reason: UnreadableReason,
    place: { readonly topic: string; readonly partition: number; readonly offset: number },
    detail: string,
    options?: { cause?: unknown },
  ) {
    const { topic, partition, offset } = place;
    super(
      `the batch at offset ${offset} of partition ${partition} of topic "${topic}" cannot be read: ${detail}; ` +
        `nothing after it is applied, ${advice[reason]}`,
      options,
    );
    this.name = 'UnreadableBatchError';
    this.reason = reason;
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
  }
}
