import { entryBytesMin } from '../store/entry-layout.ts';
import { blockBytesMax, blockEntriesMax, slotBytes } from '../store/store-dump.ts';
import { checksum } from './checksum.ts';

/*
 * The bytes of a snapshot, as docs/SNAPSHOT.md has them: header, blocks, an index of the blocks, the summary, and a footer of
 * fixed length from which the rest is found. Every length is compared with the size of the file before anything is made of it.
 */

const startMagic = Buffer.from('BITASNP\x01', 'latin1');
const endMagic = Buffer.from('BITAEND\x01', 'latin1');
/** Magic and length of the header. */
export const headerStartBytes = 12;
const checksumBytes = 4;
/** Room for a hundred thousand partitions. */
const textBytesMax = 16 * 1024 * 1024;
const rowBytes = 24;
export const footerBytes = 20;
/** More than the largest store makes of the smallest entries. */
const blocksMax = 2 ** 20;

/** What a snapshot is of: known before the first entry is written. */
export interface SnapshotHeader {
  /** Of `entry-layout.ts`. */
  readonly entryLayout: number;
  readonly topic: string;
  readonly topicId: string;
  readonly clusterId: string | undefined;
  readonly partitioner: string;
  readonly deleteRetentionMs: number;
  /** Whether entries have ids. */
  readonly ordered: boolean;
  /** Of the keys' hashes. Whoever knows it can choose keys that collide, so it is shown nowhere. */
  readonly seed: readonly [number, number];
  readonly createdAtMs: number;
  /** When the node last had all that the log held. */
  readonly caughtUpAtMs: number;
  /** By partition: from where the log is to be read again. */
  readonly positions: readonly number[];
  /** By partition: where the log began when the node began to read it. */
  readonly logStarts: readonly number[];
}

/** Known once the last entry is written. */
export interface SnapshotSummary {
  /** By partition: records below this may be in the snapshot. */
  readonly knownTo: readonly number[];
  /** By partition: the leader epoch of the last record below that; -1 where there is none. */
  readonly leaderEpochs: readonly number[];
  readonly entries: number;
  readonly tombstones: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

export interface BlockRow {
  readonly count: number;
  readonly entryBytes: number;
  readonly checksum: number;
  readonly tombstones: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

/** The file is not a sound snapshot. `byte` is where that was seen. */
export class SnapshotFault extends Error {
  readonly byte: number;

  constructor(byte: number, what: string, options?: { cause?: unknown }) {
    super(`${what}, at byte ${byte}`, options);
    this.name = 'SnapshotFault';
    this.byte = byte;
  }
}

export function blockBytes({ count, entryBytes }: BlockRow): number {
  return count * slotBytes + entryBytes;
}

export function encodeHeader(header: SnapshotHeader): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.concat([startMagic, Buffer.alloc(4), text, Buffer.alloc(checksumBytes)]);
  bytes.writeUInt32LE(text.length, startMagic.length);
  const end = headerStartBytes + text.length;
  bytes.writeUInt32LE(checksum(bytes.subarray(0, end)), end);
  return bytes;
}

/** Bytes of the whole header, by its first `headerStartBytes`. */
export function headerBytes(start: Buffer, fileBytes: number): number {
  if (start.length < headerStartBytes || !start.subarray(0, startMagic.length).equals(startMagic)) {
    throw new SnapshotFault(0, 'this is no snapshot of a version that is known here');
  }
  const length = start.readUInt32LE(startMagic.length);
  const bytes = headerStartBytes + length + checksumBytes;
  if (length > textBytesMax || bytes + footerBytes > fileBytes) {
    throw new SnapshotFault(startMagic.length, `the header is said to have ${length} bytes`);
  }
  return bytes;
}

/** `bytes` is the whole header. */
export function decodeHeader(bytes: Buffer): SnapshotHeader {
  const end = bytes.length - checksumBytes;
  if (bytes.readUInt32LE(end) !== checksum(bytes.subarray(0, end))) {
    throw new SnapshotFault(end, 'the header’s checksum is wrong');
  }
  const fields = parseObject(bytes.toString('utf8', headerStartBytes, end), headerStartBytes);
  const at = headerStartBytes;
  const positions = wholeNumbers(fields, 'positions', 0, at);
  const [seed0, seed1] = wholeNumbers(fields, 'seed', -(2 ** 31), at);
  const logStarts = wholeNumbers(fields, 'logStarts', 0, at);
  if (positions.length === 0 || logStarts.length !== positions.length) throw notOf('the number of partitions', at);
  if (seed0 === undefined || seed1 === undefined) throw notOf('the seed', at);
  return {
    entryLayout: wholeNumber(fields, 'entryLayout', at),
    topic: string(fields, 'topic', at),
    topicId: string(fields, 'topicId', at),
    clusterId: fields.clusterId === undefined ? undefined : string(fields, 'clusterId', at),
    partitioner: string(fields, 'partitioner', at),
    deleteRetentionMs: wholeNumber(fields, 'deleteRetentionMs', at),
    ordered: boolean(fields, 'ordered', at),
    seed: [seed0, seed1],
    createdAtMs: wholeNumber(fields, 'createdAtMs', at),
    caughtUpAtMs: wholeNumber(fields, 'caughtUpAtMs', at),
    positions,
    logStarts,
  };
}

/** Index, summary and footer. */
export function encodeTail(rows: readonly BlockRow[], summary: SnapshotSummary): Buffer {
  const text = Buffer.from(JSON.stringify(summary));
  const bytes = Buffer.alloc(rows.length * rowBytes + text.length + footerBytes);
  for (const [i, row] of rows.entries()) {
    const numbers = [row.count, row.entryBytes, row.checksum, row.tombstones, row.keyBytes, row.valueBytes];
    for (const [j, number] of numbers.entries()) bytes.writeUInt32LE(number, i * rowBytes + 4 * j);
  }
  let at = rows.length * rowBytes;
  at += text.copy(bytes, at);
  at = bytes.writeUInt32LE(rows.length, at);
  at = bytes.writeUInt32LE(text.length, at);
  at = bytes.writeUInt32LE(checksum(bytes.subarray(0, at)), at);
  endMagic.copy(bytes, at);
  return bytes;
}

/** Bytes of index, summary and footer together, by the footer. */
export function tailBytes(footer: Buffer, fileBytes: number): number {
  const at = fileBytes - footerBytes;
  if (footer.length < footerBytes || !footer.subarray(footerBytes - endMagic.length).equals(endMagic)) {
    throw new SnapshotFault(Math.max(0, at), 'the end is missing');
  }
  const [rows, length] = [footer.readUInt32LE(0), footer.readUInt32LE(4)];
  const bytes = rows * rowBytes + length + footerBytes;
  if (rows > blocksMax || length > textBytesMax || bytes > at) {
    throw new SnapshotFault(at, `there are said to be ${rows} blocks and a summary of ${length} bytes`);
  }
  return bytes;
}

/** `bytes` is index, summary and footer; `start` the byte of the file where they begin, `blocksStart` where the blocks do. */
export function decodeTail(
  bytes: Buffer,
  { start, blocksStart }: { readonly start: number; readonly blocksStart: number },
): { readonly rows: readonly BlockRow[]; readonly summary: SnapshotSummary } {
  const end = bytes.length - footerBytes;
  const sumAt = end + 8;
  if (bytes.readUInt32LE(sumAt) !== checksum(bytes.subarray(0, sumAt))) {
    throw new SnapshotFault(start + sumAt, 'the checksum of the index is wrong');
  }
  const rows: BlockRow[] = [];
  const indexBytes = bytes.readUInt32LE(end) * rowBytes;
  let blocksEnd = blocksStart;
  for (let at = 0; at < indexBytes; at += rowBytes) {
    const row = {
      count: bytes.readUInt32LE(at),
      entryBytes: bytes.readUInt32LE(at + 4),
      checksum: bytes.readUInt32LE(at + 8),
      tombstones: bytes.readUInt32LE(at + 12),
      keyBytes: bytes.readUInt32LE(at + 16),
      valueBytes: bytes.readUInt32LE(at + 20),
    };
    if (!isBlock(row)) {
      throw new SnapshotFault(start + at, `no block has ${row.count} entries of ${row.entryBytes} bytes`);
    }
    rows.push(row);
    blocksEnd += blockBytes(row);
  }
  if (blocksEnd !== start) throw new SnapshotFault(start, `the blocks are said to end at byte ${blocksEnd}`);
  const summaryAt = start + indexBytes;
  const fields = parseObject(bytes.toString('utf8', indexBytes, end), summaryAt);
  const summary = {
    knownTo: wholeNumbers(fields, 'knownTo', 0, summaryAt),
    leaderEpochs: wholeNumbers(fields, 'leaderEpochs', -1, summaryAt),
    entries: wholeNumber(fields, 'entries', summaryAt),
    tombstones: wholeNumber(fields, 'tombstones', summaryAt),
    keyBytes: wholeNumber(fields, 'keyBytes', summaryAt),
    valueBytes: wholeNumber(fields, 'valueBytes', summaryAt),
  };
  const totals = totalsOf(rows);
  for (const name of ['entries', 'tombstones', 'keyBytes', 'valueBytes'] as const) {
    if (summary[name] !== totals[name]) throw new SnapshotFault(summaryAt, `the blocks have other ${name} together`);
  }
  return { rows, summary };
}

/** Only one entry alone may be longer than a block. */
function isBlock({ count, entryBytes }: BlockRow): boolean {
  if (count === 1) return entryBytes > 0;
  return count > 0 && count <= blockEntriesMax && entryBytes >= count * entryBytesMin && entryBytes <= blockBytesMax;
}

/** What blocks have together. */
export function totalsOf(
  rows: readonly BlockRow[],
): Pick<SnapshotSummary, 'entries' | 'tombstones' | 'keyBytes' | 'valueBytes'> {
  const sum = (name: 'count' | 'tombstones' | 'keyBytes' | 'valueBytes') =>
    rows.reduce((total, row) => total + row[name], 0);
  return {
    entries: sum('count'),
    tombstones: sum('tombstones'),
    keyBytes: sum('keyBytes'),
    valueBytes: sum('valueBytes'),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(text: string, byte: number): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SnapshotFault(byte, 'what should be JSON is not', { cause });
  }
  if (typeof value !== 'object' || value === null) throw new SnapshotFault(byte, 'what should be a JSON object is not');
  return value as Fields;
}

function string(fields: Fields, name: string, byte: number): string {
  const value = fields[name];
  if (typeof value !== 'string') throw notOf(name, byte);
  return value;
}

function boolean(fields: Fields, name: string, byte: number): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw notOf(name, byte);
  return value;
}

function wholeNumber(fields: Fields, name: string, byte: number): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw notOf(name, byte);
  return value as number;
}

function wholeNumbers(fields: Fields, name: string, min: number, byte: number): readonly number[] {
  const values = fields[name];
  if (!Array.isArray(values) || !values.every((value) => Number.isSafeInteger(value) && value >= min)) {
    throw notOf(name, byte);
  }
  return values as number[];
}

function notOf(name: string, byte: number): SnapshotFault {
  return new SnapshotFault(byte, `${name} is not what it should be`);
}
