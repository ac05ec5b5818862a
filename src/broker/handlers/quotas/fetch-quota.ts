import type { fetchRequest, fetchResponse } from '../../../protocol/messages/fetch.ts';
import type { MessageInput, MessageValue } from '../../../protocol/schema.ts';
import type { ClientQuotas } from '../../quotas/client-quotas.ts';
import type { AnswerHints, Handler, RequestContext } from '../../server/handler.ts';
import { clientOf } from './client-of.ts';

type FetchRequest = MessageValue<typeof fetchRequest>;
type FetchResponse = MessageInput<typeof fetchResponse>;

/** About what Kafka counts beside the records: most of it fields of a fixed size. */
const answerBytes = 18;
const topicBytes = 18;
const partitionBytes = 42;
const abortedBytes = 16;

/**
 * Fetch as far as the quotas let. What would be over is not sent: the answer is empty, says how long to wait, and counts for nothing
 * (KIP-219). A client is not given more at a time than its quota has room for after a rest, or it would never get anything.
 */
export function fetchWithinQuota(fetch: Handler, quotas: ClientQuotas): Handler {
  return {
    ...fetch,
    handle: async (context, body) => {
      const response = await fetch.handle(context, quotas.isEmpty ? body : withinBurst(context, body as FetchRequest));
      // The quota that counts is that of now: it may have come while the fetch waited.
      if (quotas.isEmpty) return response;
      const client = clientOf(context);
      const bytes = sizeOf(response as FetchResponse);
      const throttleTimeMs = quotas.charge('consumer_byte_rate', client, bytes);
      if (throttleTimeMs === 0) return response;
      quotas.refund('consumer_byte_rate', client, bytes);
      (response as AnswerHints).release?.();
      return { throttleTimeMs };
    },
  };

  function withinBurst(context: RequestContext, request: FetchRequest): FetchRequest {
    const burstBytes = quotas.burstBytes('consumer_byte_rate', clientOf(context)) ?? Number.POSITIVE_INFINITY;
    const maxBytes = Math.min(request.maxBytes, burstBytes);
    return { ...request, maxBytes, minBytes: Math.min(request.minBytes, maxBytes) };
  }
}

function sizeOf({ responses = [] }: FetchResponse): number {
  let bytes = answerBytes;
  for (const { partitions = [] } of responses) {
    bytes += topicBytes;
    for (const { records, abortedTransactions } of partitions) {
      bytes += partitionBytes + (records?.length ?? 0) + abortedBytes * (abortedTransactions?.length ?? 0);
    }
  }
  return bytes;
}
