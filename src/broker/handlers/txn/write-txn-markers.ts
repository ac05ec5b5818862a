import { KafkaError } from '../../../protocol/errors.ts';
import { writeTxnMarkersRequest, writeTxnMarkersResponse } from '../../../protocol/messages/write-txn-markers.ts';
import type { MessageValue } from '../../../protocol/schema.ts';
import type { Faults } from '../../server/faults.ts';
import { type Handler, handler } from '../../server/handler.ts';
import { coordinatorEpoch } from '../../txn/coordinator.ts';
import type { TransactionTargets } from '../../txn/transaction-targets.ts';

type Marker = MessageValue<typeof writeTxnMarkersRequest>['markers'][number];

/**
 * WriteTxnMarkers, version 1. Between brokers it ends transactions; here the one coordinator writes its markers itself, and this is
 * for an administrator who ends a transaction that hangs in a partition (KIP-664). What its transactional id is told stays as it is.
 */
export function writeTxnMarkers({ targets, faults }: { targets: TransactionTargets; faults: Faults }): Handler {
  const write = async (marker: Marker, topic: string, partition: number): Promise<object> => {
    const { producerId, producerEpoch, transactionResult: commit } = marker;
    if (producerId < 0 || producerEpoch < 0) throw new KafkaError('INVALID_REQUEST', 'There is no such producer.');
    if (!targets.hasPartition(topic, partition)) {
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'There is no such partition.');
    }
    // A later epoch than the coordinator's own would have the partition refuse the coordinator for good.
    if (marker.coordinatorEpoch !== coordinatorEpoch) {
      throw new KafkaError('TRANSACTION_COORDINATOR_FENCED', `The coordinator's epoch is ${coordinatorEpoch}.`);
    }
    await targets.writeMarker(topic, partition, { producerId, producerEpoch, coordinatorEpoch, commit });
    return {};
  };
  return handler({
    request: writeTxnMarkersRequest,
    response: writeTxnMarkersResponse,
    handle: async (_context, { markers }) => ({
      markers: await Promise.all(
        markers.map((marker) =>
          answer(marker, async (topic, partition) => {
            const during = `a marker in ${topic}-${partition}`;
            return (await faults.part(during, () => write(marker, topic, partition))).errorCode;
          }),
        ),
      ),
    }),
  });
}

async function answer(
  { producerId, topics }: Marker,
  errorCodeOf: (topic: string, partition: number) => Promise<number>,
) {
  const answered = topics.map(async ({ name, partitionIndexes }) => {
    const partitions = partitionIndexes.map(async (partitionIndex) => ({
      partitionIndex,
      errorCode: await errorCodeOf(name, partitionIndex),
    }));
    return { name, partitions: await Promise.all(partitions) };
  });
  return { producerId, topics: await Promise.all(answered) };
}
