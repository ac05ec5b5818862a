import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Metrics } from '../kernel/metrics.ts';

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']);

interface Entry {
  readonly route: string;
  /** As the request has it, which need not be a known one. */
  readonly method: string | undefined;
  readonly status: number;
  readonly count: { readonly labels: Record<string, string>; value: number };
}

/**
 * Counts answers by route, method and status. Plain numbers in a map, because every read of the hot path comes by here; names
 * that a client chooses are folded into "other", so that it cannot grow the map.
 */
export class RequestMetrics {
  readonly #counts = new Map<string, Entry['count']>();
  /** Most answers are like the one before, and need no name made for the map. */
  #last: Entry | undefined;

  constructor(metrics: Metrics) {
    metrics.counter({
      name: 'bitacora_http_requests_total',
      help: 'Answered HTTP requests.',
      labelNames: ['route', 'method', 'status'],
      read: () => [...this.#counts.values()],
    });
  }

  /** `route` is one of a fixed set. */
  count(route: string, { method }: IncomingMessage, { statusCode: status }: ServerResponse): void {
    const last = this.#last;
    if (last !== undefined && last.route === route && last.method === method && last.status === status) {
      last.count.value += 1;
      return;
    }
    const count = this.#countOf(route, methods.has(method ?? '') ? method! : 'other', String(status));
    count.value += 1;
    this.#last = { route, method, status, count };
  }

  #countOf(route: string, method: string, status: string): Entry['count'] {
    const name = `${route} ${method} ${status}`;
    let count = this.#counts.get(name);
    if (count === undefined) {
      count = { labels: { route, method, status }, value: 0 };
      this.#counts.set(name, count);
    }
    return count;
  }
}
