import * as files from 'node:fs/promises';
import type { SnapshotDisk } from '../../src/snapshot/snapshot-writer.ts';

export interface FailingDiskOptions {
  /** The number of the call that fails, from 0. */
  readonly failsAt: number;
  /** What it fails with; absent: the machine stops, and no later call does anything. */
  readonly error?: Error;
  /** A write that fails, and every one before it, takes this part of what it is given. */
  readonly writtenPart?: number;
}

interface OpenFile {
  path: string;
  isSynced: boolean;
}

/** The file system, up to a certain call. */
export class FailingDisk implements SnapshotDisk {
  /** Of calls made, each named. */
  readonly calls: string[] = [];
  readonly #options: FailingDiskOptions;
  readonly #opened: OpenFile[] = [];
  #hasStopped = false;

  constructor(options: FailingDiskOptions) {
    this.#options = options;
  }

  readonly open = (async (path: string, flags: string, mode: number) => {
    await this.#call(`open ${flags}`);
    const handle = await files.open(path, flags, mode);
    const file = { path, isSynced: flags === 'r' };
    this.#opened.push(file);
    const { writtenPart = 1 } = this.#options;
    return {
      writev: async (buffers: Buffer[], position: number) => {
        const bytes = Buffer.concat(buffers);
        const part = bytes.subarray(0, Math.max(1, Math.floor(bytes.length * writtenPart)));
        try {
          await this.#call('writev');
        } catch (error) {
          await handle.write(part, 0, part.length, position);
          throw error;
        }
        return { bytesWritten: (await handle.write(part, 0, part.length, position)).bytesWritten };
      },
      datasync: async () => {
        await this.#call('datasync');
        file.isSynced = true;
        await handle.datasync();
      },
      sync: async () => {
        await this.#call('sync');
        await handle.sync();
      },
      // A process that ends closes its files, too.
      close: () => handle.close(),
    };
  }) as unknown as SnapshotDisk['open'];

  readonly rename = (async (from: string, to: string) => {
    await this.#call('rename');
    await files.rename(from, to);
    for (const file of this.#opened) if (file.path === from) file.path = to;
  }) as SnapshotDisk['rename'];

  readonly rm = (async (path: string, options: object) => {
    await this.#call('rm');
    await files.rm(path, options);
  }) as SnapshotDisk['rm'];

  /** Power is lost: half of what was not brought to the disk is gone. */
  async losePower(): Promise<void> {
    for (const { path, isSynced } of this.#opened) {
      if (isSynced) continue;
      const { size } = await files.stat(path);
      await files.truncate(path, Math.floor(size / 2));
    }
  }

  async #call(name: string): Promise<void> {
    const { failsAt, error } = this.#options;
    if (this.#hasStopped) throw new Error('the machine has stopped');
    this.calls.push(name);
    if (this.calls.length - 1 !== failsAt) return;
    this.#hasStopped = error === undefined;
    throw error ?? new Error('the machine stops');
  }
}
