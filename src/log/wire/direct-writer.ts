import { BitacoraError } from '../../kernel/errors.ts';
import { BatchEncoder } from '../../protocol/batch-encoder.ts';
import { KafkaError, type KafkaErrorName, kafkaErrorName, kafkaErrors } from '../../protocol/errors.ts';
import type { BatchSender, SendOutcome } from '../group-commit.ts';
import type { AppendRecord } from '../log.ts';
import { apis } from './apis.ts';
import type { Brokers } from './brokers.ts';
import type { BrokerConnection } from './connection.ts';

export interface DirectWriterOptions {
  readonly brokers: Brokers;
  readonly topic: string;
  readonly partition: number;
  /** How long the leader waits for the other replicas. */
  readonly requestTimeoutMs: number;
}

/** As whom batches are written, which lets a broker know a repetition (KIP-98). */
interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Of the first record of the next batch. */
  nextSequence: number;
}

/** Acknowledged by all in-sync replicas. */
const acks = -1;
/** A leader that gives up waiting for its replicas says so: its answer is to be there before the connection is given up. */
const answerGraceMs = 1_000;
/** Of a producer without transactions; the field is without meaning then. */
const noTransactionTimeoutMs = 0;

/** The broker and the producer disagree on what came before: refused, and only a new producer identity goes on. */
const identityLost: ReadonlySet<KafkaErrorName> = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
]);
const tooLarge: ReadonlySet<KafkaErrorName> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);
/**
 * The answers that say for certain that nothing was appended. No others do: with acks=all, NOT_LEADER_OR_FOLLOWER too is what a
 * leader says that has appended the records and was then deposed.
 */
const refusals: ReadonlyMap<KafkaErrorName, 'same' | 'split' | 'never'> = new Map([
  ['NOT_ENOUGH_REPLICAS', 'same'],
  ['CORRUPT_MESSAGE', 'same'],
  ['INVALID_RECORD', 'split'],
  ['INVALID_TIMESTAMP', 'split'],
  ['TOPIC_AUTHORIZATION_FAILED', 'never'],
  ['CLUSTER_AUTHORIZATION_FAILED', 'never'],
  ['POLICY_VIOLATION', 'never'],
]);

/**
 * Writes batches to one partition, encoded here, under a producer identity of its own (idempotence, KIP-98).
 *
 * One identity and one connection a partition. A lost identity then concerns no other partition; and a broker carries out the
 * requests of one connection one after the other, each until all replicas have it, so that partitions which shared one would
 * wait for each other. Nothing is tried twice here: each attempt has an outcome, and the caller decides.
 */
export class DirectWriter implements BatchSender {
  readonly #options: DirectWriterOptions;
  #encoder = new BatchEncoder();
  #identity: Identity | undefined;
  /** A node id; undefined: to be asked for. */
  #leader: number | undefined;

  constructor(options: DirectWriterOptions) {
    this.#options = options;
  }

  async send(batch: readonly AppendRecord[]): Promise<SendOutcome> {
    let identity: Identity;
    let connection: BrokerConnection;
    try {
      identity = this.#identity ?? (await this.#newIdentity());
      this.#identity = identity;
      connection = await this.#leaderConnection();
    } catch (error) {
      this.#leader = undefined;
      return unsentOutcome(error);
    }
    const writtenBefore = connection.written;
    try {
      return await this.#produce(connection, identity, batch);
    } catch (error) {
      this.#leader = undefined;
      // The socket may still hold the bytes of this one.
      this.#encoder = new BatchEncoder();
      return { kind: connection.written === writtenBefore ? 'not-sent' : 'unknown', error };
    }
  }

  /** The next batch goes out under a new producer id. */
  forget(): void {
    this.#identity = undefined;
  }

  /** That the partition has a leader, and that it takes connections. */
  async probe(): Promise<void> {
    this.#leader = undefined;
    await this.#leaderConnection();
  }

  async #produce(
    connection: BrokerConnection,
    identity: Identity,
    batch: readonly AppendRecord[],
  ): Promise<SendOutcome> {
    const { topic, partition, requestTimeoutMs } = this.#options;
    const { producerId, producerEpoch, nextSequence: baseSequence } = identity;
    const records = this.#encoder.encode(batch, { producerId, producerEpoch, baseSequence });
    const { responses } = await connection.request(
      apis.produce,
      {
        acks,
        timeoutMs: requestTimeoutMs,
        topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
      },
      { timeoutMs: requestTimeoutMs + answerGraceMs },
    );
    const answer = responses
      .find(({ name }) => name === topic)
      ?.partitionResponses.find(({ index }) => index === partition);
    if (answer === undefined) return { kind: 'unknown', error: new Error('the answer says nothing of the partition') };
    const { errorCode, errorMessage, baseOffset, logAppendTimeMs } = answer;
    // The other code means a repetition of the batch in flight, which is in the log.
    if (errorCode !== 0 && errorCode !== kafkaErrors.DUPLICATE_SEQUENCE_NUMBER.code) {
      return this.#outcomeOf(answered(errorCode, errorMessage ?? ''));
    }
    // There is nothing to answer the writers with.
    if (baseOffset < 0) return { kind: 'unknown', error: new Error('the broker reported success without an offset') };
    identity.nextSequence = sequenceAfter(baseSequence, batch.length);
    return { kind: 'appended', baseOffset, logAppendTimeMs: logAppendTimeMs >= 0 ? logAppendTimeMs : undefined };
  }

  #outcomeOf(cause: KafkaError): SendOutcome {
    if (identityLost.has(cause.error)) {
      this.forget();
      return { kind: 'rejected', retry: 'anew', error: rejected(cause) };
    }
    if (tooLarge.has(cause.error)) {
      const detail = 'The topic takes no record this large: raise its max.message.bytes or lower VALUE_BYTES_MAX.';
      return { kind: 'rejected', retry: 'split', error: new BitacoraError('value_too_large', detail, { cause }) };
    }
    const retry = refusals.get(cause.error);
    if (retry !== undefined) return { kind: 'rejected', retry, error: rejected(cause) };
    // Perhaps another broker leads by now.
    this.#leader = undefined;
    return { kind: 'unknown', error: cause };
  }

  async #newIdentity(): Promise<Identity> {
    const { errorCode, producerId, producerEpoch } = await this.#options.brokers.ask(apis.initProducerId, {
      transactionalId: null,
      transactionTimeoutMs: noTransactionTimeoutMs,
    });
    if (errorCode !== 0) throw answered(errorCode, 'to the request for a producer id');
    return { producerId, producerEpoch, nextSequence: 0 };
  }

  async #leaderConnection(): Promise<BrokerConnection> {
    const { brokers, topic, partition } = this.#options;
    if (this.#leader === undefined) {
      const { errorCode, partitions } = await brokers.metadata(topic);
      if (errorCode !== 0) throw answered(errorCode, `topic ${topic}`);
      const found = partitions.find((candidate) => candidate.partition === partition);
      if (found === undefined) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `partition ${partition} of ${topic}`);
      if (found.leader < 0) throw new KafkaError('LEADER_NOT_AVAILABLE', `partition ${partition} of ${topic}`);
      this.#leader = found.leader;
    }
    return brokers.node(this.#leader, `produce ${partition}`);
  }
}

/** Sequences are int32 and go on at 0 after 2^31 - 1 (KIP-98). */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31;
}

/** What kept a batch from being sent. A refusal that no waiting mends is told as one. */
function unsentOutcome(error: unknown): SendOutcome {
  if (error instanceof KafkaError && refusals.get(error.error) === 'never') {
    return { kind: 'rejected', retry: 'never', error: rejected(error) };
  }
  return { kind: 'not-sent', error };
}

function answered(errorCode: number, message: string): KafkaError {
  const name = kafkaErrorName(errorCode);
  return name === undefined
    ? new KafkaError('UNKNOWN_SERVER_ERROR', `error ${errorCode}: ${message}`)
    : new KafkaError(name, message);
}

function rejected(cause: KafkaError): BitacoraError {
  const { error: name, message } = cause;
  return new BitacoraError('log_rejected', `Kafka answered ${name}${message === '' ? '' : `: ${message}`}`, { cause });
}
