import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type FlushPolicy, type LogConfig, PartitionLog } from '../../../../src/broker/storage/partition-log.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { KafkaError, type KafkaErrorName } from '../../../../src/protocol/errors.ts';
import {
  type BatchHeader,
  type NewBatch,
  readHeader,
  recordBytes,
  walkRecords,
  writeBatch,
} from '../../../../src/protocol/record-batch.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

export const defaults: LogConfig = {
  segmentBytes: 1024 * 1024,
  segmentMs: Number.MAX_SAFE_INTEGER,
  retentionMs: -1,
  retentionBytes: -1,
  maxMessageBytes: 1024 * 1024,
  cleanupPolicy: { compact: false, delete: true },
  deleteRetentionMs: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  minCleanableDirtyRatio: 0.5,
  messageTimestampType: 'CreateTime',
  indexIntervalBytes: 64,
};
export const compacted: LogConfig = { ...defaults, cleanupPolicy: { compact: true, delete: false } };
export const quiet = createLogger('silent', { terminal: false });

export interface Found {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestampMs: number;
}

/** Folders and logs of one test, gone at its end. */
export class LogRig {
  readonly clock = new FakeClock();
  readonly #folders: string[] = [];
  readonly #logs: PartitionLog[] = [];

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'bitacora-log-'));
    this.#folders.push(folder);
    return folder;
  }

  async open(
    folder: string,
    config: Partial<LogConfig> = {},
    flush: FlushPolicy = 'none',
    leaderEpoch = 0,
  ): Promise<PartitionLog> {
    const options = {
      folder,
      config: { ...defaults, ...config },
      clock: this.clock,
      logger: quiet,
      flush,
      leaderEpoch,
    };
    const log = await PartitionLog.open(options);
    this.#logs.push(log);
    return log;
  }

  async fresh(config: Partial<LogConfig> = {}, flush: FlushPolicy = 'none'): Promise<PartitionLog> {
    return this.open(await this.folder(), config, flush);
  }

  async clean(): Promise<void> {
    for (const log of this.#logs.splice(0)) await log.close().catch(() => undefined);
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }
}

/** A batch with these values under the keys before the colons; `key:` alone is a tombstone, no colon no key. */
export function batchOf(texts: readonly string[], more: Partial<NewBatch> & { timestampMs?: number } = {}): Buffer {
  const { timestampMs = 1_700_000_000_000, ...batch } = more;
  const records = texts.map((text) => {
    const [first, second] = text.split(':') as [string, string?];
    const [key, value] = second === undefined ? [null, first] : [first, second === '' ? null : second];
    return {
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      timestampMs,
    };
  });
  return writeBatch({ ...batch, records });
}

export function append(log: PartitionLog, texts: readonly string[], more: Parameters<typeof batchOf>[1] = {}) {
  return log.append(batchOf(texts, more), { leaderEpoch: 0, origin: 'client' });
}

export async function headersOf(
  log: PartitionLog,
  { maxBytes = 4096, isolation = 'read_uncommitted' as 'read_uncommitted' | 'read_committed' } = {},
): Promise<BatchHeader[]> {
  const headers: BatchHeader[] = [];
  for (let offset = log.logStartOffset; ; ) {
    const { records } = await log.read(offset, { maxBytes, minOneBatch: true, isolation });
    if (records.length === 0) return headers;
    for (let at = 0; at < records.length; ) {
      const header = readHeader(records, at);
      expect(header.lastOffset).to.be.at.least(offset);
      headers.push(header);
      at += header.bytes;
      offset = header.lastOffset + 1;
    }
  }
}

/** All records that are not markers, read in answers of some size; with read_committed without those of aborted transactions. */
export async function recordsOf(
  log: PartitionLog,
  {
    from = log.logStartOffset,
    maxBytes = 4096,
    isolation = 'read_uncommitted' as 'read_uncommitted' | 'read_committed',
  } = {},
): Promise<Found[]> {
  const found: Found[] = [];
  for (let offset = from; ; ) {
    const { records, abortedTransactions } = await log.read(offset, { maxBytes, minOneBatch: true, isolation });
    if (records.length === 0) return found;
    const aborted = [...abortedTransactions];
    const open = new Set<number>();
    for (let at = 0; at < records.length; ) {
      const header = readHeader(records, at);
      for (const { producerId } of aborted.filter(({ firstOffset }) => firstOffset <= header.lastOffset))
        open.add(producerId);
      aborted.splice(0, aborted.length, ...aborted.filter(({ firstOffset }) => firstOffset > header.lastOffset));
      if (header.isControl) open.delete(header.producerId);
      else if (!(header.isTransactional && open.has(header.producerId))) {
        const bytes = await recordBytes(records, at, header, 1024 * 1024);
        walkRecords(bytes, header.count, (span) => {
          const part = (start: number, length: number) =>
            length < 0 ? null : bytes.toString('utf8', start, start + length);
          const record = {
            offset: header.baseOffset + span.offsetDelta,
            key: part(span.keyStart, span.keyLength),
            value: part(span.valueStart, span.valueLength),
            timestampMs: header.isLogAppendTime ? header.maxTimestampMs : header.baseTimestampMs + span.timestampDelta,
          };
          if (record.offset >= offset) found.push(record);
        });
      }
      at += header.bytes;
      offset = header.lastOffset + 1;
    }
  }
}

/** The name of the `KafkaError` that an action fails with. */
export async function failureOf(action: () => unknown): Promise<KafkaErrorName | undefined> {
  try {
    await action();
  } catch (error) {
    if (error instanceof KafkaError) return error.error;
    throw error;
  }
  return undefined;
}
