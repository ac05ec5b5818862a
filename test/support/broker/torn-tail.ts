import { open, readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { batchHeaderBytes, readHeader } from '../../../src/protocol/record-batch.ts';
import type { Random } from '../protocol/mutations.ts';

const batchLengthAt = 8;
const crcAt = 17;

/** What a loss of power may leave at the end of a file that was being written. */
export type Tear = 'noise' | 'zeroes' | 'half a batch' | 'a batch with another CRC' | 'the last batch cut';

/**
 * Does to the end of a partition's log what `tear` says, as nobody was told that it is there: batches before `safeOffset` stay. Answers
 * whether it did: what is cut must be there.
 */
export async function tearTail(folder: string, tear: Tear, safeOffset: number, random: Random): Promise<boolean> {
  const logs = (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();
  const path = join(folder, logs.at(-1)!);
  const bytes = await readFile(path);
  const last = lastBatchAt(bytes);
  if (tear === 'noise' || tear === 'zeroes') {
    const length = 1 + random.below(300);
    const added = Buffer.from(Array.from({ length }, () => (tear === 'noise' ? random.below(256) : 0)));
    await append(path, added);
    return true;
  }
  if (last === undefined) return false;
  const { baseOffset, lastOffset, bytes: batchBytes } = readHeader(bytes, last);
  if (tear === 'the last batch cut') {
    if (baseOffset < safeOffset) return false;
    await truncate(path, last + 1 + random.below(batchBytes - 1));
    return true;
  }
  const next = Buffer.from(bytes.subarray(last, last + batchBytes));
  next.writeBigInt64BE(BigInt(lastOffset + 1), 0);
  if (tear === 'a batch with another CRC') {
    next.writeUInt32BE((next.readUInt32BE(crcAt) ^ 1) >>> 0, crcAt);
    await append(path, next);
  } else {
    await append(path, next.subarray(0, 1 + random.below(batchBytes - 1)));
  }
  return true;
}

/** Where the last whole batch begins. */
function lastBatchAt(bytes: Buffer): number | undefined {
  let last: number | undefined;
  for (let at = 0; at + batchHeaderBytes <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + batchLengthAt);
    if (end > bytes.length || end <= at) break;
    last = at;
    at = end;
  }
  return last;
}

async function append(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'a');
  try {
    await file.write(bytes);
  } finally {
    await file.close();
  }
}
