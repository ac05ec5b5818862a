import { kafkaErrors } from '../../../protocol/errors.ts';
import { initProducerIdRequest, initProducerIdResponse } from '../../../protocol/messages/init-producer-id.ts';
import { type Handler, handler } from '../../server/handler.ts';
import type { TransactionCoordinator } from '../../txn/coordinator.ts';
import { fencedErrorCode } from './fenced-error.ts';

const none = -1;
const producerFencedFrom = 4;

/**
 * InitProducerId, versions 0 to 5: a producer id, and for a transactional id its next epoch, which fences whoever had the one
 * before.
 *
 * - Without a transactional id everybody gets a new producer id, whatever it says it had: sequences begin anew with it.
 * - 3: a transactional producer may say who it is, to go on after an error (KIP-360).
 * - 4: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588).
 */
export function initProducerId(transactions: TransactionCoordinator): Handler {
  return handler({
    request: initProducerIdRequest,
    response: initProducerIdResponse,
    handle: async ({ version }, body) => {
      const { transactionalId, transactionTimeoutMs, producerId, producerEpoch } = body;
      if (transactionalId === null) return { producerId: await transactions.newProducerId(), producerEpoch: 0 };
      if ((producerId === none) !== (producerEpoch === none)) return failed(kafkaErrors.INVALID_REQUEST.code);
      const expected = producerId === none ? undefined : { producerId, producerEpoch };
      const { error, producer } = await transactions.initProducerId(transactionalId, transactionTimeoutMs, expected);
      return producer ?? failed(fencedErrorCode(error, version, producerFencedFrom));
    },
    failure: failed,
  });
}

function failed(errorCode: number) {
  return { errorCode, producerId: none, producerEpoch: none };
}
