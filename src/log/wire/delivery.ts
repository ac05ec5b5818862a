import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { CodecError } from '../../protocol/codecs.ts';
import { hasSoundCrc, recordBytes } from '../../protocol/record-batch.ts';
import { WireError } from '../../protocol/wire.ts';
import type { ReadHandler, RecordSlices } from '../log.ts';
import { BatchColumns } from './batch-columns.ts';
import type { FetchedBatch, FetchedBatches } from './fetched-batches.ts';
import type { PartitionCursor } from './partition-cursor.ts';
import type { TransactionFilter } from './transaction-filter.ts';
import { UnreadableBatchError } from './unreadable-batch.ts';

/** What an answer has of one partition. */
export interface FetchedPartition {
  readonly cursor: PartitionCursor;
  /** The offset that was asked for. */
  readonly fromOffset: number;
  readonly records: Buffer;
  readonly found: FetchedBatches;
  readonly filter: TransactionFilter;
}

/** A batch whose bytes were looked at; no records: there is nothing in it for a reader. */
interface OpenedBatch {
  readonly batch: FetchedBatch;
  readonly records: Buffer | undefined;
}

export interface DeliveryOptions {
  readonly topic: string;
  readonly handler: ReadHandler;
  readonly clock: Clock;
  /** Of the records of one batch, unpacked. */
  readonly unpackedBytesMax: number;
  /** Once aborted, the handler is not called any more. */
  readonly signal: AbortSignal;
}

/** A handler that returns at once would keep the process from everything else for a whole answer of tiny batches. */
const turnMs = 5;

/**
 * Hands what was fetched to the handler: one call at a time, however many brokers answer. The next batch is unpacked while one
 * is handed on.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #columns = new BatchColumns();
  #turn: Promise<void> = Promise.resolve();
  #yieldedAtMs = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the cursor is behind the last batch, or the delivery was aborted. Rejects with an `UnreadableBatchError` when a
   * batch cannot be read; the cursor is before it then.
   */
  async deliver(fetched: FetchedPartition): Promise<void> {
    const { cursor, fromOffset, found } = fetched;
    const { signal } = this.#options;
    if (cursor.position !== fromOffset) {
      cursor.rewind();
      return;
    }
    const batches = found.batches[Symbol.iterator]();
    let upcoming = this.#open(fetched, batches.next().value);
    for (let index = 0; index < found.count; index += 1) {
      const opened = await upcoming;
      if (signal.aborted) return;
      upcoming = this.#open(fetched, batches.next().value);
      // It is awaited in the next round, if there is one.
      upcoming.catch(() => {});
      await this.#inTurn(() => this.#handOn(cursor, opened!));
      if (signal.aborted) return;
    }
    if (found.fault !== undefined) {
      const { reason, offset, detail } = found.fault;
      throw this.#unreadable(reason, cursor, offset, detail);
    }
  }

  /** One at a time, in the order of the calls. */
  async #inTurn(task: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    let finish: () => void = () => {};
    this.#turn = new Promise((resolve) => {
      finish = resolve;
    });
    await before;
    try {
      await task();
    } finally {
      finish();
    }
  }

  /** undefined: there is no such batch. */
  async #open(
    { cursor, records, filter }: FetchedPartition,
    batch: FetchedBatch | undefined,
  ): Promise<OpenedBatch | undefined> {
    if (batch === undefined) return undefined;
    const { at, header } = batch;
    if (!hasSoundCrc(records, at, header.bytes)) {
      throw this.#unreadable('crc', cursor, header.baseOffset, 'its bytes are not those that its CRC was made of');
    }
    if (filter.drops(header) || header.count === 0) return { batch, records: undefined };
    try {
      return { batch, records: await recordBytes(records, at, header, this.#options.unpackedBytesMax) };
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      const reason = error.reason === 'too-large' ? 'too_large' : 'codec';
      throw this.#unreadable(reason, cursor, header.baseOffset, error.message, error);
    }
  }

  async #handOn(cursor: PartitionCursor, { batch: { header }, records }: OpenedBatch): Promise<void> {
    const { handler, signal, clock } = this.#options;
    const columns = this.#columns;
    if (signal.aborted) return;
    if (records !== undefined) {
      columns.start(cursor.partition, records, header, cursor.position);
      for (;;) {
        const slices = this.#next(cursor, header.baseOffset);
        if (slices === undefined) break;
        await handler.onBatch(slices);
        cursor.moved(slices.nextOffset, slices.leaderEpoch);
        if (signal.aborted) break;
      }
      columns.end();
      if (signal.aborted) return;
    }
    const nextOffset = header.lastOffset + 1;
    if (cursor.position < nextOffset) {
      cursor.moved(nextOffset, header.leaderEpoch);
      handler.onGap(cursor.partition, nextOffset, header.leaderEpoch);
    }
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#yieldedAtMs < turnMs) return;
    await yieldToEventLoop();
    this.#yieldedAtMs = clock.monotonicMs();
  }

  #next(cursor: PartitionCursor, offset: number): RecordSlices | undefined {
    try {
      return this.#columns.next();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw this.#unreadable('format', cursor, offset, error.message, error);
    }
  }

  #unreadable(
    reason: UnreadableBatchError['reason'],
    { partition }: PartitionCursor,
    offset: number,
    detail: string,
    cause?: unknown,
  ): UnreadableBatchError {
    const { topic } = this.#options;
    return new UnreadableBatchError(reason, { topic, partition, offset }, detail, { cause });
  }
}
