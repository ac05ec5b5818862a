import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Metrics } from '../kernel/metrics.ts';

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']);

/**
 * Counts answers by route, method and status. Plain numbers in a map, because every read of the hot path comes by here; names
 * that a client chooses are folded into "other", so that it cannot grow the map.
 */
export class RequestMetrics {
  readonly #counts = new Map<string, { labels: Record<string, string>; value: number }>();

  constructor(metrics: Metrics) {
    metrics.counter({
      name: 'bitacora_http_requests_total',
      help: 'Answered HTTP requests.',
      labelNames: ['route', 'method', 'status'],
      read: () => [...this.#counts.values()],
    });
  }

  /** `route` is one of a fixed set. */
  count(route: string, request: IncomingMessage, response: ServerResponse): void {
    const method = methods.has(request.method ?? '') ? request.method! : 'other';
    const name = `${route} ${method} ${response.statusCode}`;
    const entry = this.#counts.get(name);
    if (entry === undefined) {
      this.#counts.set(name, { labels: { route, method, status: String(response.statusCode) }, value: 1 });
    } else {
      entry.value += 1;
    }
  }
}
