import { type Clock, pause } from '../../../kernel/clock.ts';
import type { ClientQuotas } from '../../quotas/client-quotas.ts';
import type { Handler } from '../../server/handler.ts';
import { clientOf } from './client-of.ts';

/**
 * Produce, counted for the quotas. What came is taken even when it is over: whoever sent it is told how long to wait, and nothing
 * more is read from the connection meanwhile (KIP-219).
 */
export function produceWithinQuota(produce: Handler, quotas: ClientQuotas, clock: Clock): Handler {
  return {
    ...produce,
    handle: async (context, body) => {
      const response = await produce.handle(context, body);
      if (quotas.isEmpty) return response;
      const throttleTimeMs = quotas.charge('producer_byte_rate', clientOf(context), context.requestBytes);
      if (throttleTimeMs === 0) return response;
      if (response !== undefined) return { ...response, throttleTimeMs };
      // With acks=0 there is no answer by which the connection could know; the next request is not begun before this one ends.
      await pause(clock, throttleTimeMs, context.signal);
      return undefined;
    },
  };
}
