import kafkajs, { type Producer } from 'kafkajs';
import { BitacoraError, rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { BatchSender, SendOutcome } from '../group-commit.ts';
import type { AppendRecord } from '../log.ts';
import { type KafkaConnection, kafkaClient } from './client.ts';
import { protocolAnswer } from './errors.ts';
import { ProduceWatch } from './produce-watch.ts';

export interface PartitionWriterOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly partition: number;
  readonly requestTimeoutMs: number;
  readonly logger: Logger;
}

/** One producer identity, from its connection to the loss of it. */
interface Incarnation {
  readonly producer: Producer;
  readonly watch: ProduceWatch;
  readonly connected: Promise<void>;
  /** Produce requests that the broker has answered. */
  answers: number;
  /** Records appended under this identity, which is the next sequence. */
  sent: number;
}

/**
 * One attempt. kafkajs refuses an idempotent producer with fewer than one retry; NaN is less than nothing, in that check as in
 * the loop that counts retries.
 */
const noRetries = Number.NaN;

/** The broker and the producer disagree on what came before: refused, and only a new producer identity goes on. */
const identityLost = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
]);
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);
/**
 * The answers that say for certain that nothing was appended. No others do: with acks=all, NOT_LEADER_OR_FOLLOWER too is what a
 * leader says that has appended the records and was then deposed.
 */
const refusals = new Map<string, 'same' | 'split' | 'never'>([
  ['NOT_ENOUGH_REPLICAS', 'same'],
  ['CORRUPT_MESSAGE', 'same'],
  ['INVALID_RECORD', 'split'],
  ['INVALID_TIMESTAMP', 'split'],
  ['TOPIC_AUTHORIZATION_FAILED', 'never'],
  ['CLUSTER_AUTHORIZATION_FAILED', 'never'],
  ['POLICY_VIOLATION', 'never'],
]);

/**
 * Sequences are int32 and wrap to 0 after 2^31 - 1 (KIP-98); kafkajs 2.2.4 jumps to 0 before it gets there, which brokers
 * refuse. A new producer identity well before that starts again at 0.
 */
const sequenceMax = 2 ** 31 - 2 ** 24;

/**
 * Writes batches to one partition through an idempotent kafkajs producer of its own.
 *
 * One producer a partition, because kafkajs reports a request over several partitions as one success or failure, and on a
 * partial failure repeats or forgets the wrong part. kafkajs' own retries are off for the same reason: here each attempt has
 * an outcome, and the caller decides.
 */
export class PartitionWriter implements BatchSender {
  readonly #options: PartitionWriterOptions;
  #producer: Incarnation | undefined;

  constructor(options: PartitionWriterOptions) {
    this.#options = options;
  }

  async send(batch: readonly AppendRecord[]): Promise<SendOutcome> {
    const { topic, partition, requestTimeoutMs } = this.#options;
    if (this.#producer !== undefined && this.#producer.sent + batch.length > sequenceMax) this.forget();
    let current: Incarnation;
    try {
      current = this.#open();
      await current.connected;
    } catch (error) {
      this.forget();
      return { kind: 'not-sent', error };
    }
    const requestsBefore = current.watch.requests;
    const answersBefore = current.answers;
    try {
      const answers = await current.producer.send({
        topic,
        acks: -1,
        timeout: requestTimeoutMs,
        messages: batch.map((record) => ({
          partition,
          key: record.key,
          value: record.value,
          timestamp: String(record.timestampMs),
          ...(record.headers === undefined ? {} : { headers: Object.fromEntries(record.headers) }),
        })),
      });
      const answer = answers.find((candidate) => candidate.partition === partition);
      if (answer?.baseOffset === undefined) {
        return { kind: 'unknown', error: new Error('kafkajs reported success without an offset') };
      }
      current.sent += batch.length;
      const logAppendTimeMs = Number(answer.logAppendTime ?? -1);
      return {
        kind: 'appended',
        baseOffset: Number(answer.baseOffset),
        logAppendTimeMs: logAppendTimeMs >= 0 ? logAppendTimeMs : undefined,
      };
    } catch (error) {
      if (current.watch.requests === requestsBefore) return { kind: 'not-sent', error };
      // kafkajs looks for the leader after a failure, and the error of that look-up takes the place of the first.
      if (current.answers === answersBefore) return { kind: 'unknown', error };
      return this.#outcomeOf(error);
    }
  }

  /** The next batch goes out under a new producer id. */
  forget(): void {
    const old = this.#producer;
    this.#producer = undefined;
    if (old !== undefined) this.#disconnect(old.producer);
  }

  async probe(): Promise<void> {
    this.forget();
    try {
      await this.#open().connected;
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  #open(): Incarnation {
    if (this.#producer === undefined) {
      const { connection, logger, requestTimeoutMs } = this.#options;
      const watch = new ProduceWatch();
      const kafka = kafkaClient(connection, logger, {
        requestTimeoutMs,
        retries: 0,
        socketFactory: watch.socketFactory,
      });
      const producer = kafka.producer({
        idempotent: true,
        retry: { retries: noRetries },
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      });
      const incarnation: Incarnation = { producer, watch, connected: producer.connect(), answers: 0, sent: 0 };
      producer.on(producer.events.REQUEST, ({ payload }) => {
        if (payload.apiName === 'Produce') incarnation.answers += 1;
      });
      this.#producer = incarnation;
    }
    return this.#producer;
  }

  #disconnect(producer: Producer): void {
    producer.disconnect().catch((error: unknown) => {
      this.#options.logger.debug({ err: error }, 'a given-up producer did not disconnect cleanly');
    });
  }

  #outcomeOf(error: unknown): SendOutcome {
    const answer = protocolAnswer(error);
    if (answer !== undefined && identityLost.has(answer.type)) {
      this.forget();
      return { kind: 'rejected', retry: 'anew', error: rejected(answer.type, error) };
    }
    if (answer !== undefined && tooLarge.has(answer.type)) {
      const detail = 'The topic takes no record this large: raise its max.message.bytes or lower VALUE_BYTES_MAX.';
      return {
        kind: 'rejected',
        retry: 'split',
        error: new BitacoraError('value_too_large', detail, { cause: error }),
      };
    }
    const retry = answer && refusals.get(answer.type);
    if (answer === undefined || retry === undefined) return { kind: 'unknown', error };
    return { kind: 'rejected', retry, error: rejected(answer.type, error) };
  }
}

function rejected(type: string, error: unknown): BitacoraError {
  return new BitacoraError('log_rejected', `Kafka answered ${type}: ${rootMessage(error)}`, { cause: error });
}
