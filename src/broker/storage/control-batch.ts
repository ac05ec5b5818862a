import { type BatchHeader, batchHeaderBytes, walkRecords, writeBatch } from '../../protocol/record-batch.ts';
import { WireError } from '../../protocol/wire.ts';

export interface ControlMarker {
  readonly commit: boolean;
  readonly coordinatorEpoch: number;
}

export interface NewMarker extends ControlMarker {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly timestampMs: number;
}

const abortType = 0;
const commitType = 1;
/** Both the key (version 2 | type 2) and the value (version 2 | coordinatorEpoch 4) have it. */
const schemaVersion = 0;

/** The end of a transaction, as Kafka writes it (https://kafka.apache.org/documentation/#controlbatch). */
export function writeMarker({ producerId, producerEpoch, timestampMs, commit, coordinatorEpoch }: NewMarker): Buffer {
  const key = Buffer.alloc(4);
  key.writeInt16BE(schemaVersion, 0);
  key.writeInt16BE(commit ? commitType : abortType, 2);
  const value = Buffer.alloc(6);
  value.writeInt16BE(schemaVersion, 0);
  value.writeInt32BE(coordinatorEpoch, 2);
  return writeBatch({
    producerId,
    producerEpoch,
    isTransactional: true,
    isControl: true,
    records: [{ key, value, timestampMs }],
  });
}

/** The marker in a control batch at `at`; undefined when the batch has none, or a control record of another kind. */
export function readMarker(buffer: Buffer, at: number, header: BatchHeader): ControlMarker | undefined {
  const bytes = buffer.subarray(at + batchHeaderBytes, at + header.bytes);
  let marker: ControlMarker | undefined;
  try {
    walkRecords(bytes, header.count, ({ keyStart, keyLength, valueStart, valueLength }) => {
      if (keyLength < 4) return;
      const type = bytes.readInt16BE(keyStart + 2);
      if (type !== abortType && type !== commitType) return;
      const coordinatorEpoch = valueLength < 6 ? -1 : bytes.readInt32BE(valueStart + 2);
      marker = { commit: type === commitType, coordinatorEpoch };
    });
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  return marker;
}
