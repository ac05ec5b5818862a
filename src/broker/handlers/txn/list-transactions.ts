import type { Clock } from '../../../kernel/clock.ts';
import { listTransactionsRequest, listTransactionsResponse } from '../../../protocol/messages/list-transactions.ts';
import { type Handler, handler } from '../../server/handler.ts';
import type { TransactionCoordinator } from '../../txn/coordinator.ts';
import { matchingIds } from '../../txn/id-pattern.ts';
import { transactionStatuses } from '../../txn/transaction-state.ts';

/** States that Kafka passes through and none of ours is ever in: filters for them are known, and find nothing. */
const transientStatuses: readonly string[] = ['Dead', 'PrepareEpochFence'];

/**
 * ListTransactions, versions 0 to 2: the transactional ids that pass every filter (KIP-664).
 *
 * - 1: those that began more than a time ago (KIP-994). As in Kafka, those that have begun nothing count as begun in 1970.
 * - 2: those that match a regular expression (KIP-1152).
 */
export function listTransactions(transactions: TransactionCoordinator, clock: Clock): Handler {
  return handler({
    request: listTransactionsRequest,
    response: listTransactionsResponse,
    handle: async (_context, { stateFilters, producerIdFilters, durationFilter, transactionalIdPattern }) => {
      const nowMs = clock.nowMs();
      const states = new Set(stateFilters);
      const producerIds = new Set(producerIdFilters);
      const passing = transactions
        .list()
        .filter(([, { status }]) => states.size === 0 || states.has(status))
        .filter(([, { producerId }]) => producerIds.size === 0 || producerIds.has(producerId))
        .filter(([, { startedMs }]) => durationFilter < 0 || nowMs - startedMs > durationFilter);
      const pattern = transactionalIdPattern ?? '';
      const ids = passing.map(([id]) => id);
      const matching = pattern === '' ? new Set(ids) : await matchingIds(pattern, ids);
      return {
        unknownStateFilters: stateFilters.filter(
          (name) => !(Object.hasOwn(transactionStatuses, name) || transientStatuses.includes(name)),
        ),
        transactionStates: passing
          .filter(([id]) => matching.has(id))
          .map(([transactionalId, { producerId, status }]) => ({
            transactionalId,
            producerId,
            transactionState: status,
          })),
      };
    },
  });
}
