import type { ErrorCode } from '../kernel/errors.ts';
import type { Metrics } from '../kernel/metrics.ts';

/** Why a connection ended. */
export type CloseReason =
  | 'by_client'
  | 'broken'
  | 'malformed'
  | 'fault'
  | 'idle'
  | 'handshake_timeout'
  | 'message_timeout'
  | 'not_reading'
  | 'overloaded'
  | 'draining';

/** Counts calls by message and outcome, and connections by how they ended. */
export class CallMetrics {
  readonly #calls = new Map<string, Map<string, number>>();
  readonly #closed = new Map<CloseReason, number>();

  constructor(metrics: Metrics, connections: () => number) {
    metrics.counter({
      name: 'bitacora_avro_calls_total',
      help: 'Calls on the Avro socket by message and outcome, which is ok or the code of an error.',
      labelNames: ['message', 'outcome'],
      read: () =>
        [...this.#calls].flatMap(([message, outcomes]) =>
          [...outcomes].map(([outcome, value]) => ({ labels: { message, outcome }, value })),
        ),
    });
    metrics.counter({
      name: 'bitacora_avro_connections_closed_total',
      help: 'Connections of the Avro socket that have ended, by reason.',
      labelNames: ['reason'],
      read: () => [...this.#closed].map(([reason, value]) => ({ labels: { reason }, value })),
    });
    metrics.gauge({
      name: 'bitacora_avro_connections',
      help: 'Open connections of the Avro socket.',
      read: connections,
    });
  }

  /** `message` is one of ours, or empty: what clients make up must not become labels. */
  count(message: string, outcome: 'ok' | ErrorCode): void {
    let outcomes = this.#calls.get(message);
    if (outcomes === undefined) {
      outcomes = new Map();
      this.#calls.set(message, outcomes);
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }

  closed(reason: CloseReason): void {
    this.#closed.set(reason, (this.#closed.get(reason) ?? 0) + 1);
  }
}
