import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { MetricOptions } from './metrics.ts';

/** A stall shorter than this may pass between two looks. */
const resolutionMs = 5;
const nanosecondsPerSecond = 1e9;

/**
 * For how long whatever is due waits for its turn, because something else holds up the event loop. `monitorEventLoopDelay`
 * tells when a timer came, its own interval included, which is taken off here: an idle process is at 0. Quantiles are of the time
 * since the metric was read last, and quantile 1 is the longest stall.
 */
export function eventLoopDelay(): MetricOptions {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  return {
    name: 'bitacora_event_loop_delay_seconds',
    help: 'How much later than due the event loop got to a timer, since the last scrape; quantile 1 is the longest.',
    labelNames: ['quantile'],
    read: () => {
      const samples = ['0.5', '0.99', '1'].map((quantile) => {
        const seconds = histogram.percentile(Number(quantile) * 100) / nanosecondsPerSecond;
        return { labels: { quantile }, value: Math.max(0, seconds - resolutionMs / 1_000) };
      });
      histogram.reset();
      return samples;
    },
  };
}
