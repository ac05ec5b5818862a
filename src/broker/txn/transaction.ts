import type { KafkaErrorName } from '../../protocol/errors.ts';
import {
  holdsPartition,
  noPartitions,
  type ProducerIdentity,
  type TopicPartition,
  type TransactionState,
  type TransactionStatus,
  withPartitions,
} from './transaction-state.ts';

/** What a caller is answered. */
export interface Reply {
  readonly error: KafkaErrorName;
  /** Who the producer is from now on: of InitProducerId, when there is no error. */
  readonly producer?: ProducerIdentity;
}

/** What is to be done about an input. */
export type Outcome =
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** To be appended to the log, undefined as a tombstone; `persisted` or `notPersisted` has to follow. */
  | { readonly kind: 'persist'; readonly state: TransactionState | undefined }
  /** Nothing has happened: the same input is to come again, with a producer id that nobody has had. */
  | { readonly kind: 'producer-id' };

export interface InitRequest {
  readonly timeoutMs: number;
  /** Who the producer says it is (KIP-360); undefined: it has just started. */
  readonly expected: ProducerIdentity | undefined;
  /** Has been allocated after this request was answered with `producer-id`. */
  readonly newProducerId: number | undefined;
}

/** The markers of a transaction that is decided. */
export interface Decided extends ProducerIdentity {
  readonly commit: boolean;
  readonly partitions: TransactionState['partitions'];
}

interface Pending {
  /** undefined: the transactional id expires. */
  readonly next: TransactionState | undefined;
  readonly reply: Reply;
}

const noEpoch = -1;
const noProducerId = -1;
const epochMax = 0x7fff;

/** The last epoch that is handed out: the one above it is left for fencing whoever has that. */
const epochHandedOutMax = epochMax - 1;

const endedStatuses: readonly TransactionStatus[] = ['Empty', 'CompleteCommit', 'CompleteAbort'];

/**
 * One transactional id, as Kafka's coordinator treats it for clients of `transaction.version` 1 (KIP-98, KIP-360): decides and
 * remembers, and leaves it to whoever drives it to write to logs.
 *
 * Invariant: a state counts only once it is in the log. Between the decision and `persisted` it is pending, and all that would
 * change anything is answered CONCURRENT_TRANSACTIONS, which clients repeat. The one exception is fencing: the old producer is out
 * from the moment of the decision, even if the log refuses the record, since the producer's epoch may only ever seem too high.
 */
export class Transaction {
  #state: TransactionState;
  #pending: Pending | undefined;
  /** The epoch was raised to fence a producer and the record was refused: no producer has it, so that it need not be raised again. */
  #isFenced = false;

  constructor(state: TransactionState) {
    this.#state = state;
  }

  /** A transactional id that nobody has used: it has no epoch until the first one is persisted. */
  static create(producerId: number, timeoutMs: number, nowMs: number): Transaction {
    return new Transaction({
      status: 'Empty',
      producerId,
      producerEpoch: noEpoch,
      previousProducerId: noProducerId,
      lastProducerEpoch: noEpoch,
      timeoutMs,
      partitions: noPartitions,
      startedMs: -1,
      updatedMs: nowMs,
    });
  }

  get state(): TransactionState {
    return this.#state;
  }

  /** Whether an epoch was ever persisted. */
  get isNew(): boolean {
    return this.#state.producerEpoch === noEpoch;
  }

  /** The markers that are due; undefined while nothing is decided, and once all is complete. */
  get decided(): Decided | undefined {
    const { status, producerId, producerEpoch, partitions } = this.#state;
    if (status !== 'PrepareCommit' && status !== 'PrepareAbort') return undefined;
    return { producerId, producerEpoch, partitions, commit: status === 'PrepareCommit' };
  }

  /**
   * A producer starts, or wants to go on after an error. An open transaction is aborted first, and meanwhile the producer is told
   * to come again; the one that had begun it is fenced.
   */
  initProducerId(request: InitRequest, nowMs: number): Outcome {
    const { expected } = request;
    const state = this.#state;
    if (this.#pending !== undefined) return answer('CONCURRENT_TRANSACTIONS');
    if (expected !== undefined && !this.#mayBe(expected)) return answer('PRODUCER_FENCED');
    if (this.decided !== undefined) return answer('CONCURRENT_TRANSACTIONS');
    if (state.status === 'Ongoing') {
      // A producer that was fenced long ago must not abort the transaction of the one that fenced it.
      if (expected !== undefined && expected.producerEpoch !== state.producerEpoch) return answer('PRODUCER_FENCED');
      return this.#fence({ error: 'CONCURRENT_TRANSACTIONS' }, nowMs);
    }
    return this.#handOut(request, nowMs);
  }

  /**
   * KIP-360: the producer has the id that counts now; or it has the one before, which it used up, and has not heard of the new one.
   * Where no epoch was handed out yet there is nobody whom it could be taken for.
   */
  #mayBe({ producerId, producerEpoch }: ProducerIdentity): boolean {
    const state = this.#state;
    if (this.isNew || producerId === state.producerId) return true;
    return producerId === state.previousProducerId && producerEpoch >= epochHandedOutMax;
  }

  #handOut({ timeoutMs, expected, newProducerId }: InitRequest, nowMs: number): Outcome {
    const { producerId, producerEpoch, lastProducerEpoch } = this.#state;
    const isItself = expected === undefined || this.isNew || expected.producerEpoch === producerEpoch;
    // The first answer was lost. It can be given again: whoever came in between would have made the last epoch -1.
    const isRepeated = !isItself && expected.producerEpoch === lastProducerEpoch;
    if (!isItself && !isRepeated) return answer('PRODUCER_FENCED');
    const isExhausted = producerEpoch >= epochHandedOutMax;
    if (isItself && isExhausted && newProducerId === undefined) return { kind: 'producer-id' };
    let producer = { producerId, producerEpoch };
    if (isItself && isExhausted) producer = { producerId: newProducerId!, producerEpoch: 0 };
    else if (isItself) producer = { producerId, producerEpoch: producerEpoch + 1 };
    let last = isRepeated ? lastProducerEpoch : producerEpoch;
    if (expected === undefined) last = noEpoch;
    const next: TransactionState = {
      ...producer,
      status: 'Empty',
      previousProducerId: isRepeated ? this.#state.previousProducerId : producerId,
      lastProducerEpoch: last,
      timeoutMs,
      partitions: noPartitions,
      startedMs: -1,
      updatedMs: nowMs,
    };
    return this.#persist(next, { error: 'NONE', producer });
  }

  /** Partitions that the producer is going to write to; the first ones begin the transaction. */
  addPartitions(producer: ProducerIdentity, added: readonly TopicPartition[], nowMs: number): Outcome {
    const error = this.#complaintAbout(producer);
    if (error !== undefined) return answer(error);
    const state = this.#state;
    if (this.#pending !== undefined || this.decided !== undefined) return answer('CONCURRENT_TRANSACTIONS');
    const isOngoing = state.status === 'Ongoing';
    if (isOngoing && added.every((partition) => holdsPartition(state.partitions, partition))) return answer('NONE');
    const next: TransactionState = {
      ...state,
      status: 'Ongoing',
      partitions: withPartitions(state.partitions, added),
      startedMs: isOngoing ? state.startedMs : nowMs,
      updatedMs: nowMs,
    };
    return this.#persist(next, { error: 'NONE' });
  }

  /** The producer commits or aborts; a repetition is answered with success only if it wants what was done. */
  end(producer: ProducerIdentity, commit: boolean, nowMs: number): Outcome {
    const error = this.#complaintAbout(producer);
    if (error !== undefined) return answer(error);
    if (this.#pending !== undefined) return answer('CONCURRENT_TRANSACTIONS');
    const { status } = this.#state;
    if (status === 'Ongoing') return this.#persist(this.#prepared(commit, nowMs), { error: 'NONE' });
    if (status === (commit ? 'CompleteCommit' : 'CompleteAbort')) return answer('NONE');
    return answer(this.decided?.commit === commit ? 'CONCURRENT_TRANSACTIONS' : 'INVALID_TXN_STATE');
  }

  /** Aborts a transaction that is open for longer than its producer said it would be; undefined: there is none. */
  timeOut(nowMs: number): Outcome | undefined {
    const { status, startedMs, timeoutMs } = this.#state;
    if (this.#pending !== undefined || status !== 'Ongoing' || startedMs + timeoutMs >= nowMs) return undefined;
    return this.#fence({ error: 'NONE' }, nowMs);
  }

  /** Forgets a transactional id that nobody has used for `expirationMs`; undefined: it is not time yet. */
  expire(nowMs: number, expirationMs: number): Outcome | undefined {
    const { status, updatedMs } = this.#state;
    if (this.#pending !== undefined || !endedStatuses.includes(status)) return undefined;
    return updatedMs > nowMs - expirationMs ? undefined : this.#persist(undefined, { error: 'NONE' });
  }

  /** Every partition has its marker. */
  markersWritten(nowMs: number): Outcome {
    const { commit } = this.decided!;
    const status = commit ? 'CompleteCommit' : 'CompleteAbort';
    return this.#persist({ ...this.#state, status, partitions: noPartitions, updatedMs: nowMs }, { error: 'NONE' });
  }

  /** What was to be persisted is in the log. The reply is to whoever caused it. */
  persisted(): Reply {
    const { next, reply } = this.#pending!;
    this.#pending = undefined;
    if (next !== undefined) this.#state = next;
    this.#isFenced = false;
    return reply;
  }

  /** The log refused what was to be persisted: all is as it was before, but for a producer that was fenced. */
  notPersisted(): void {
    this.#pending = undefined;
  }

  /**
   * Whether a producer may write to a partition now (KIP-890). What is not in the transaction would get no marker, and would hold
   * up the readers of the partition for ever.
   */
  verify(producer: ProducerIdentity, partition: TopicPartition): KafkaErrorName {
    const error = this.#complaintAbout(producer);
    if (error !== undefined) return error;
    if (this.decided !== undefined) return 'CONCURRENT_TRANSACTIONS';
    return holdsPartition(this.#state.partitions, partition) ? 'NONE' : 'TRANSACTION_ABORTABLE';
  }

  #complaintAbout({ producerId, producerEpoch }: ProducerIdentity): KafkaErrorName | undefined {
    if (producerId !== this.#state.producerId) return 'INVALID_PRODUCER_ID_MAPPING';
    return producerEpoch === this.#state.producerEpoch ? undefined : 'PRODUCER_FENCED';
  }

  /**
   * Aborts the open transaction over the head of its producer, under an epoch that is never handed out, so that nothing the producer
   * still sends counts.
   */
  #fence(reply: Reply, nowMs: number): Outcome {
    const { producerEpoch } = this.#state;
    // An epoch at its end was not handed out: a request has guessed it, and has its transaction aborted all the same.
    const raised = this.#isFenced ? producerEpoch : Math.min(producerEpoch + 1, epochMax);
    this.#isFenced = true;
    this.#state = { ...this.#state, producerEpoch: raised, lastProducerEpoch: noEpoch };
    return this.#persist(this.#prepared(false, nowMs), reply);
  }

  #prepared(commit: boolean, nowMs: number): TransactionState {
    return { ...this.#state, status: commit ? 'PrepareCommit' : 'PrepareAbort', updatedMs: nowMs };
  }

  #persist(next: TransactionState | undefined, reply: Reply): Outcome {
    this.#pending = { next, reply };
    return { kind: 'persist', state: next };
  }
}

function answer(error: KafkaErrorName): Outcome {
  return { kind: 'reply', reply: { error } };
}
