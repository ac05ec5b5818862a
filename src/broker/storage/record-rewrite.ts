import {
  type BatchHeader,
  type NewRecord,
  type RecordSpan,
  walkRecords,
  writeBatch,
} from '../../protocol/record-batch.ts';
import { WireReader } from '../../protocol/wire.ts';

/** What a batch keeps of itself when records are taken out of it: its offsets, its producer and its sequences. */
function remainsOf(header: BatchHeader) {
  return {
    baseOffset: header.baseOffset,
    lastOffsetDelta: header.lastOffset - header.baseOffset,
    leaderEpoch: header.leaderEpoch,
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    isLogAppendTime: header.isLogAppendTime,
  };
}

/** A batch without its records. */
export function emptied(header: BatchHeader): Buffer {
  return writeBatch({ ...remainsOf(header), records: [] });
}

/**
 * The batch with those of its records, given decompressed in `bytes`, that `isKept` has a true for; not compressed. `deleteHorizonMs`:
 * when its tombstones or its marker may go.
 */
export function rewritten(
  header: BatchHeader,
  bytes: Buffer,
  isKept: (index: number) => boolean,
  deleteHorizonMs: number | undefined,
): Buffer {
  const records: NewRecord[] = [];
  let index = 0;
  walkRecords(bytes, header.count, (span) => {
    if (isKept(index)) records.push(recordOf(header, bytes, span));
    index += 1;
  });
  return writeBatch({ ...remainsOf(header), ...(deleteHorizonMs !== undefined && { deleteHorizonMs }), records });
}

function recordOf(header: BatchHeader, bytes: Buffer, span: RecordSpan): NewRecord {
  const part = (start: number, length: number): Buffer | null =>
    length < 0 ? null : bytes.subarray(start, start + length);
  return {
    key: part(span.keyStart, span.keyLength),
    value: part(span.valueStart, span.valueLength),
    headers: headersOf(new WireReader(bytes, span.headersStart, span.end)),
    timestampMs: header.isLogAppendTime ? header.maxTimestampMs : header.baseTimestampMs + span.timestampDelta,
    offsetDelta: span.offsetDelta,
  };
}

function headersOf(reader: WireReader): [string, Buffer | null][] {
  const headers: [string, Buffer | null][] = [];
  for (let left = reader.varint(); left > 0; left -= 1) {
    const name = reader.text(reader.varint());
    const valueLength = reader.varint();
    headers.push([name, valueLength < 0 ? null : reader.slice(valueLength)]);
  }
  return headers;
}
