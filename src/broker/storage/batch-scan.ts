import { read } from 'node:fs';
import { promisify } from 'node:util';
import {
  announcedBytes,
  type BatchHeader,
  batchHeaderBytes,
  batchPrefixBytes,
  hasSoundCrc,
  readHeader,
} from '../../protocol/record-batch.ts';
import { WireError } from '../../protocol/wire.ts';

export const readFromFile = promisify(read);

/** Read at once: what can be gone over without holding up others for long. */
const chunkBytes = 256 * 1024;

/** A batch where it lies in memory during a scan; the memory is used again for the next ones. */
export interface ScannedBatch {
  readonly header: BatchHeader;
  readonly buffer: Buffer;
  readonly at: number;
  /** In the file. */
  readonly position: number;
}

export interface ScanRange {
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly checksCrc: boolean;
}

export interface ScanEnd {
  /** Where the last sound batch ends. */
  readonly position: number;
  /** Why the scan ended before the end of the range; undefined: it did not, or the visitor wanted no more. */
  readonly fault: string | undefined;
}

/**
 * Calls `visit` with the batches in a range of a file, one after the other, until it answers false. Nothing in the file is believed:
 * the scan ends in front of the first batch that is not sound. Rejects with what reading or the visitor throws.
 */
export async function scanBatches(
  fd: number,
  { fromPosition, toPosition, checksCrc }: ScanRange,
  visit: (batch: ScannedBatch) => unknown,
): Promise<ScanEnd> {
  let buffer: Buffer = Buffer.allocUnsafe(Math.max(0, Math.min(chunkBytes, toPosition - fromPosition)));
  let filled = 0;
  let at = 0;
  let position = fromPosition;
  const end = (fault?: string): ScanEnd => ({ position, fault });
  while (position < toPosition) {
    const announced =
      filled - at < batchPrefixBytes ? batchPrefixBytes : announcedBytes(buffer.subarray(0, filled), at)!;
    if (announced > toPosition - position) return end('a batch that is not there whole');
    if (announced > filled - at) {
      buffer = moved(buffer, at, filled, announced);
      filled -= at;
      at = 0;
      const room = Math.min(buffer.length, toPosition - position) - filled;
      const { bytesRead } = await readFromFile(fd, buffer, filled, room, position + filled);
      if (bytesRead === 0) return end('the file ends early');
      filled += bytesRead;
      continue;
    }
    // The length was not known before.
    if (announced === batchPrefixBytes) return end('a batch without a header');
    const header = soundHeader(buffer.subarray(0, filled), at, announced, checksCrc);
    if (typeof header === 'string') return end(header);
    const answer = visit({ header, buffer, at, position });
    if ((answer instanceof Promise ? await answer : answer) === false) return end();
    at += header.bytes;
    position += header.bytes;
  }
  return end();
}

/** A buffer that has room for `needed` bytes, and begins with what `buffer` holds from `at` on. */
function moved(buffer: Buffer, at: number, filled: number, needed: number): Buffer {
  if (needed <= buffer.length) {
    buffer.copy(buffer, 0, at, filled);
    return buffer;
  }
  const larger = Buffer.allocUnsafe(needed);
  buffer.copy(larger, 0, at, filled);
  return larger;
}

function soundHeader(buffer: Buffer, at: number, announced: number, checksCrc: boolean): BatchHeader | string {
  if (announced < batchHeaderBytes) return `a batch of ${announced} bytes`;
  try {
    const header = readHeader(buffer, at);
    return checksCrc && !hasSoundCrc(buffer, at, header.bytes) ? 'a batch with a wrong CRC' : header;
  } catch (error) {
    if (error instanceof WireError) return error.message;
    throw error;
  }
}
