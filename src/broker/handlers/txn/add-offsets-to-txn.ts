import { addOffsetsToTxnRequest, addOffsetsToTxnResponse } from '../../../protocol/messages/add-offsets-to-txn.ts';
import { type Handler, handler } from '../../server/handler.ts';
import type { TransactionCoordinator } from '../../txn/coordinator.ts';
import { fencedErrorCode } from './fenced-error.ts';

const producerFencedFrom = 2;

/**
 * AddOffsetsToTxn, versions 0 to 4: the offsets of a group become part of the transaction; TxnOffsetCommit follows.
 *
 * - 2: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588).
 */
export function addOffsetsToTxn(transactions: TransactionCoordinator): Handler {
  return handler({
    request: addOffsetsToTxnRequest,
    response: addOffsetsToTxnResponse,
    handle: async ({ version }, { transactionalId, producerId, producerEpoch }) => {
      const error = await transactions.addOffsets(transactionalId, { producerId, producerEpoch });
      return { errorCode: fencedErrorCode(error, version, producerFencedFrom) };
    },
  });
}
