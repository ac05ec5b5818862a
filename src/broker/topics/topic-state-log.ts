import { type NewRecord, readHeader, recordBytes, walkRecords, writeBatch } from '../../protocol/record-batch.ts';
import type { StateEntry, StateLog, StateProducer } from '../state-log.ts';
import type { PartitionLog } from '../storage/partition-log.ts';

const readBytes = 1024 * 1024;
/** What one batch of the broker's own may unpack to. */
const unpackedBytesMax = 64 * 1024 * 1024;

/** A coordinator's state in the one partition of a topic of the broker's own. */
export class TopicStateLog implements StateLog {
  readonly #log: PartitionLog;
  readonly #leaderEpoch: number;

  constructor(log: PartitionLog, leaderEpoch: number) {
    this.#log = log;
    this.#leaderEpoch = leaderEpoch;
  }

  async append(records: readonly NewRecord[], producer?: StateProducer): Promise<void> {
    const batch = writeBatch({ ...producer, isTransactional: producer !== undefined, records });
    const { lastOffset } = this.#log.append(batch, { leaderEpoch: this.#leaderEpoch, origin: 'coordinator' });
    await this.#log.flushed(lastOffset + 1);
  }

  async replay(visit: (entry: StateEntry) => void): Promise<void> {
    let offset = this.#log.logStartOffset;
    while (offset < this.#log.endOffset) {
      const { records } = await this.#log.read(offset, {
        maxBytes: readBytes,
        minOneBatch: true,
        isolation: 'read_uncommitted',
      });
      if (records.length === 0) return;
      for (let at = 0; at < records.length; ) {
        const header = readHeader(records, at);
        await visitBatch(records, at, visit);
        offset = header.lastOffset + 1;
        at += header.bytes;
      }
    }
  }
}

async function visitBatch(buffer: Buffer, at: number, visit: (entry: StateEntry) => void): Promise<void> {
  const header = readHeader(buffer, at);
  const { producerId, producerEpoch, baseTimestampMs, count } = header;
  const producer = { producerId, producerEpoch };
  const bytes = await recordBytes(buffer, at, header, unpackedBytesMax);
  const part = (start: number, length: number): Buffer | null =>
    length < 0 ? null : bytes.subarray(start, start + length);
  walkRecords(bytes, count, ({ keyStart, keyLength, valueStart, valueLength, timestampDelta }) => {
    if (header.isControl) {
      // The key of a marker: its version, and 0 for abort, 1 for commit.
      visit({ kind: 'marker', producer, commit: bytes.readInt16BE(keyStart + 2) === 1 });
      return;
    }
    visit({
      kind: 'record',
      key: part(keyStart, keyLength),
      value: part(valueStart, valueLength),
      timestampMs: baseTimestampMs + timestampDelta,
      transaction: header.isTransactional ? producer : undefined,
    });
  });
}
