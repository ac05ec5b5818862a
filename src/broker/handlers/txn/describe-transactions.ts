import { type KafkaErrorName, kafkaErrors } from '../../../protocol/errors.ts';
import {
  describeTransactionsRequest,
  describeTransactionsResponse,
} from '../../../protocol/messages/describe-transactions.ts';
import { type Handler, handler } from '../../server/handler.ts';
import type { TransactionCoordinator } from '../../txn/coordinator.ts';

/** DescribeTransactions, version 0: where transactional ids stand (KIP-664). */
export function describeTransactions(transactions: TransactionCoordinator): Handler {
  const describe = (transactionalId: string) => {
    if (transactionalId === '') return failed(transactionalId, 'INVALID_REQUEST');
    const state = transactions.describe(transactionalId);
    if (state === undefined) return failed(transactionalId, 'TRANSACTIONAL_ID_NOT_FOUND');
    return {
      transactionalId,
      transactionState: state.status,
      transactionTimeoutMs: state.timeoutMs,
      transactionStartTimeMs: state.startedMs,
      producerId: state.producerId,
      producerEpoch: state.producerEpoch,
      topics: Array.from(state.partitions, ([topic, partitions]) => ({ topic, partitions: [...partitions] })),
    };
  };
  return handler({
    request: describeTransactionsRequest,
    response: describeTransactionsResponse,
    handle: (_context, { transactionalIds }) => ({ transactionStates: transactionalIds.map(describe) }),
    failure: (errorCode, _errorMessage, { transactionalIds }) => ({
      transactionStates: transactionalIds.map((transactionalId) => ({ transactionalId, errorCode })),
    }),
  });
}

function failed(transactionalId: string, error: KafkaErrorName) {
  return { transactionalId, errorCode: kafkaErrors[error].code };
}
