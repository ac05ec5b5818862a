import { Backoff, type Clock, pause } from '../../kernel/clock.ts';
import type { Service } from '../../kernel/lifecycle.ts';
import type { Logger } from '../../kernel/logger.ts';
import { KafkaError, type KafkaErrorName } from '../../protocol/errors.ts';
import type { NewRecord } from '../../protocol/record-batch.ts';
import type { StateLog } from '../state-log.ts';
import type { ProducerIds } from './producer-ids.ts';
import { type Outcome, type Reply, Transaction } from './transaction.ts';
import { readTransactionKey, readTransactionValue, transactionKey, transactionValue } from './transaction-log.ts';
import {
  listPartitions,
  type ProducerIdentity,
  type TopicPartition,
  type TransactionState,
} from './transaction-state.ts';
import { type Marker, offsetsPartition, type TransactionTargets } from './transaction-targets.ts';

export interface TransactionCoordinatorOptions {
  /** Holds `__transaction_state`. */
  readonly log: StateLog;
  readonly targets: TransactionTargets;
  readonly producerIds: ProducerIds;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** `transaction.max.timeout.ms` */
const transactionTimeoutMaxMs = 15 * 60_000;
/** `transactional.id.expiration.ms` */
const transactionalIdExpirationMs = 7 * 24 * 3_600_000;
/** How late a transaction may be aborted that has timed out. Kafka looks every ten seconds. */
const checkIntervalMs = 1_000;
/** Tombstones that are appended at a time. */
const expiredPerBatch = 500;
/** Between two tries to write markers: so many at first, doubled up to the cap. */
const retryFirstMs = 100;
const retryCapMs = 10_000;
/** Of every marker: there is one coordinator, which never changes. */
export const coordinatorEpoch = 0;

/**
 * Drives the transactions of all transactional ids: appends what they decide to the log, writes markers until every partition has
 * its own, and lets time pass for them. Each decision is taken at once and whole; what waits for the log in between is pending, and
 * a second request meets it as such, so that requests for one id never overlap.
 */
export class TransactionCoordinator implements Service {
  readonly name = 'transactions';
  readonly #options: TransactionCoordinatorOptions;
  readonly #transactions = new Map<string, Transaction>();
  readonly #stopped = new AbortController();
  readonly #background = new Set<Promise<void>>();
  #isLoaded = false;
  #cancelCheck: () => void = () => undefined;

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
  }

  /** Reads the log, and finishes what was decided before the end of the last run; what fails then is tried again later. */
  async run(): Promise<void> {
    await this.#load();
    this.#isLoaded = true;
    const decided = [...this.#transactions].filter(([, transaction]) => transaction.decided !== undefined);
    await Promise.all(decided.map(([id, transaction]) => this.#complete(id, transaction)));
    this.#scheduleCheck();
  }

  /** Requests are refused from now on. What is decided and has not reached its partitions will after the next start. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#cancelCheck();
    await Promise.all(this.#background);
  }

  hasPartition(topic: string, partition: number): boolean {
    return this.#options.targets.hasPartition(topic, partition);
  }

  /** A producer without a transactional id. Rejects with a `KafkaError`. */
  newProducerId(): Promise<number> {
    return this.#options.producerIds.next();
  }

  /** `expected`: who the producer says it is (KIP-360). Rejects with a `KafkaError` where no producer id can be had. */
  async initProducerId(id: string, timeoutMs: number, expected: ProducerIdentity | undefined): Promise<Reply> {
    this.#assertActive();
    if (id === '') return { error: 'INVALID_REQUEST' };
    if (timeoutMs <= 0 || timeoutMs > transactionTimeoutMaxMs) return { error: 'INVALID_TRANSACTION_TIMEOUT' };
    const { clock, producerIds } = this.#options;
    let newProducerId: number | undefined;
    for (;;) {
      const transaction = this.#transactions.get(id) ?? this.#begin(id, newProducerId, timeoutMs);
      const outcome = transaction?.initProducerId({ timeoutMs, expected, newProducerId }, clock.nowMs());
      if (outcome !== undefined && outcome.kind !== 'producer-id') return this.#carryOut(id, transaction!, outcome);
      newProducerId = await producerIds.next();
    }
  }

  async addPartitions(
    id: string,
    producer: ProducerIdentity,
    partitions: readonly TopicPartition[],
  ): Promise<KafkaErrorName> {
    return this.#decide(id, (transaction, nowMs) => transaction.addPartitions(producer, partitions, nowMs));
  }

  /** The group does not matter: the offsets of all groups are in one partition. */
  async addOffsets(id: string, producer: ProducerIdentity): Promise<KafkaErrorName> {
    return this.addPartitions(id, producer, [offsetsPartition]);
  }

  /**
   * Resolves once the decision is in the log and the markers have been tried. Kafka answers before the markers; here they are a
   * local matter, and waiting for them spares the client's next transaction a round of CONCURRENT_TRANSACTIONS.
   */
  async end(id: string, producer: ProducerIdentity, commit: boolean): Promise<KafkaErrorName> {
    return this.#decide(id, (transaction, nowMs) => transaction.end(producer, commit, nowMs));
  }

  /**
   * What Produce and TxnOffsetCommit answer for a partition, NONE if the producer may write to it (KIP-890): to be asked right before
   * the append, with no wait in between, so that no marker can come between the two. `knowsAbortable`: the client knows the error
   * TRANSACTION_ABORTABLE (KIP-1050: Produce from version 11 on, TxnOffsetCommit from 4 on).
   */
  verify(id: string, producer: ProducerIdentity, target: TopicPartition, knowsAbortable: boolean): KafkaErrorName {
    this.#assertActive();
    const error = this.#transactions.get(id)?.verify(producer, target) ?? 'INVALID_PRODUCER_ID_MAPPING';
    // What clients take these for is different here from what it is in the requests to a coordinator.
    if (error === 'PRODUCER_FENCED') return 'INVALID_PRODUCER_EPOCH';
    if (error === 'CONCURRENT_TRANSACTIONS') return 'NOT_ENOUGH_REPLICAS';
    return error === 'TRANSACTION_ABORTABLE' && !knowsAbortable ? 'INVALID_TXN_STATE' : error;
  }

  /** undefined: nobody has used the transactional id. Throws a `KafkaError` while the log is being read. */
  describe(id: string): TransactionState | undefined {
    this.#assertActive();
    return this.#transactions.get(id)?.state;
  }

  /** Throws a `KafkaError` while the log is being read. */
  list(): ReadonlyArray<readonly [id: string, state: TransactionState]> {
    this.#assertActive();
    return Array.from(this.#transactions, ([id, { state }]) => [id, state] as const);
  }

  async #load(): Promise<void> {
    const { log, logger } = this.#options;
    await log.replay((entry) => {
      if (entry.kind !== 'record' || entry.key === null) return;
      try {
        const id = readTransactionKey(entry.key);
        if (id === undefined) return;
        if (entry.value === null) this.#transactions.delete(id);
        else this.#transactions.set(id, new Transaction(readTransactionValue(entry.value)));
      } catch (error) {
        // The rest of the log is no worse for it, and without it nobody could go on.
        logger.error({ err: error }, 'a record of the transaction log cannot be read, and is passed over');
      }
    });
  }

  #assertActive(): void {
    if (this.#stopped.signal.aborted) {
      throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'The transaction coordinator has stopped');
    }
    if (!this.#isLoaded) {
      throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS', 'The transaction log is being read');
    }
  }

  /** undefined: without a producer id it cannot be. */
  #begin(id: string, producerId: number | undefined, timeoutMs: number): Transaction | undefined {
    if (producerId === undefined) return undefined;
    const transaction = Transaction.create(producerId, timeoutMs, this.#options.clock.nowMs());
    this.#transactions.set(id, transaction);
    return transaction;
  }

  async #decide(id: string, input: (transaction: Transaction, nowMs: number) => Outcome): Promise<KafkaErrorName> {
    this.#assertActive();
    if (id === '') return 'INVALID_REQUEST';
    const transaction = this.#transactions.get(id);
    if (transaction === undefined) return 'INVALID_PRODUCER_ID_MAPPING';
    const { error } = await this.#carryOut(id, transaction, input(transaction, this.#options.clock.nowMs()));
    return error;
  }

  async #carryOut(id: string, transaction: Transaction, outcome: Outcome): Promise<Reply> {
    if (outcome.kind === 'reply') return outcome.reply;
    const reply = await this.#persist(id, transaction, outcome);
    if (reply === undefined) {
      if (transaction.isNew) this.#transactions.delete(id);
      // As Kafka answers when its log fails: the client looks for the coordinator again, and repeats the request.
      return { error: 'NOT_COORDINATOR' };
    }
    if (transaction.decided !== undefined) await this.#complete(id, transaction);
    return reply;
  }

  /** undefined: the log has refused it. */
  async #persist(id: string, transaction: Transaction, outcome: Outcome): Promise<Reply | undefined> {
    const state = outcome.kind === 'persist' ? outcome.state : undefined;
    try {
      await this.#options.log.append([this.#record(id, state)]);
    } catch (error) {
      this.#options.logger.warn(
        { err: error, transactionalId: id },
        'the state of a transaction could not be persisted',
      );
      transaction.notPersisted();
      return undefined;
    }
    return transaction.persisted();
  }

  #record(id: string, state: TransactionState | undefined): NewRecord {
    return {
      key: transactionKey(id),
      value: state === undefined ? null : transactionValue(state),
      timestampMs: this.#options.clock.nowMs(),
    };
  }

  /**
   * Writes the markers of a decided transaction, and then that all is done. Resolves after the first try; if that fails, tries go on
   * in the background until all is written or the broker stops, and the next start takes it up again.
   */
  async #complete(id: string, transaction: Transaction): Promise<void> {
    const { clock } = this.#options;
    const { partitions, ...decided } = transaction.decided!;
    const marker = { ...decided, coordinatorEpoch };
    let missing: readonly TopicPartition[] = listPartitions(partitions);
    const attempt = async (): Promise<boolean> => {
      missing = await this.#writeMarkers(marker, missing);
      if (missing.length > 0) return false;
      return (await this.#persist(id, transaction, transaction.markersWritten(clock.nowMs()))) !== undefined;
    };
    if (await attempt()) return;
    const { signal } = this.#stopped;
    const backoff = new Backoff(retryFirstMs, retryCapMs);
    this.#inBackground(async () => {
      do await pause(clock, backoff.nextMs(), signal);
      while (!signal.aborted && !(await attempt()));
    });
  }

  /** The partitions that have not got theirs. */
  async #writeMarkers(marker: Marker, partitions: readonly TopicPartition[]): Promise<TopicPartition[]> {
    const { targets, logger } = this.#options;
    const tried = partitions.map(async (target) => {
      try {
        await targets.writeMarker(target.topic, target.partition, marker);
        return [];
      } catch (error) {
        // No batch of this epoch can have come in after that one, nor was a transaction open when it came: nothing is to be ended.
        if (error instanceof KafkaError && error.error === 'INVALID_PRODUCER_EPOCH') return [];
        logger.warn({ err: error, ...target }, 'a transaction marker could not be written, and will be tried again');
        return [target];
      }
    });
    return (await Promise.all(tried)).flat();
  }

  #scheduleCheck(): void {
    if (this.#stopped.signal.aborted) return;
    this.#cancelCheck = this.#options.clock.after(checkIntervalMs, () => {
      this.#check();
      this.#scheduleCheck();
    });
  }

  /** Lets time pass: what has timed out is aborted, what nobody uses any longer is forgotten. */
  #check(): void {
    const nowMs = this.#options.clock.nowMs();
    const expired: (readonly [id: string, transaction: Transaction])[] = [];
    for (const [id, transaction] of this.#transactions) {
      const outcome = transaction.timeOut(nowMs);
      if (outcome !== undefined) {
        this.#options.logger.info({ transactionalId: id }, 'a transaction has timed out and is aborted');
        this.#inBackground(() => this.#carryOut(id, transaction, outcome));
      } else if (transaction.expire(nowMs, transactionalIdExpirationMs) !== undefined) {
        expired.push([id, transaction]);
      }
    }
    for (let from = 0; from < expired.length; from += expiredPerBatch) {
      this.#inBackground(() => this.#forget(expired.slice(from, from + expiredPerBatch)));
    }
  }

  async #forget(expired: ReadonlyArray<readonly [id: string, transaction: Transaction]>): Promise<void> {
    try {
      await this.#options.log.append(expired.map(([id]) => this.#record(id, undefined)));
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'unused transactional ids could not be forgotten');
      for (const [, transaction] of expired) transaction.notPersisted();
      return;
    }
    for (const [id] of expired) this.#transactions.delete(id);
  }

  #inBackground(work: () => Promise<unknown>): void {
    const running = work().then(
      () => undefined,
      (error: unknown) => this.#options.logger.error({ err: error }, 'a transaction could not be carried on'),
    );
    this.#background.add(running);
    void running.then(() => this.#background.delete(running));
  }
}
