import { announcedBytes, type BatchHeader, lastOffsetAt, readHeader } from '../../protocol/record-batch.ts';
import { WireError, WireReader } from '../../protocol/wire.ts';
import type { UnreadableReason } from './unreadable-batch.ts';

/** A batch where it lies in the records of an answer. */
export interface FetchedBatch {
  readonly at: number;
  readonly header: BatchHeader;
}

/** What an answer has of one partition, by the headers of its batches alone. */
export interface FetchedBatches {
  readonly count: number;
  /**
   * In order, each read when it is asked for: an answer may have several hundred thousand, whose headers together would take more
   * memory than the answer.
   */
  readonly batches: Iterable<FetchedBatch>;
  /** After the last of them: where the next fetch begins. */
  readonly nextOffset: number;
  /** What stands behind the last of them and is no batch. */
  readonly fault: BatchFault | undefined;
  /** There are bytes, and not one whole batch: it is larger than the answer had room for. */
  readonly isCut: boolean;
}

export interface BatchFault {
  readonly reason: UnreadableReason;
  readonly offset: number;
  readonly detail: string;
}

/** Where the format version stands, in a batch as in a message of the formats before. */
const magicAt = 16;

/**
 * Finds the batches in `records` from the position on. The last one may be cut off, which is no fault: brokers cut answers at so
 * many bytes. Batches before the position are left out.
 */
export function fetchedBatches(records: Buffer, position: number): FetchedBatches {
  let count = 0;
  let nextOffset = position;
  let at = 0;
  let fault: BatchFault | undefined;
  while (records.length - at > magicAt) {
    const bytes = announcedBytes(records, at)!;
    const version = records.readInt8(at + magicAt);
    if (version === 0 || version === 1) {
      const detail = `it has message format ${version}, which is from before Kafka 0.11`;
      fault = { reason: 'old_format', offset: baseOffsetAt(records, at), detail };
      break;
    }
    if (bytes > records.length - at && version === 2) break;
    const lastOffset = lastOffsetAt(records, at);
    if (lastOffset === undefined || !Number.isSafeInteger(lastOffset + 1) || records.readInt32BE(at) < 0) {
      fault = { reason: 'format', offset: nextOffset, detail: whatIsWrong(records, at) };
      break;
    }
    if (lastOffset >= nextOffset) {
      count += 1;
      nextOffset = lastOffset + 1;
    }
    at += bytes;
  }
  const isCut = at === 0 && records.length > 0 && fault === undefined;
  return { count, batches: batchesOf(records, position, at), nextOffset, fault, isCut };
}

/** Of those that have been found to have headers, up to `end`. */
function* batchesOf(records: Buffer, position: number, end: number): Generator<FetchedBatch> {
  let nextOffset = position;
  for (let at = 0; at < end; at += announcedBytes(records, at)!) {
    if (lastOffsetAt(records, at)! < nextOffset) continue;
    const header = readHeader(records, at);
    nextOffset = header.lastOffset + 1;
    yield { at, header };
  }
}

function baseOffsetAt(records: Buffer, at: number): number {
  return new WireReader(records, at).int64();
}

function whatIsWrong(records: Buffer, at: number): string {
  try {
    readHeader(records, at);
  } catch (error) {
    if (error instanceof WireError) return error.message;
    throw error;
  }
  return `a batch has offset ${baseOffsetAt(records, at)}`;
}
