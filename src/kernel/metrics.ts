import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { eventLoopDelay } from './event-loop-delay.ts';

/** What a metric is at this moment: one number, or one number for each set of label values. */
export type Samples = number | ReadonlyArray<{ labels: Record<string, string>; value: number }>;

export interface MetricOptions {
  /** Prometheus name; the unit stands at its end, counters end in `_total`. */
  name: string;
  help: string;
  labelNames?: readonly string[];
  read: () => Samples;
}

/**
 * The Prometheus registry. Rooms keep plain numbers, which cost nothing on a hot path, and hand over a function that
 * reads them when somebody scrapes.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #included: (() => Promise<string>)[] = [];

  /** `process`: also what Node.js tells of itself. */
  constructor({ process }: { process: boolean } = { process: true }) {
    if (!process) return;
    collectDefaultMetrics({ register: this.#registry });
    // They tell the same as ours, but with the timer's own 10 ms in it, which hides what a stall of 10 ms is.
    for (const what of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']) {
      this.#registry.removeSingleMetric(`nodejs_eventloop_lag_${what}_seconds`);
    }
    this.gauge(eventLoopDelay());
  }

  gauge(options: MetricOptions): void {
    const gauge: Gauge = new Gauge({
      name: options.name,
      help: options.help,
      labelNames: options.labelNames ?? [],
      registers: [this.#registry],
      collect: () => {
        gauge.reset();
        for (const { labels, value } of samplesOf(options.read())) gauge.set(labels, value);
      },
    });
  }

  counter(options: MetricOptions): void {
    const counter: Counter = new Counter({
      name: options.name,
      help: options.help,
      labelNames: options.labelNames ?? [],
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        for (const { labels, value } of samplesOf(options.read())) counter.inc(labels, value);
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Adds what another part of the program, with a registry of its own, tells in Prometheus' text format. */
  include(text: () => Promise<string>): void {
    this.#included.push(text);
  }

  /** Everything, in Prometheus' text format. */
  async text(): Promise<string> {
    const parts = await Promise.all([this.#registry.metrics(), ...this.#included.map((text) => text())]);
    return parts.join('');
  }
}

function samplesOf(samples: Samples): ReadonlyArray<{ labels: Record<string, string>; value: number }> {
  return typeof samples === 'number' ? [{ labels: {}, value: samples }] : samples;
}
