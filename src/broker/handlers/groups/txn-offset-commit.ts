import { type KafkaErrorName, kafkaErrors } from '../../../protocol/errors.ts';
import { txnOffsetCommitRequest, txnOffsetCommitResponse } from '../../../protocol/messages/txn-offset-commit.ts';
import type { GroupCoordinator } from '../../groups/coordinator.ts';
import { coordinatorError } from '../../groups/coordinator-error.ts';
import { handler } from '../../server/handler.ts';
import { offsetsPartition } from '../../txn/transaction-targets.ts';
import { offsetsToCommit, outcomesByTopic, sameOutcome } from './topic-partitions.ts';

/** Who knows which partitions a transaction has. */
interface Transactions {
  /** NONE, or why the producer may not write to the partition. */
  verify(
    transactionalId: string,
    producer: { readonly producerId: number; readonly producerEpoch: number },
    target: { readonly topic: string; readonly partition: number },
    knowsAbortable: boolean,
  ): KafkaErrorName;
}

/**
 * TxnOffsetCommit 0–4. From version 3 on it names the member, so that one that is no longer of the group is fenced (KIP-447). A producer
 * that has not told of the offsets with AddOffsetsToTxn is refused: no marker would ever come for them.
 */
export const txnOffsetCommit = (groups: GroupCoordinator, transactions: Transactions) =>
  handler({
    request: txnOffsetCommitRequest,
    response: txnOffsetCommitResponse,
    handle: async (_context, body) => {
      const { groupId, memberId, groupInstanceId, generationId, transactionalId, topics } = body;
      const producer = { producerId: body.producerId, producerEpoch: body.producerEpoch };
      const refusal = transactions.verify(transactionalId, producer, offsetsPartition, false);
      if (refusal !== 'NONE') return { topics: sameOutcome(topics, kafkaErrors[coordinatorError(refusal)].code) };
      const outcomes = await groups.commitOffsets({
        groupId,
        memberId,
        groupInstanceId,
        generationId,
        unknownGroup: 'ILLEGAL_GENERATION',
        producer,
        offsets: offsetsToCommit(topics),
      });
      return { topics: outcomesByTopic(topics, (index) => kafkaErrors[outcomes[index]!].code) };
    },
    failure: (errorCode, _message, { topics }) => ({ topics: sameOutcome(topics, errorCode) }),
  });
