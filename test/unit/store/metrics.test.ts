import { expect } from 'chai';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { ArenaStore } from '../../../src/store/arena-store.ts';
import { keyHash } from '../../../src/store/key-hash.ts';
import { registerStoreMetrics } from '../../../src/store/metrics.ts';
import { PlainStore } from '../../support/plain-store.ts';

describe('metrics of the store', () => {
  it('tell where its memory is', async () => {
    const metrics = new Metrics({ process: false });
    const store = new ArenaStore({ tombstoneRetentionMs: 0, hash: keyHash([1, 2]), ordered: true });
    registerStoreMetrics(metrics, store);
    const plain = new PlainStore(store);
    for (let offset = 0; offset < 2; offset += 1) {
      plain.put(Buffer.from('key-00000000001'), Buffer.alloc(100), { partition: 0, offset, timestampMs: 1e12 });
    }
    while (!store.buildIndex());
    const text = await metrics.text();
    expect(text).to.contain('bitacora_store_memory_bytes{kind="live"} 136\n');
    expect(text).to.contain('bitacora_store_memory_bytes{kind="dead"} 136\n');
    expect(text).to.contain(`bitacora_store_memory_bytes{kind="unused"} ${64 * 1024 - 2 * 136}\n`);
    for (const kind of ['table', 'index']) {
      expect(text).to.match(new RegExp(`bitacora_store_memory_bytes\\{kind="${kind}"\\} [1-9]`));
    }
  });
});
