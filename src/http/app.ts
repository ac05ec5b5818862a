import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type { Database } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { openApi } from './openapi.ts';
import type { RequestMetrics } from './request-metrics.ts';
import { scanHandler } from './scan-handler.ts';
import {
  clusterHandler,
  liveHandler,
  methodNotAllowed,
  metricsHandler,
  type NodeIdentity,
  readyHandler,
} from './status-handlers.ts';
import { parseTarget } from './target.ts';
import { deleteHandler, putHandler } from './write-handler.ts';

export interface AppOptions {
  readonly database: Database;
  readonly identity: NodeIdentity;
  readonly version: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly requests: RequestMetrics;
  readonly isDraining: () => boolean;
  /** Answers with an error, whatever it is. */
  readonly answerFault: ErrorRequestHandler;
}

/** Every route but the reads of `/rpc` and `/rpc/cluster`, which stand in front of express. */
export function makeApp(options: AppOptions): Express {
  const { database, identity, version, clock, metrics, requests, isDraining, answerFault } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.use((request, response, next) => {
    response.on('finish', () => requests.count(routeOf(request), request, response));
    next();
  });
  const put = putHandler(database, () => clock.nowMs());
  app.put('/rpc', put);
  app.post('/rpc', put);
  app.delete('/rpc', deleteHandler(database));
  app.all('/rpc', methodNotAllowed(['GET', 'HEAD', 'PUT', 'POST', 'DELETE']));
  app.all('/rpc/cluster', methodNotAllowed(['GET', 'HEAD']));
  app.all('/rpc/batch', methodNotAllowed(['POST']));
  app.get('/rpc/scan', scanHandler(database));
  app.all('/rpc/scan', methodNotAllowed(['GET', 'HEAD']));
  const pages: Readonly<Record<string, RequestHandler>> = {
    '/health/live': liveHandler,
    '/health/ready': readyHandler(database, identity, isDraining),
    '/metrics': metricsHandler(metrics),
    '/cluster': clusterHandler(database, identity, clock, isDraining),
    '/openapi.json': openApiHandler(version, database.valueBytesMax),
  };
  for (const [path, handler] of Object.entries(pages)) {
    app.get(path, takesNoParameters, handler);
    app.all(path, methodNotAllowed(['GET', 'HEAD']));
  }
  app.use((request) => {
    throw new BitacoraError('path_not_found', `Nothing is served at ${JSON.stringify(request.path.slice(0, 200))}.`);
  });
  app.use(answerFault);
  return app;
}

const takesNoParameters: RequestHandler = (request, _response, next) => {
  parseTarget(request.originalUrl, []);
  next();
};

function openApiHandler(version: string, valueBytesMax: number): RequestHandler {
  const document = openApi(version, valueBytesMax);
  return (_request, response) => {
    response.json(document);
  };
}

function routeOf(request: express.Request): string {
  return typeof request.route?.path === 'string' ? request.route.path : 'other';
}
