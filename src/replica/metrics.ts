import type { Metrics } from '../kernel/metrics.ts';
import type { Store } from '../store/store.ts';
import type { ApplyCounters } from './apply.ts';
import type { ReplicaStatus } from './status.ts';

export interface ReplicaMetricSources {
  status(): ReplicaStatus;
  readonly counters: ApplyCounters;
  readonly store: Store;
  rebuilds(): number;
}

export function registerReplicaMetrics(metrics: Metrics, sources: ReplicaMetricSources): void {
  const { status, counters, store, rebuilds } = sources;
  const byPartition = (pick: 'position' | 'end' | 'lag') => () =>
    status().partitions.map((partition) => ({
      labels: { partition: String(partition.partition) },
      value: partition[pick],
    }));
  metrics.gauge({
    name: 'bitacora_position',
    help: 'The next offset to apply.',
    labelNames: ['partition'],
    read: byPartition('position'),
  });
  metrics.gauge({
    name: 'bitacora_log_end',
    help: 'The end of the partition when the log was last asked.',
    labelNames: ['partition'],
    read: byPartition('end'),
  });
  metrics.gauge({
    name: 'bitacora_lag_offsets',
    help: 'Offsets between the position and the end.',
    labelNames: ['partition'],
    read: byPartition('lag'),
  });
  metrics.gauge({
    name: 'bitacora_lag_seconds',
    help: 'For how long an end that was seen has not been reached.',
    read: () => status().lagMs / 1000,
  });
  metrics.gauge({ name: 'bitacora_ready', help: '1 when the node is ready.', read: () => (status().ready ? 1 : 0) });
  metrics.gauge({
    name: 'bitacora_log_answers',
    help: '1 when the log answered the last question.',
    read: () => (status().logAnswers ? 1 : 0),
  });
  metrics.counter({
    name: 'bitacora_records_total',
    help: 'Records read from the log by what became of them.',
    labelNames: ['result'],
    read: () => [
      { labels: { result: 'applied' }, value: counters.applied },
      { labels: { result: 'superseded' }, value: counters.superseded },
      { labels: { result: 'without_key' }, value: counters.withoutKey },
      { labels: { result: 'key_too_long' }, value: counters.keyTooLong },
      { labels: { result: 'misplaced' }, value: counters.misplaced },
    ],
  });
  metrics.counter({ name: 'bitacora_rebuilds_total', help: 'Times the node dropped its memory.', read: rebuilds });
  metrics.gauge({ name: 'bitacora_values', help: 'Values held in memory.', read: () => store.size.values });
  metrics.gauge({ name: 'bitacora_tombstones', help: 'Tombstones held in memory.', read: () => store.size.tombstones });
  metrics.gauge({ name: 'bitacora_key_bytes', help: 'Bytes of keys held.', read: () => store.size.keyBytes });
  metrics.gauge({ name: 'bitacora_value_bytes', help: 'Bytes of values held.', read: () => store.size.valueBytes });
}
