import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ArenaStore } from '../store/arena-store.ts';
import { entryLayoutVersion } from '../store/entry-layout.ts';
import { type HashSeed, keyHash } from '../store/key-hash.ts';
import { SnapshotFault, type SnapshotHeader } from './snapshot-format.ts';
import { SnapshotReader } from './snapshot-reader.ts';
import { type SnapshotDisk, type SnapshotReach, unfinishedInfix, writeSnapshot } from './snapshot-writer.ts';

/** File systems take 255 bytes, and an unfinished one has more after this. */
const nameLengthMax = 200;

export interface SnapshotFileOptions {
  readonly path: string;
  readonly store: ArenaStore;
  /** Of the store's hashes. */
  readonly seed: HashSeed;
  readonly disk?: SnapshotDisk;
}

/** What of a header the store does not know. */
export type SnapshotSubject = Omit<SnapshotHeader, 'entryLayout' | 'ordered' | 'seed'>;

/** `DATA_DIR/snapshots/TOPIC-NODENAME-PORT.snapshot`, where no letter of these can mean anything to a file system; a long one is cut. */
export function snapshotPath(dataDir: string, node: { topic: string; nodename: string; apiPort: number }): string {
  const name = `${node.topic}-${node.nodename}-${node.apiPort}`.replaceAll(/[^A-Za-z0-9._-]/g, '_');
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const short = name.length <= nameLengthMax ? name : `${name.slice(0, nameLengthMax - digest.length - 1)}-${digest}`;
  return join(dataDir, 'snapshots', `${short}.snapshot`);
}

/** The one snapshot that a node has of its store. */
export class SnapshotFile {
  readonly path: string;
  readonly #store: ArenaStore;
  readonly #disk: SnapshotDisk | undefined;
  #seed: HashSeed;

  constructor({ path, store, seed, disk }: SnapshotFileOptions) {
    this.path = path;
    this.#store = store;
    this.#seed = seed;
    this.#disk = disk;
  }

  /** Whether a snapshot with these entries fits the store. */
  get ordered(): boolean {
    return this.#store.keepsOrder;
  }

  /** undefined: there is none. Rejects as `SnapshotReader` does. */
  async open(): Promise<SnapshotReader | undefined> {
    try {
      return await SnapshotReader.open(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Fills the store, which goes on with the hashes of the snapshot. When it rejects, the store is empty. */
  async restore(snapshot: SnapshotReader, signal: AbortSignal): Promise<void> {
    const { header, summary } = snapshot;
    const hash = keyHash(header.seed);
    const restore = this.#store.restore(hash, summary);
    try {
      if (header.entryLayout !== entryLayoutVersion || header.ordered !== this.ordered) {
        throw new SnapshotFault(0, 'the entries are not those of this store');
      }
      await snapshot.restoreTo(restore, signal);
      this.#seed = header.seed;
    } catch (error) {
      this.#store.clear();
      throw error;
    }
  }

  /** Rejects with what the system says, or as `signal` aborts; the snapshot before is there still. */
  async write(
    subject: SnapshotSubject,
    reach: () => SnapshotReach,
    signal: AbortSignal,
  ): Promise<{ bytes: number; entries: number }> {
    const header = { ...subject, entryLayout: entryLayoutVersion, ordered: this.ordered, seed: this.#seed };
    await mkdir(dirname(this.path), { recursive: true });
    const writing = { path: this.path, header, dump: this.#store.dump(), reach, signal };
    return writeSnapshot(this.#disk === undefined ? writing : { ...writing, disk: this.#disk });
  }

  async discard(): Promise<void> {
    await rm(this.path, { force: true });
  }

  /** Removes what a process that was killed had not finished. No other process writes under this name. */
  async removeUnfinished(): Promise<void> {
    const folder = dirname(this.path);
    const start = `${basename(this.path)}${unfinishedInfix}`;
    const names = await readdir(folder).catch(() => []);
    for (const name of names) if (name.startsWith(start)) await rm(join(folder, name), { force: true });
  }
}
