import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import { kafkaErrorName, kafkaErrors } from '../../protocol/errors.ts';
import { type Message, type MessageInput, type MessageValue, noUuid } from '../../protocol/schema.ts';
import type { KafkaConnection } from '../kafka-connection.ts';
import { type Api, apis } from './apis.ts';
import { WireClientError } from './client-error.ts';
import { type BrokerAddress, BrokerConnection, type ConnectionOptions } from './connection.ts';

export interface BrokersOptions {
  readonly connection: KafkaConnection;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of one answer; a Fetch that asks for more than this less its own frame gets its connection closed. */
  readonly answerBytesMax?: number;
  /** For each request that says nothing else. */
  readonly requestTimeoutMs?: number;
}

/**
 * What a connection is for. A broker carries out the requests of one connection one after the other, each until it is answered: a
 * Fetch waits for records, and a Produce of a partition for its replicas, and both would hold up whatever stands behind them.
 */
export type Purpose = 'fetch' | `produce ${number}` | 'other';

export interface TopicMetadata {
  readonly topic: string;
  /** 0, or why there is nothing to say of the topic, such as UNKNOWN_TOPIC_OR_PARTITION: `partitions` is empty then. */
  readonly errorCode: number;
  /** undefined: the broker is too old to have any (KIP-516). */
  readonly topicId: string | undefined;
  readonly clusterId: string | undefined;
  /** In partition order. */
  readonly partitions: readonly PartitionMetadata[];
}

export interface PartitionMetadata {
  readonly partition: number;
  /** A node id; -1: none at the moment. */
  readonly leader: number;
  /** -1: the broker does not tell. */
  readonly leaderEpoch: number;
  readonly errorCode: number;
}

const connectTimeoutMs = 5_000;
const loginTimeoutMs = 10_000;
const defaultRequestTimeoutMs = 10_000;
const defaultAnswerBytesMax = 128 * 1024 * 1024;
/** The first version that can be asked not to create the topic. */
const metadataVersionMin = 4;
const groupKeyType = 0;
const addressPattern = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/;

/**
 * The brokers of one cluster, and the connections to them: one for each broker and purpose, opened when it is first asked for and
 * again when it was lost. Nothing is tried twice here beyond going from one broker to the next: how long to wait before the next
 * try is the caller's to say.
 *
 * Rejects with a `WireClientError` and nothing else.
 */
export class Brokers {
  readonly #bootstrap: readonly BrokerAddress[];
  readonly #connectionOptions: ConnectionOptions;
  readonly #logger: Logger;
  /** By node id, as last heard. */
  readonly #known = new Map<number, BrokerAddress>();
  /** By purpose and address. */
  readonly #connections = new Map<string, Promise<BrokerConnection>>();
  readonly #askedMetadata = new Map<string, Promise<TopicMetadata>>();
  /** Whom `any` begins with, so that a broker that is lost is not asked first for ever. */
  #turn = 0;
  #isClosed = false;

  constructor({ connection, clock, logger, answerBytesMax, requestTimeoutMs }: BrokersOptions) {
    const { brokers, clientId, tls, sasl } = connection;
    this.#bootstrap = brokers.map(asAddress);
    this.#logger = logger;
    this.#connectionOptions = {
      clientId,
      tls,
      sasl,
      clock,
      connectTimeoutMs,
      loginTimeoutMs,
      requestTimeoutMs: requestTimeoutMs ?? defaultRequestTimeoutMs,
      answerBytesMax: answerBytesMax ?? defaultAnswerBytesMax,
    };
  }

  /** A connection to some broker, for questions that each of them can answer. */
  any(): Promise<BrokerConnection> {
    return this.#atAny((connection) => Promise.resolve(connection));
  }

  /** Asks what each broker can answer, one after the other until one does. */
  ask<Q extends Message, A extends Message>(api: Api<Q, A>, body: MessageInput<Q>): Promise<MessageValue<A>> {
    return this.#atAny((connection) => connection.request(api, body));
  }

  /** The connection for `purpose` to a broker that `metadata` or `coordinator` has named. */
  async node(nodeId: number, purpose: Purpose = 'other'): Promise<BrokerConnection> {
    const address = this.#known.get(nodeId);
    if (address === undefined) throw new WireClientError('unreachable', `no broker has the id ${nodeId}`);
    return this.#connection(address, purpose);
  }

  /** Askers at the same time share one request. */
  metadata(topic: string): Promise<TopicMetadata> {
    let asked = this.#askedMetadata.get(topic);
    if (asked === undefined) {
      asked = this.#metadata(topic).finally(() => this.#askedMetadata.delete(topic));
      this.#askedMetadata.set(topic, asked);
    }
    return asked;
  }

  /** The id of the broker that keeps the group's offsets. */
  async coordinator(groupId: string): Promise<number> {
    const answer = await this.ask(apis.findCoordinator, {
      key: groupId,
      keyType: groupKeyType,
      coordinatorKeys: [groupId],
    });
    const found = answer.coordinators.find(({ key }) => key === groupId) ?? answer;
    if (found.errorCode !== 0) {
      const name = kafkaErrorName(found.errorCode) ?? `error ${found.errorCode}`;
      throw new WireClientError('unreachable', `the coordinator of group ${groupId} is not to be had: ${name}`);
    }
    this.#learn(found);
    return found.nodeId;
  }

  /** Ends all connections; whatever is asked for afterwards is refused. */
  close(): void {
    this.#isClosed = true;
    for (const key of [...this.#connections.keys()]) this.#drop(key);
  }

  async #metadata(topic: string): Promise<TopicMetadata> {
    const { brokers, clusterId, topics } = await this.#atAny((connection) => {
      if ((connection.version(apis.metadata) ?? 0) < metadataVersionMin) {
        throw new WireClientError(
          'unsupported',
          'the broker is older than Kafka 0.11, which is the oldest that can be used',
        );
      }
      return connection.request(apis.metadata, { topics: [{ name: topic }], allowAutoTopicCreation: false });
    });
    // One that is not named any more may be away for a moment only, and its id is its own for ever.
    for (const broker of brokers) this.#learn(broker);
    const found = topics.find(({ name }) => name === topic);
    const errorCode = found?.errorCode ?? kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code;
    const partitions = errorCode === 0 ? found!.partitions : [];
    return {
      topic,
      errorCode,
      topicId: found === undefined || found.topicId === noUuid ? undefined : found.topicId,
      clusterId: clusterId ?? undefined,
      partitions: partitions
        .map(({ partitionIndex, leaderId, leaderEpoch, errorCode }) => ({
          partition: partitionIndex,
          leader: leaderId,
          leaderEpoch,
          errorCode,
        }))
        .sort((a, b) => a.partition - b.partition),
    };
  }

  /** Goes from broker to broker until one answers: those that are known by id first, then those named at the start. */
  async #atAny<T>(ask: (connection: BrokerConnection) => Promise<T>): Promise<T> {
    const candidates = this.#candidates();
    const errors: WireClientError[] = [];
    for (const address of candidates) {
      try {
        return await ask(await this.#connection(address, 'other'));
      } catch (error) {
        if (!(error instanceof WireClientError)) throw error;
        errors.push(error);
        this.#turn += 1;
        if (this.#isClosed) throw error;
      }
    }
    // One that can be reached and refuses tells more than those that cannot.
    const telling = ['login-refused', 'unsupported', 'malformed', 'timed-out'] as const;
    for (const kind of telling) {
      const error = errors.find((candidate) => candidate.kind === kind);
      if (error !== undefined) throw error;
    }
    const reasons = errors.map(({ message }) => message).join('; ');
    throw new WireClientError('unreachable', `no broker can be reached: ${reasons}`, { cause: errors[0] });
  }

  #candidates(): BrokerAddress[] {
    const known = [...this.#known.values()];
    const turn = known.length === 0 ? 0 : this.#turn % known.length;
    const inTurn = [...known.slice(turn), ...known.slice(0, turn)];
    return [...new Map([...inTurn, ...this.#bootstrap].map((address) => [hostPort(address), address])).values()];
  }

  #connection(address: BrokerAddress, purpose: Purpose): Promise<BrokerConnection> {
    if (this.#isClosed) return Promise.reject(new WireClientError('closed', 'this node ends its connections'));
    const key = `${purpose} ${hostPort(address)}`;
    return this.#fresh(key, this.#connections.get(key), address);
  }

  async #fresh(
    key: string,
    opened: Promise<BrokerConnection> | undefined,
    address: BrokerAddress,
  ): Promise<BrokerConnection> {
    if (opened !== undefined) {
      const connection = await opened;
      if (connection.isFresh) return connection;
      // Somebody may have been quicker.
      if (this.#connections.get(key) === opened) this.#drop(key);
      return this.#fresh(key, this.#connections.get(key), address);
    }
    const opening = BrokerConnection.open(address, this.#connectionOptions);
    this.#connections.set(key, opening);
    try {
      const connection = await opening;
      if (!this.#isClosed) return connection;
      connection.close();
      throw new WireClientError('closed', 'this node ends its connections');
    } catch (error) {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
      throw error;
    }
  }

  /** Whoever waits for an answer there still gets it, unless all is closed. */
  #drop(key: string): void {
    const opened = this.#connections.get(key);
    this.#connections.delete(key);
    opened?.then(
      (connection) => (this.#isClosed ? connection.close() : connection.closeWhenIdle()),
      // Whoever asked for the connection has been told.
      () => undefined,
    );
  }

  #learn({ nodeId, host, port }: { nodeId: number; host: string; port: number }): void {
    if (nodeId < 0 || host === '' || port < 1 || port > 65_535) {
      this.#logger.debug({ nodeId, host, port }, 'a broker was named that cannot be reached by anyone');
      return;
    }
    this.#known.set(nodeId, { host, port });
  }
}

function asAddress(text: string): BrokerAddress {
  const [, bracketed, plain = '', port] = addressPattern.exec(text) ?? [];
  return { host: bracketed ?? plain, port: Number(port) };
}

function hostPort({ host, port }: BrokerAddress): string {
  return `${host}:${port}`;
}
