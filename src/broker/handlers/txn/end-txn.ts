import { endTxnRequest, endTxnResponse } from '../../../protocol/messages/end-txn.ts';
import { type Handler, handler } from '../../server/handler.ts';
import type { TransactionCoordinator } from '../../txn/coordinator.ts';
import { fencedErrorCode } from './fenced-error.ts';

const producerFencedFrom = 2;

/**
 * EndTxn, versions 0 to 4: commits or aborts. Those above are for `transaction.version` 2, where each transaction has an epoch.
 *
 * - 2: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588).
 */
export function endTxn(transactions: TransactionCoordinator): Handler {
  return handler({
    request: endTxnRequest,
    response: endTxnResponse,
    handle: async ({ version }, { transactionalId, producerId, producerEpoch, committed }) => {
      const error = await transactions.end(transactionalId, { producerId, producerEpoch }, committed);
      return { errorCode: fencedErrorCode(error, version, producerFencedFrom) };
    },
  });
}
