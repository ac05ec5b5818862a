import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SnapshotFile, type SnapshotSubject } from '../../src/snapshot/snapshot-file.ts';
import type { SnapshotDisk } from '../../src/snapshot/snapshot-writer.ts';
import { type ArenaSizes, ArenaStore } from '../../src/store/arena-store.ts';
import { type HashSeed, keyHash } from '../../src/store/key-hash.ts';
import { PlainStore } from './plain-store.ts';

/** Blocks of some hundred bytes. */
export const tinySizes: ArenaSizes = { chunkBytes: 512, segmentSlots: 8, leafIds: 4 };
export const nodeSizes: ArenaSizes = { chunkBytes: 64 * 1024 * 1024, segmentSlots: 4_096, leafIds: 1_024 };
/** Of `fill`. */
export const keyCount = 40;

export const subject: SnapshotSubject = {
  topic: 'topic',
  topicId: 'Yw4k5mUqTLi5jCrGBpLzIw',
  clusterId: 'cluster',
  partitioner: 'murmur2',
  deleteRetentionMs: 86_400_000,
  createdAtMs: 1_760_000_000_000,
  caughtUpAtMs: 1_760_000_000_000,
  positions: [keyCount],
  logStarts: [0],
};
export const reach = () => ({ knownTo: [keyCount], leaderEpochs: [0] });

/** Stores of one kind, and a folder for their snapshots. */
export class SnapshotRig {
  readonly #sizes: ArenaSizes;
  readonly #ordered: boolean;
  #folder: string | undefined;

  constructor({ sizes = tinySizes, ordered = true } = {}) {
    this.#sizes = sizes;
    this.#ordered = ordered;
  }

  async open(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'bitacora-snapshot-'));
  }

  async close(): Promise<void> {
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  get folder(): string {
    return this.#folder!;
  }

  get path(): string {
    return join(this.folder, 'x.snapshot');
  }

  store(seed: HashSeed): ArenaStore {
    return new ArenaStore({
      tombstoneRetentionMs: 1_000,
      hash: keyHash(seed),
      ordered: this.#ordered,
      sizes: this.#sizes,
    });
  }

  /** A store of values that begin with `mark`, some tombstones and some traits, and the file for it. */
  filled(mark: string, disk?: SnapshotDisk): { store: ArenaStore; file: SnapshotFile } {
    const seed: HashSeed = [7, -8];
    const store = this.store(seed);
    fill(store, mark);
    return { store, file: this.#file(store, seed, disk) };
  }

  /** An empty store, of another seed, and the file for it. */
  empty(): { store: ArenaStore; file: SnapshotFile } {
    const seed: HashSeed = [1, 2];
    const store = this.store(seed);
    return { store, file: this.#file(store, seed) };
  }

  write(
    mark: string,
    { disk, signal }: { disk?: SnapshotDisk; signal?: AbortSignal } = {},
  ): Promise<{ bytes: number }> {
    return this.filled(mark, disk).file.write(subject, reach, signal ?? new AbortController().signal);
  }

  /** The mark of all values that a start from the snapshot finds; undefined: there is none. Rejects when it is not sound. */
  async restoredMark(): Promise<string | undefined> {
    const { store, file } = this.empty();
    const snapshot = await file.open();
    if (snapshot === undefined) return undefined;
    try {
      await file.restore(snapshot, new AbortController().signal);
    } finally {
      await snapshot.close();
    }
    const marks = new Set([...store.entries(0)].map(([, { latin1 }]) => latin1.split('.')[0]));
    if (marks.size !== 1 || store.size.values !== valueCount) throw new Error(`restored ${[...marks].join()}`);
    return [...marks][0];
  }

  names(): Promise<string[]> {
    return readdir(this.folder);
  }

  #file(store: ArenaStore, seed: HashSeed, disk?: SnapshotDisk): SnapshotFile {
    return new SnapshotFile({ path: this.path, store, seed, ...(disk !== undefined && { disk }) });
  }
}

const isTombstone = (i: number): boolean => i % 8 === 7;
const valueCount = Array.from({ length: keyCount }).filter((_, i) => !isTombstone(i)).length;

export function fill(store: ArenaStore, mark: string): void {
  const plain = new PlainStore(store);
  for (let i = 0; i < keyCount; i += 1) {
    const key = Buffer.from(`key-${i}`);
    if (isTombstone(i)) {
      plain.delete(key, 0, i, 1_000);
      continue;
    }
    const value = Buffer.from(`${mark}.`.padEnd(20 * (i % 4), 'v'));
    const traits = {
      expiresAtMs: i % 5 === 0 ? 5_000 : undefined,
      contentType: i % 6 === 0 ? 'text/plain' : undefined,
    };
    plain.put(key, value, { partition: 0, offset: i, timestampMs: i === 3 ? -1 : 1_000, ...traits });
  }
}
