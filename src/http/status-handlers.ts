import type { RequestHandler } from 'express';
import type { Database } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Metrics } from '../kernel/metrics.ts';

export interface NodeIdentity {
  /** `host:port` under which other nodes reach this one. */
  readonly id: string;
  /** Made anew by each process. */
  readonly instance: string;
}

/** The process answers; nothing else is claimed, so that an orchestrator does not restart nodes because Kafka is down. */
export const liveHandler: RequestHandler = (_request, response) => {
  response.json({ status: 'live' });
};

/** 200 once the node has caught up and keeps up, else 503; both say where it stands. */
export function readyHandler(database: Database, identity: NodeIdentity, isDraining: () => boolean): RequestHandler {
  return (_request, response) => {
    const { state, ready, reason, partitions, lagMs, logAnswers, startedFrom, progress } = database.status();
    const serves = ready && !isDraining();
    if (!serves) response.setHeader('Retry-After', '1');
    response.status(serves ? 200 : 503).json({
      status: serves ? 'ready' : 'not ready',
      node: identity.id,
      instance: identity.instance,
      state: isDraining() ? 'draining' : state,
      reason: isDraining() ? 'the node is shutting down' : reason,
      lagMs: Math.round(lagMs),
      logAnswers,
      partitions,
      startedFrom,
      progress,
    });
  };
}

/** The nodes of the cluster, this one first. */
export function clusterHandler(
  database: Database,
  identity: NodeIdentity,
  clock: Clock,
  isDraining: () => boolean,
): RequestHandler {
  return (_request, response) => {
    const { state, ready, partitions, lagMs } = database.status();
    const own = isDraining() ? { state: 'draining', ready: false } : { state, ready };
    const self = { id: identity.id, url: `http://${identity.id}`, ...own, partitions, lagMs };
    const members = [{ ...self, lastSeenMs: clock.nowMs() }, ...database.members()];
    response.json({
      members: members.map(({ id, url, state, ready, partitions, lagMs, lastSeenMs }) => ({
        id,
        url,
        self: id === identity.id,
        state,
        ready,
        lagMs: lagMs === undefined ? undefined : Math.round(lagMs),
        lastSeen: lastSeenMs,
        partitions,
      })),
    });
  };
}

export function metricsHandler(metrics: Metrics): RequestHandler {
  return async (_request, response) => {
    response.setHeader('Content-Type', metrics.contentType);
    response.end(await metrics.text());
  };
}

export function methodNotAllowed(allowed: readonly string[]): RequestHandler {
  return (request, response) => {
    response.setHeader('Allow', allowed.join(', '));
    throw new BitacoraError('method_not_allowed', `${request.method} is not served here; ${allowed.join(', ')} are.`);
  };
}
