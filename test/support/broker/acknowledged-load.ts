import { type IHeaders, Kafka, logLevel, Partitioners, type Producer, type Transaction } from 'kafkajs';
import type { Reachable } from '../kafka/client.ts';
import type { Random } from '../protocol/mutations.ts';

const sendsMessagesMax = 20;

/** A client that goes on through a restart of the broker, however often. */
function patientClient({ brokerList }: Reachable): Kafka {
  return new Kafka({
    clientId: 'bitacora-acknowledged-load',
    brokers: [brokerList],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    retry: { initialRetryTime: 20, maxRetryTime: 200, retries: 1_000 },
  });
}

/** Something that writes until it is told to stop, and knows what was acknowledged. */
export abstract class Load {
  #running: Promise<void> | undefined;
  #isStopping = false;

  start(): void {
    this.#running = this.run();
  }

  /** Resolves when nothing is under way any more; rejects when the load has failed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }

  protected get isStopping(): boolean {
    return this.#isStopping;
  }

  protected abstract run(): Promise<void>;
}

export interface CountingLoadOptions {
  readonly broker: Reachable;
  readonly topic: string;
  readonly partition: number;
  /** Keys are as many, one after the other; 0: no keys. */
  readonly keys: number;
  readonly random: Random;
}

/** Counts up in a partition that nobody else writes to, with an idempotent producer. */
export class CountingLoad extends Load {
  readonly topic: string;
  readonly partition: number;
  readonly #options: CountingLoadOptions;
  #acknowledged = 0;
  #endOffset = 0;

  constructor(options: CountingLoadOptions) {
    super();
    this.topic = options.topic;
    this.partition = options.partition;
    this.#options = options;
  }

  /** So many numbers, from 0 on, are in the log for good. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** One past the last offset of what was acknowledged. */
  get endOffset(): number {
    return this.#endOffset;
  }

  protected async run(): Promise<void> {
    const { broker, topic, partition, random } = this.#options;
    const producer = patientClient(broker).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    try {
      while (!this.isStopping) {
        const from = this.#acknowledged;
        const messages = Array.from({ length: 1 + random.below(sendsMessagesMax) }, (_, index) => ({
          ...this.#message(from + index),
          partition,
        }));
        const [answer] = await producer.send({ topic, messages, acks: -1 });
        this.#acknowledged += messages.length;
        this.#endOffset = Number(answer!.baseOffset) + messages.length;
      }
    } finally {
      await producer.disconnect();
    }
  }

  /** Every seventh is a tombstone where there are keys, so the number is in a header. */
  #message(number: number): { key: string | null; value: string | null; headers: IHeaders } {
    const { keys } = this.#options;
    const value = `value ${number} ${'x'.repeat(number % 100)}`;
    return {
      key: keys === 0 ? null : `key ${number % keys}`,
      value: keys > 0 && number % 7 === 0 ? null : value,
      headers: { number: String(number) },
    };
  }
}

export type TransactionOutcome = 'committed' | 'aborted' | 'unknown';

export interface TransactionalLoadOptions {
  readonly broker: Reachable;
  readonly transactionalId: string;
  /** Each transaction writes to a partition of each of them. */
  readonly topics: readonly string[];
  readonly partitions: number;
  /** Committed with each transaction: its number, as the offset of partition 0 of the first topic. */
  readonly groupId: string;
  readonly random: Random;
}

/** One transaction after the other, one in four of which is aborted. */
export class TransactionalLoad extends Load {
  /** By number of the transaction. */
  readonly outcomes: TransactionOutcome[] = [];
  /** Records of each topic in each transaction. */
  static readonly recordsPerTopic = 3;
  readonly #options: TransactionalLoadOptions;

  constructor(options: TransactionalLoadOptions) {
    super();
    this.#options = options;
  }

  protected async run(): Promise<void> {
    let producer: Producer | undefined;
    while (!this.isStopping) {
      producer ??= await this.#connected();
      const outcome = await this.#transact(producer, this.outcomes.length);
      this.outcomes.push(outcome.outcome);
      if (outcome.isUsable) continue;
      // The next one with the same id ends what this one has left open.
      await producer.disconnect();
      producer = undefined;
    }
    await producer?.disconnect();
    // Fences what was left open, so that readers come to the end.
    await (await this.#connected()).disconnect();
  }

  async #connected(): Promise<Producer> {
    const producer = patientClient(this.#options.broker).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      transactionalId: this.#options.transactionalId,
      transactionTimeout: 60_000,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    return producer;
  }

  async #transact(producer: Producer, number: number): Promise<{ outcome: TransactionOutcome; isUsable: boolean }> {
    const { topics, partitions, groupId, random } = this.#options;
    let transaction: Transaction;
    try {
      transaction = await producer.transaction();
      for (const topic of topics) {
        const messages = Array.from({ length: TransactionalLoad.recordsPerTopic }, (_, index) => ({
          key: `transaction ${number}`,
          value: String(index),
          partition: number % partitions,
        }));
        await transaction.send({ topic, messages, acks: -1 });
      }
      const offsets = [{ topic: topics[0]!, partitions: [{ partition: 0, offset: String(number) }] }];
      await transaction.sendOffsets({ consumerGroupId: groupId, topics: offsets });
      if (random.below(4) === 0) {
        await transaction.abort();
        return { outcome: 'aborted', isUsable: true };
      }
    } catch {
      // Nobody has asked for a commit.
      return { outcome: 'aborted', isUsable: false };
    }
    try {
      await transaction.commit();
      return { outcome: 'committed', isUsable: true };
    } catch {
      return { outcome: 'unknown', isUsable: false };
    }
  }
}
