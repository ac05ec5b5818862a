import { type KafkaErrorName, kafkaErrors } from '../../../protocol/errors.ts';
import {
  addPartitionsToTxnRequest,
  addPartitionsToTxnResponse,
} from '../../../protocol/messages/add-partitions-to-txn.ts';
import type { MessageValue } from '../../../protocol/schema.ts';
import { type Handler, handler } from '../../server/handler.ts';
import { isInternalTopic } from '../../topics/topic-name.ts';
import type { TransactionCoordinator } from '../../txn/coordinator.ts';
import { fencedErrorCode } from './fenced-error.ts';

const producerFencedFrom = 2;

type Request = MessageValue<typeof addPartitionsToTxnRequest>;

/**
 * AddPartitionsToTxn, versions 0 to 3; those above are for brokers among themselves, and for `transaction.version` 2. All partitions
 * are added or none: when one cannot be, the others are answered OPERATION_NOT_ATTEMPTED.
 *
 * - 2: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588).
 */
export function addPartitionsToTxn(transactions: TransactionCoordinator): Handler {
  const complaintAbout = (topic: string, partition: number): KafkaErrorName | undefined => {
    // As in Kafka, where nobody may be given the right to write to these.
    if (isInternalTopic(topic)) return 'TOPIC_AUTHORIZATION_FAILED';
    return transactions.hasPartition(topic, partition) ? undefined : 'UNKNOWN_TOPIC_OR_PARTITION';
  };
  return handler({
    request: addPartitionsToTxnRequest,
    response: addPartitionsToTxnResponse,
    handle: async ({ version }, body) => {
      const added = body.v3AndBelowTopics.flatMap(({ name, partitions }) =>
        partitions.map((partition) => ({ topic: name, partition })),
      );
      if (added.some(({ topic, partition }) => complaintAbout(topic, partition) !== undefined)) {
        return answer(body, (topic, partition) => {
          return kafkaErrors[complaintAbout(topic, partition) ?? 'OPERATION_NOT_ATTEMPTED'].code;
        });
      }
      const producer = { producerId: body.v3AndBelowProducerId, producerEpoch: body.v3AndBelowProducerEpoch };
      const error = await transactions.addPartitions(body.v3AndBelowTransactionalId, producer, added);
      return answer(body, () => fencedErrorCode(error, version, producerFencedFrom));
    },
    failure: (errorCode, _errorMessage, body) => answer(body, () => errorCode),
  });
}

function answer({ v3AndBelowTopics }: Request, errorCodeOf: (topic: string, partition: number) => number) {
  return {
    resultsByTopicV3AndBelow: v3AndBelowTopics.map(({ name, partitions }) => ({
      name,
      resultsByPartition: partitions.map((partitionIndex) => ({
        partitionIndex,
        partitionErrorCode: errorCodeOf(name, partitionIndex),
      })),
    })),
  };
}
