import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { DumpCheck } from '../store/dump-check.ts';
import { keyHash } from '../store/key-hash.ts';
import { slotBytes } from '../store/store-dump.ts';
import type { BlockPlace, StoreRestore } from '../store/store-restore.ts';
import { checksum } from './checksum.ts';
import {
  type BlockRow,
  blockBytes,
  decodeHeader,
  decodeTail,
  footerBytes,
  headerBytes,
  headerStartBytes,
  SnapshotFault,
  type SnapshotHeader,
  type SnapshotSummary,
  tailBytes,
} from './snapshot-format.ts';

/** Blocks that are asked of the disk before they are needed. */
const readAhead = 4;

interface BlockRead {
  readonly row: BlockRow;
  readonly byte: number;
  readonly place: BlockPlace;
  readonly slots: Buffer;
  readonly done: Promise<void>;
}

/**
 * A snapshot whose header, index and summary have been read and found sound. Methods reject with a `SnapshotFault` when the file
 * is not what it should be, and with what the system says when it cannot be read.
 */
export class SnapshotReader {
  readonly header: SnapshotHeader;
  readonly summary: SnapshotSummary;
  readonly bytes: number;
  readonly #handle: FileHandle;
  readonly #rows: readonly BlockRow[];
  readonly #blocksStart: number;

  private constructor(
    handle: FileHandle,
    header: SnapshotHeader,
    tail: { readonly rows: readonly BlockRow[]; readonly summary: SnapshotSummary },
    places: { readonly bytes: number; readonly blocksStart: number },
  ) {
    this.#handle = handle;
    this.header = header;
    this.summary = tail.summary;
    this.bytes = places.bytes;
    this.#rows = tail.rows;
    this.#blocksStart = places.blocksStart;
  }

  static async open(path: string): Promise<SnapshotReader> {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size < headerStartBytes + footerBytes) throw new SnapshotFault(0, `a file of ${size} bytes is no snapshot`);
      const start = await read(handle, 0, headerStartBytes);
      const blocksStart = headerBytes(start, size);
      const header = decodeHeader(await read(handle, 0, blocksStart));
      const footer = await read(handle, size - footerBytes, footerBytes);
      const tailStart = size - tailBytes(footer, size);
      if (tailStart < blocksStart) throw new SnapshotFault(size - footerBytes, 'the index is longer than the file');
      const tail = decodeTail(await read(handle, tailStart, size - tailStart), { start: tailStart, blocksStart });
      const partitions = header.positions.length;
      if (tail.summary.knownTo.length !== partitions || tail.summary.leaderEpochs.length !== partitions) {
        throw new SnapshotFault(tailStart, 'header and summary differ in the number of partitions');
      }
      return new SnapshotReader(handle, header, tail, { bytes: size, blocksStart });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get blocks(): number {
    return this.#rows.length;
  }

  /** Puts every block in its place in a store, a turn of the event loop after each. */
  async restoreTo(restore: StoreRestore, signal: AbortSignal): Promise<void> {
    while (!restore.prepare()) await yieldToEventLoop();
    const reads: BlockRead[] = [];
    try {
      let byte = this.#blocksStart;
      for (const row of this.#rows) {
        reads.push(this.#readBlock(row, byte, restore));
        byte += blockBytes(row);
        if (reads.length >= readAhead) await this.#take(reads.shift()!, restore);
        signal.throwIfAborted();
      }
      while (reads.length > 0) await this.#take(reads.shift()!, restore);
    } finally {
      await Promise.allSettled(reads.map(({ done }) => done));
    }
    restore.finish();
  }

  /** Looks at everything. Rejects with the first fault. */
  async verify(): Promise<void> {
    const { seed, ordered } = this.header;
    const check = new DumpCheck(keyHash(seed), ordered);
    let byte = this.#blocksStart;
    for (const row of this.#rows) {
      const slots = await read(this.#handle, byte, row.count * slotBytes);
      const entriesAt = byte + slots.length;
      const entries = await read(this.#handle, entriesAt, row.entryBytes);
      if (checksum(slots, entries) !== row.checksum) throw new SnapshotFault(byte, 'a block’s checksum is wrong');
      const found = check.check(slots, entries);
      if ('what' in found) throw new SnapshotFault(entriesAt + found.at, found.what);
      for (const name of ['tombstones', 'keyBytes', 'valueBytes'] as const) {
        if (found[name] !== row[name]) throw new SnapshotFault(byte, `a block has other ${name} than the index says`);
      }
      byte += blockBytes(row);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #readBlock(row: BlockRow, byte: number, restore: StoreRestore): BlockRead {
    const place = restore.reserve(row.count, row.entryBytes);
    if (place === undefined) throw new SnapshotFault(byte, 'a block that has no place in this store');
    const slots = Buffer.allocUnsafeSlow(row.count * slotBytes);
    const done = readFully(this.#handle, [slots, place.bytes], byte);
    // Seen by whoever awaits it next.
    done.catch(() => {});
    return { row, byte, place, slots, done };
  }

  async #take({ row, byte, place, slots, done }: BlockRead, restore: StoreRestore): Promise<void> {
    await done;
    if (checksum(slots, place.bytes) !== row.checksum) throw new SnapshotFault(byte, 'a block’s checksum is wrong');
    if (!restore.add(place, slots)) throw new SnapshotFault(byte, 'a block’s slots do not fit its entries');
  }
}

async function read(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  await readFully(handle, [bytes], position);
  return bytes;
}

/** A read may give a part only. */
async function readFully(handle: FileHandle, parts: readonly Buffer[], position: number): Promise<void> {
  let left = parts.filter(({ length }) => length > 0);
  let at = position;
  while (left.length > 0) {
    let { bytesRead } = await handle.readv(left, at);
    if (bytesRead === 0) throw new SnapshotFault(at, 'the file ends');
    at += bytesRead;
    while (left[0] !== undefined && bytesRead >= left[0].length) {
      bytesRead -= left[0].length;
      left = left.slice(1);
    }
    if (left[0] !== undefined) left[0] = left[0].subarray(bytesRead);
  }
}
