import { type KafkaErrorName, kafkaErrors } from '../../../protocol/errors.ts';
import { describeProducersRequest, describeProducersResponse } from '../../../protocol/messages/describe-producers.ts';
import { type Handler, handler } from '../../server/handler.ts';
import { isTopicName } from '../../topics/topic-name.ts';
import type { ActiveProducer } from '../../txn/transaction-targets.ts';

/** The producers that a partition remembers; undefined: there is no such partition. */
export type ProducersOf = (topic: string, partition: number) => readonly ActiveProducer[] | undefined;

/** DescribeProducers, version 0: who writes to a partition, and where open transactions begin (KIP-664). */
export function describeProducers(producersOf: ProducersOf): Handler {
  return handler({
    request: describeProducersRequest,
    response: describeProducersResponse,
    handle: (_context, { topics }) => ({
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => {
          if (!isTopicName(name))
            return failed(partitionIndex, 'INVALID_TOPIC_EXCEPTION', 'That is no name of a topic.');
          const producers = producersOf(name, partitionIndex);
          return producers === undefined
            ? failed(partitionIndex, 'UNKNOWN_TOPIC_OR_PARTITION', 'There is no such partition.')
            : described(partitionIndex, producers);
        }),
      })),
    }),
    failure: (errorCode, errorMessage, { topics }) => ({
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode, errorMessage })),
      })),
    }),
  });
}

function described(partitionIndex: number, producers: readonly ActiveProducer[]) {
  return {
    partitionIndex,
    activeProducers: producers.map(({ lastTimestampMs, ...producer }) => ({
      ...producer,
      lastTimestamp: lastTimestampMs,
    })),
  };
}

function failed(partitionIndex: number, error: KafkaErrorName, errorMessage: string) {
  return { partitionIndex, errorCode: kafkaErrors[error].code, errorMessage };
}
