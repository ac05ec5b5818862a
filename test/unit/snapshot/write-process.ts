import { writeSync } from 'node:fs';
import { SnapshotFile } from '../../../src/snapshot/snapshot-file.ts';
import { ArenaStore } from '../../../src/store/arena-store.ts';
import { keyHash } from '../../../src/store/key-hash.ts';
import { fill, reach, subject, tinySizes } from '../../support/snapshot-rig.ts';

/**
 * Run by tests as a process of its own: writes snapshot after snapshot of values with another mark, and prints each mark once the
 * snapshot is in its place, until one fails. Then it prints why, and ends.
 */
const [path] = process.argv.slice(2) as [string];
for (let mark = 1; ; mark += 1) {
  const store = new ArenaStore({
    tombstoneRetentionMs: 1_000,
    hash: keyHash([1, mark]),
    ordered: true,
    sizes: tinySizes,
  });
  fill(store, String(mark));
  const file = new SnapshotFile({ path, store, seed: [1, mark] });
  try {
    await file.write(subject, reach, new AbortController().signal);
  } catch (error) {
    writeSync(1, `${(error as NodeJS.ErrnoException).code}\n`);
    break;
  }
  writeSync(1, `${mark}\n`);
}
