import { Backoff, type Clock, pause } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Appended, AppendRecord } from './log.ts';

/** What became of one attempt to append a batch. */
export type SendOutcome =
  | { readonly kind: 'appended'; readonly baseOffset: number; readonly logAppendTimeMs: number | undefined }
  /** Nothing left this process. */
  | { readonly kind: 'not-sent'; readonly error: unknown }
  /**
   * The log answered that it did not append. `retry` says what may help: the same batch later; the same batch, but no longer
   * recognized as a repetition (`anew`); the batch in two halves (it is too large, or one record is at fault); or nothing.
   */
  | { readonly kind: 'rejected'; readonly retry: 'same' | 'anew' | 'split' | 'never'; readonly error: BitacoraError }
  /** It left, and no answer says what became of it. */
  | { readonly kind: 'unknown'; readonly error: unknown };

/** Sends batches to one partition, one at a time. */
export interface BatchSender {
  /**
   * Until `forget` is called, sending the *same* batch again after any outcome but `appended` and `anew` appends it at most
   * once (idempotence by producer id and sequence, KIP-98).
   */
  send(batch: readonly AppendRecord[]): Promise<SendOutcome>;
  /** The last batch is given up although it may have been appended: what is sent next must not be taken for its repetition. */
  forget(): void;
  /** Rejects unless the log can be reached. */
  probe(): Promise<void>;
}

export interface GroupCommitOptions {
  readonly clock: Clock;
  /** A write is answered within this time, whatever happens. */
  readonly writeTimeoutMs: number;
  /** Bound of a batch, in bytes of keys, values and an allowance for each record's frame. */
  readonly batchBytesMax: number;
  /** Bound of a batch in records: consumers that use kafkajs fail on a hundred thousand (it spreads them on the stack). */
  readonly batchRecordsMax: number;
  readonly budget: QueueBudget;
}

/** Bytes of records that wait or are in flight; one budget may serve many partitions. */
export interface QueueBudget {
  readonly bytesMax: number;
  bytes: number;
}

export interface GroupCommitStats {
  appended: number;
  batches: number;
  unknown: number;
  refused: number;
}

/** A record's frame in a batch: lengths, deltas, attributes; generous. */
const frameBytes = 64;
/** With failures for this long, new writes are refused at once instead of waiting for their time-out. */
const downAfterMs = 1_000;

interface Pending {
  readonly record: AppendRecord;
  readonly bytes: number;
  state: 'queued' | 'sent' | 'settled';
  resolve(appended: Appended): void;
  reject(error: BitacoraError): void;
  cancelDeadline: () => void;
}

/**
 * Group commit for one partition: one batch is in flight at a time, and whatever arrives meanwhile goes out together in the
 * next one. Latency stays one round trip, and throughput grows with the number of writers.
 *
 * What it promises:
 * - Every append settles within `writeTimeoutMs`: as appended, as certainly not appended, or as unknown. Never "failed" when
 *   the record may be in the log.
 * - A batch whose fate is unknown is sent again, the same, until the answer comes or nobody waits any more: the sender's
 *   idempotence turns most unknowns into answers (a broker's restart, a lost reply).
 * - While nothing gets through, new appends are refused at once, and those that wait and were never sent with them.
 */
export class GroupCommit {
  readonly stats: GroupCommitStats = { appended: 0, batches: 0, unknown: 0, refused: 0 };
  readonly #sender: BatchSender;
  readonly #options: GroupCommitOptions;
  readonly #stopping = new AbortController();
  #queue: Pending[] = [];
  #pumping: Promise<void> | undefined;
  #failingSinceMs: number | undefined;
  #lastError: unknown;
  #draining = false;

  constructor(sender: BatchSender, options: GroupCommitOptions) {
    this.#sender = sender;
    this.#options = options;
  }

  get queued(): number {
    return this.#queue.length;
  }

  append(record: AppendRecord): Promise<Appended> {
    const { budget, clock, writeTimeoutMs } = this.#options;
    const bytes = record.key.length + (record.value?.length ?? 0) + frameBytes;
    if (this.#draining) return this.#refuse(new BitacoraError('shutting_down', 'The node takes no more writes.'));
    if (this.#isDown()) return this.#refuse(this.#unavailable());
    if (budget.bytes + bytes > budget.bytesMax) {
      return this.#refuse(
        new BitacoraError(
          'overloaded',
          `More than ${budget.bytesMax} bytes of writes wait for the log; try again later.`,
        ),
      );
    }
    budget.bytes += bytes;
    return new Promise((resolve, reject) => {
      const pending: Pending = { record, bytes, state: 'queued', resolve, reject, cancelDeadline: () => {} };
      pending.cancelDeadline = clock.after(writeTimeoutMs, () => this.#expire(pending));
      this.#queue.push(pending);
      this.#pumping ??= this.#pump();
    });
  }

  /** Takes no new appends and waits for those it has; each ends within its own deadline. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#pumping;
  }

  stop(): void {
    this.#draining = true;
    this.#stopping.abort();
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0 && !this.#stopping.signal.aborted) {
      const batch = this.#takeBatch();
      if (batch.length > 0) await this.#commit(batch);
    }
    for (const pending of this.#queue.splice(0)) this.#fail(pending, this.#unavailable());
    this.#pumping = undefined;
  }

  #takeBatch(): Pending[] {
    const { batchBytesMax, batchRecordsMax } = this.#options;
    const batch: Pending[] = [];
    let bytes = 0;
    let taken = 0;
    for (const pending of this.#queue) {
      if (pending.state === 'settled') {
        taken += 1;
        continue;
      }
      if (batch.length > 0 && (bytes + pending.bytes > batchBytesMax || batch.length >= batchRecordsMax)) break;
      bytes += pending.bytes;
      batch.push(pending);
      taken += 1;
    }
    this.#queue = this.#queue.slice(taken);
    return batch;
  }

  async #commit(taken: readonly Pending[]): Promise<void> {
    const { clock } = this.#options;
    const backoff = new Backoff(50, 1_000);
    let batch = taken;
    let mayBeAppended = false;
    for (;;) {
      // A batch that may be in the log is repeated as it was. One that is not goes without those that nobody waits for any
      // more: they have been told that they were not written.
      if (!mayBeAppended) batch = batch.filter((pending) => pending.state !== 'settled');
      if (this.#stopping.signal.aborted || batch.every((pending) => pending.state === 'settled')) {
        this.#giveUp(batch, mayBeAppended, this.#unavailable());
        if (this.#failingSinceMs !== undefined) await this.#awaitLog();
        return;
      }
      for (const pending of batch) if (pending.state === 'queued') pending.state = 'sent';
      const outcome = await this.#sender.send(batch.map((pending) => pending.record));
      if (outcome.kind === 'appended') {
        this.#failingSinceMs = undefined;
        this.#succeed(batch, outcome.baseOffset, outcome.logAppendTimeMs);
        return;
      }
      mayBeAppended ||= outcome.kind === 'unknown';
      if (outcome.kind === 'rejected') {
        const { retry, error } = outcome;
        if (retry === 'split' && batch.length > 1 && !mayBeAppended) {
          this.#failingSinceMs = undefined;
          for (const pending of batch) if (pending.state === 'sent') pending.state = 'queued';
          const half = Math.ceil(batch.length / 2);
          for (const part of [batch.slice(0, half), batch.slice(half)]) await this.#commit(part);
          return;
        }
        if (retry === 'split' || retry === 'never' || (retry === 'anew' && mayBeAppended)) {
          this.#failingSinceMs = undefined;
          this.#giveUp(batch, mayBeAppended, error);
          return;
        }
      }
      this.#lastError = outcome.error;
      this.#failingSinceMs ??= clock.monotonicMs();
      if (!mayBeAppended) for (const pending of batch) if (pending.state === 'sent') pending.state = 'queued';
      if (this.#isDown()) {
        this.#refuseQueued();
        if (!mayBeAppended) for (const pending of batch) this.#fail(pending, this.#unavailable());
      }
      if (mayBeAppended || !this.#isDown()) await pause(clock, backoff.nextMs(), this.#stopping.signal);
    }
  }

  #giveUp(batch: readonly Pending[], mayBeAppended: boolean, error: BitacoraError): void {
    if (mayBeAppended) this.#sender.forget();
    for (const pending of batch) this.#fail(pending, mayBeAppended ? outcomeUnknown() : error);
  }

  /** Nothing gets through and nothing is in flight: asks until the log answers, so that writes are taken again. */
  async #awaitLog(): Promise<void> {
    const backoff = new Backoff(250, 2_000);
    while (!this.#draining) {
      try {
        await this.#sender.probe();
        this.#failingSinceMs = undefined;
        return;
      } catch (error) {
        this.#lastError = error;
        this.#refuseQueued();
      }
      await pause(this.#options.clock, backoff.nextMs(), this.#stopping.signal);
    }
  }

  #succeed(batch: readonly Pending[], baseOffset: number, logAppendTimeMs: number | undefined): void {
    this.stats.batches += 1;
    this.stats.appended += batch.length;
    for (let i = 0; i < batch.length; i += 1) {
      const pending = batch[i]!;
      if (!this.#settle(pending)) continue;
      const { partition, timestampMs } = pending.record;
      pending.resolve({ partition, offset: baseOffset + i, timestampMs: logAppendTimeMs ?? timestampMs });
    }
  }

  #expire(pending: Pending): void {
    this.#fail(pending, pending.state === 'sent' ? outcomeUnknown() : this.#unavailable());
  }

  #fail(pending: Pending, error: BitacoraError): void {
    if (!this.#settle(pending)) return;
    if (error.code === 'write_outcome_unknown') this.stats.unknown += 1;
    else this.stats.refused += 1;
    pending.reject(error);
  }

  /** False when it was settled before. */
  #settle(pending: Pending): boolean {
    if (pending.state === 'settled') return false;
    pending.state = 'settled';
    pending.cancelDeadline();
    this.#options.budget.bytes -= pending.bytes;
    return true;
  }

  #refuse(error: BitacoraError): Promise<never> {
    this.stats.refused += 1;
    return Promise.reject(error);
  }

  #refuseQueued(): void {
    for (const pending of this.#queue.splice(0)) this.#fail(pending, this.#unavailable());
  }

  #isDown(): boolean {
    return (
      this.#failingSinceMs !== undefined && this.#options.clock.monotonicMs() - this.#failingSinceMs >= downAfterMs
    );
  }

  #unavailable(): BitacoraError {
    return new BitacoraError(
      'log_unavailable',
      'The log does not answer; the value was not written. Try again later.',
      {
        cause: this.#lastError,
      },
    );
  }
}

function outcomeUnknown(): BitacoraError {
  return new BitacoraError(
    'write_outcome_unknown',
    'The log did not answer in time. The write may take effect, now or later: read the key, or write again.',
  );
}
