import type { Metrics } from '../../kernel/metrics.ts';
import type { DirectReaderStats } from './direct-reader.ts';
import { unreadableReasons } from './unreadable-batch.ts';

/** `other`: of a reader beside the one of this folder; one of them stays at nothing. */
export function registerReaderMetrics(
  metrics: Metrics,
  stats: DirectReaderStats,
  other: { readonly restarts: number; readonly disturbances: number },
): void {
  metrics.counter({
    name: 'bitacora_log_reader_restarts_total',
    help: 'Times that reading the log had to start again.',
    read: () => stats.restarts + other.restarts,
  });
  metrics.counter({
    name: 'bitacora_log_reader_disturbances_total',
    help: 'Times that the log did not have, or did not give, the position asked for.',
    read: () => stats.disturbances + other.disturbances,
  });
  metrics.counter({
    name: 'bitacora_log_fetches_total',
    help: 'Answers to Fetch requests. 0 with LOG_READER=kafkajs.',
    read: () => stats.fetches,
  });
  metrics.counter({
    name: 'bitacora_log_fetched_bytes_total',
    help: 'Bytes of answers to Fetch requests. 0 with LOG_READER=kafkajs.',
    read: () => stats.fetchedBytes,
  });
  metrics.counter({
    name: 'bitacora_log_corrupt_batches_total',
    help: 'Times that a batch was fetched which cannot be read, by what is wrong with it. 0 with LOG_READER=kafkajs.',
    labelNames: ['reason'],
    read: () => unreadableReasons.map((reason) => ({ labels: { reason }, value: stats.unreadable[reason] })),
  });
}
