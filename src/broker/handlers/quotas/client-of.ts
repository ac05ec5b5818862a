import type { QuotaClient } from '../../quotas/quota-table.ts';
import type { RequestContext } from '../../server/handler.ts';

/** As Kafka calls whoever has not logged in. */
const anonymous = 'ANONYMOUS';

export function clientOf({ clientId, connection }: RequestContext): QuotaClient {
  return { user: connection.user ?? anonymous, clientId };
}
