import { randomBytes } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import * as files from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { EntryBlock, StoreDump } from '../store/store-dump.ts';
import { checksum } from './checksum.ts';
import {
  type BlockRow,
  encodeHeader,
  encodeTail,
  type SnapshotHeader,
  type SnapshotSummary,
  totalsOf,
} from './snapshot-format.ts';

/** The calls of the file system that a snapshot is written by. */
export type SnapshotDisk = Pick<typeof files, 'open' | 'rename' | 'rm'>;

/** How far what was dumped reaches. */
export type SnapshotReach = Pick<SnapshotSummary, 'knownTo' | 'leaderEpochs'>;

export interface SnapshotWriting {
  readonly path: string;
  readonly header: SnapshotHeader;
  readonly dump: StoreDump;
  /** Asked once the last entry was taken from the store. */
  readonly reach: () => SnapshotReach;
  readonly signal: AbortSignal;
  readonly disk?: SnapshotDisk;
}

/** Between the name of a snapshot and what makes the name of one that is being written its own. */
export const unfinishedInfix = '.tmp-';

/**
 * Writes a snapshot beside what else the process does: a step of the dump, then a turn of the event loop, with one block on
 * its way to the disk while the next is filled. It is written under another name, brought to the disk, and only then put in
 * the place of the one before: whenever the process or the machine ends, there is a whole one or the other. When anything
 * fails, or `signal` aborts, what was written is removed and the one before stays. Answers the bytes of the file.
 */
export async function writeSnapshot(writing: SnapshotWriting): Promise<{ bytes: number; entries: number }> {
  const { path, signal, disk = files } = writing;
  const unfinished = `${path}${unfinishedInfix}${process.pid}-${randomBytes(6).toString('hex')}`;
  // Values are private, and so is the seed of the hashes.
  const handle = await disk.open(unfinished, 'wx', 0o600);
  try {
    let written: { bytes: number; entries: number };
    try {
      written = await writeAll(handle, writing);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    signal.throwIfAborted();
    await disk.rename(unfinished, path);
    await syncFolder(dirname(path), disk);
    return written;
  } catch (error) {
    await disk.rm(unfinished, { force: true }).catch(() => {});
    throw error;
  }
}

async function writeAll(
  handle: FileHandle,
  { header, dump, reach, signal }: SnapshotWriting,
): Promise<{ bytes: number; entries: number }> {
  const rows: BlockRow[] = [];
  let position = 0;
  const write = async (parts: readonly Buffer[]): Promise<void> => {
    const start = position;
    position += parts.reduce((sum, { length }) => sum + length, 0);
    await writeFully(handle, parts, start);
  };
  const writeBlock = async (block: EntryBlock): Promise<void> => {
    const { slots, entries, count, tombstones, keyBytes, valueBytes } = block;
    const sum = checksum(slots, entries);
    rows.push({ count, entryBytes: entries.length, checksum: sum, tombstones, keyBytes, valueBytes });
    await write([slots, entries]);
    dump.reuse(block);
  };
  await write([encodeHeader(header)]);
  let underway: Promise<void> = Promise.resolve();
  try {
    while (!dump.isDone) {
      for (const block of dump.step()) {
        await underway;
        underway = writeBlock(block);
        // Seen by whoever awaits it next.
        underway.catch(() => {});
      }
      await yieldToEventLoop();
      signal.throwIfAborted();
    }
  } finally {
    // The file is not closed under a write.
    await underway.catch(() => {});
  }
  await underway;
  const totals = totalsOf(rows);
  await write([encodeTail(rows, { ...reach(), ...totals })]);
  return { bytes: position, entries: totals.entries };
}

/** A write may take a part only, as on a disk that is filling up. */
async function writeFully(handle: FileHandle, parts: readonly Buffer[], position: number): Promise<void> {
  let left = parts.filter(({ length }) => length > 0);
  let at = position;
  while (left.length > 0) {
    let { bytesWritten } = await handle.writev(left, at);
    at += bytesWritten;
    while (left[0] !== undefined && bytesWritten >= left[0].length) {
      bytesWritten -= left[0].length;
      left = left.slice(1);
    }
    if (left[0] !== undefined) left[0] = left[0].subarray(bytesWritten);
  }
}

/** Makes the new name last. */
async function syncFolder(folder: string, disk: SnapshotDisk): Promise<void> {
  const handle = await disk.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
