import type { Metrics } from '../kernel/metrics.ts';
import type { OrderedStore } from './store.ts';

export function registerStoreMetrics(metrics: Metrics, store: Pick<OrderedStore, 'memory'>): void {
  metrics.gauge({
    name: 'bitacora_store_memory_bytes',
    help: 'Memory of the store outside of the heap, by what it is for.',
    labelNames: ['kind'],
    read: () => {
      const { tableBytes, liveBytes, deadBytes, unusedBytes, indexBytes } = store.memory;
      return [
        { labels: { kind: 'table' }, value: tableBytes },
        { labels: { kind: 'live' }, value: liveBytes },
        { labels: { kind: 'dead' }, value: deadBytes },
        { labels: { kind: 'unused' }, value: unusedBytes },
        { labels: { kind: 'index' }, value: indexBytes },
      ];
    },
  });
}
