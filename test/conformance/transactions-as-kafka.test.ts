import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import { addOffsetsToTxn } from '../../src/broker/handlers/txn/add-offsets-to-txn.ts';
import { addPartitionsToTxn } from '../../src/broker/handlers/txn/add-partitions-to-txn.ts';
import { endTxn } from '../../src/broker/handlers/txn/end-txn.ts';
import { initProducerId } from '../../src/broker/handlers/txn/init-producer-id.ts';
import { FrameAssembler } from '../../src/broker/server/frames.ts';
import { kafkaErrors } from '../../src/protocol/errors.ts';
import { addOffsetsToTxnRequest, addOffsetsToTxnResponse } from '../../src/protocol/messages/add-offsets-to-txn.ts';
import {
  addPartitionsToTxnRequest,
  addPartitionsToTxnResponse,
} from '../../src/protocol/messages/add-partitions-to-txn.ts';
import { endTxnRequest, endTxnResponse } from '../../src/protocol/messages/end-txn.ts';
import { findCoordinatorRequest, findCoordinatorResponse } from '../../src/protocol/messages/find-coordinator.ts';
import { initProducerIdRequest, initProducerIdResponse } from '../../src/protocol/messages/init-producer-id.ts';
import { includesVersion, type Message, type MessageInput, type MessageValue } from '../../src/protocol/schema.ts';
import { WireWriter } from '../../src/protocol/wire.ts';
import { askHandler } from '../support/broker/ask-handler.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { javaKafka } from '../support/kafka/java.ts';
import { ownKafka } from '../support/kafka/kafka.ts';
import { freshTopicName } from '../support/kafka/topics.ts';
import { TransactionRig, timeoutMs } from '../unit/broker/txn/transaction-rig.ts';

const retryAfterMs = 2;
const frameBytesMax = 100 * 1024 * 1024;

type Ask = <Q extends Message, S extends Message>(
  request: Q,
  response: S,
  version: number,
  body: MessageInput<Q>,
) => Promise<MessageValue<S>>;

/** Who a request says it is from: the producer that came last, one that came before it, or nobody that ever was. */
type Who = 'last' | 'previous' | 'first' | 'epoch from the future' | 'unknown producer id';
const anyone: fc.Arbitrary<Who> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Who>('last') },
  { weight: 1, arbitrary: fc.constantFrom<Who>('previous', 'first', 'epoch from the future', 'unknown producer id') },
);

type Step =
  | { do: 'init'; version: number; as: Who | undefined; timeoutMs: number }
  | { do: 'add'; version: number; as: Who; partitions: number[] }
  | { do: 'offsets'; version: number; as: Who }
  | { do: 'end'; version: number; as: Who; commit: boolean };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('init' as const),
      version: fc.nat(5),
      as: fc.option(anyone, { nil: undefined }),
      timeoutMs: fc.oneof(
        { weight: 8, arbitrary: fc.constant(timeoutMs) },
        { weight: 1, arbitrary: fc.constantFrom(0, -1, 900_001) },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      version: fc.nat(3),
      as: anyone,
      // The topic has two partitions.
      partitions: fc.array(fc.nat(2), { minLength: 1, maxLength: 3 }).map((some) => [...new Set(some)]),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('offsets' as const), version: fc.nat(4), as: anyone }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      version: fc.nat(4),
      as: anyone,
      commit: fc.boolean(),
    }),
  },
);

describe('transaction coordinator beside Kafka', () => {
  let topic: string;
  let kafka: KafkaConnection;

  before(async function () {
    const { brokerList } = await ownKafka(this);
    await withTransactionVersionOne(brokerList);
    topic = freshTopicName('txn');
    const admin = kafkajsClient({ brokerList }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
    await admin.disconnect();
    kafka = await KafkaConnection.open(brokerList);
    await untilReady(kafka.ask);
  });

  after(() => kafka?.close());

  it('answers whatever a producer does as Kafka does', async function () {
    this.timeout(120_000);
    let conversations = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), async (steps) => {
        conversations += 1;
        const transactionalId = freshTopicName(`transactional-${conversations}`);
        const [theirs, ours] = [new Conversation(kafka.ask, topic, transactionalId), await ourConversation()];
        for (const step of steps) {
          const said = await theirs.hold(step);
          expect(await ours.hold(step), JSON.stringify(step)).to.equal(said);
        }
      }),
      { numRuns: 200 },
    );
  });

  async function ourConversation(): Promise<Conversation> {
    const rig = await TransactionRig.started();
    rig.partitions.clear();
    for (const partition of [0, 1]) rig.partitions.add(`${topic}-${partition}`);
    const handlers = [initProducerId, addPartitionsToTxn, addOffsetsToTxn, endTxn].map((make) => make(rig.coordinator));
    const ask: Ask = (request, _response, version, body) =>
      askHandler(handlers.find((each) => each.request === (request as Message))!, version, body);
    return new Conversation(ask, topic, 't');
  }
});

/** One transactional id's requests to a coordinator, and what is said to them, put so that two coordinators can be compared. */
class Conversation {
  readonly #ask: Ask;
  readonly #topic: string;
  readonly #transactionalId: string;
  /** In the order in which they came. */
  readonly #producers: { readonly producerId: number; readonly producerEpoch: number }[] = [];
  #isOpen = false;

  constructor(ask: Ask, topic: string, transactionalId: string) {
    this.#ask = ask;
    this.#topic = topic;
    this.#transactionalId = transactionalId;
  }

  /** Repeats what is answered CONCURRENT_TRANSACTIONS, as clients do. */
  async hold(step: Step): Promise<string> {
    for (;;) {
      const said = await this.#say(step);
      if (!said.includes('CONCURRENT_TRANSACTIONS')) return said;
      await delay(retryAfterMs);
    }
  }

  async #say(step: Step): Promise<string> {
    const transactionalId = this.#transactionalId;
    switch (step.do) {
      case 'init': {
        // A producer of the past would end the open transaction in Kafka, to be told then that it is fenced: here it is told at once.
        const as = this.#isOpen && step.as !== 'last' ? undefined : step.as;
        const identity = as === undefined || step.version < 3 ? {} : this.#identity(as);
        const answer = await this.#ask(initProducerIdRequest, initProducerIdResponse, step.version, {
          transactionalId,
          transactionTimeoutMs: step.timeoutMs,
          ...identity,
        });
        const { errorCode, producerId, producerEpoch } = answer;
        if (errorCode !== 0) return nameOf(errorCode);
        this.#isOpen = false;
        const isFirst = this.#producers.length === 0;
        const isSame = isFirst || this.#producers.at(-1)!.producerId === producerId;
        this.#producers.push({ producerId, producerEpoch });
        return `${isSame ? 'same' : 'new'} producer id, epoch ${producerEpoch}`;
      }
      case 'add': {
        const { producerId, producerEpoch } = this.#identity(step.as);
        const answer = await this.#ask(addPartitionsToTxnRequest, addPartitionsToTxnResponse, step.version, {
          v3AndBelowTransactionalId: transactionalId,
          v3AndBelowProducerId: producerId,
          v3AndBelowProducerEpoch: producerEpoch,
          v3AndBelowTopics: [{ name: this.#topic, partitions: step.partitions }],
        });
        const results = answer.resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) => resultsByPartition);
        results.sort((a, b) => a.partitionIndex - b.partitionIndex);
        if (results.every(({ partitionErrorCode }) => partitionErrorCode === 0)) this.#isOpen = true;
        return results.map((each) => `${each.partitionIndex} ${nameOf(each.partitionErrorCode)}`).join(', ');
      }
      case 'offsets': {
        const body = { transactionalId, ...this.#identity(step.as), groupId: 'group' };
        const { errorCode } = await this.#ask(addOffsetsToTxnRequest, addOffsetsToTxnResponse, step.version, body);
        if (errorCode === 0) this.#isOpen = true;
        return nameOf(errorCode);
      }
      case 'end': {
        const body = { transactionalId, ...this.#identity(step.as), committed: step.commit };
        const { errorCode } = await this.#ask(endTxnRequest, endTxnResponse, step.version, body);
        if (errorCode === 0) this.#isOpen = false;
        return nameOf(errorCode);
      }
    }
  }

  #identity(who: Who): { producerId: number; producerEpoch: number } {
    const last = this.#producers.at(-1) ?? { producerId: 123_456_789, producerEpoch: 0 };
    if (who === 'previous') return this.#producers.at(-2) ?? last;
    if (who === 'first') return this.#producers[0] ?? last;
    if (who === 'epoch from the future') return { ...last, producerEpoch: last.producerEpoch + 7 };
    return who === 'last' ? last : { ...last, producerId: last.producerId + 1_000_000 };
  }
}

/** A connection that asks one thing after the other. */
class KafkaConnection {
  readonly #socket: Socket;
  readonly #frames = new FrameAssembler(() => frameBytesMax);
  #answered: (frame: Buffer) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#frames.push(chunk)) this.#answered(frame);
    });
  }

  static async open(brokerList: string): Promise<KafkaConnection> {
    const [host, port] = brokerList.split(',')[0]!.split(':') as [string, string];
    const socket = connect(Number(port), host);
    await once(socket, 'connect');
    return new KafkaConnection(socket);
  }

  readonly ask: Ask = async (request, response, version, body) => {
    const isFlexible = includesVersion(request.flexible, version);
    const writer = new WireWriter();
    writer.int32(0);
    writer.int16(request.apiKey);
    writer.int16(version);
    writer.int32(0);
    // No client id.
    writer.int16(-1);
    if (isFlexible) writer.uvarint(0);
    request.encode(writer, body as never, version);
    writer.int32At(0, writer.length - 4);
    const answered = new Promise<Buffer>((resolve) => {
      this.#answered = resolve;
    });
    this.#socket.write(writer.finish());
    const frame = await answered;
    // The correlation id, and tagged fields of which there are none.
    const decoded = response.decode(frame.subarray(isFlexible ? 5 : 4), version);
    return decoded as MessageValue<typeof response>;
  };

  close(): void {
    this.#socket.destroy();
  }
}

/** A new Kafka has version 2, in which the coordinator raises epochs of its own accord. */
async function withTransactionVersionOne(brokerList: string): Promise<void> {
  const { java, classPath } = await javaKafka();
  const tool = ['-cp', classPath, 'org.apache.kafka.tools.FeatureCommand', '--bootstrap-server', brokerList];
  await promisify(execFile)(java, [...tool, 'downgrade', '--feature', 'transaction.version=1']);
}

/** Kafka makes the topic of its transactions when somebody first looks for their coordinator. */
async function untilReady(ask: Ask): Promise<void> {
  for (;;) {
    const body = { key: 'any', keyType: 1 };
    const { errorCode } = await ask(findCoordinatorRequest, findCoordinatorResponse, 1, body);
    if (errorCode === 0) {
      const first = { transactionalId: freshTopicName('first'), transactionTimeoutMs: timeoutMs };
      const init = await ask(initProducerIdRequest, initProducerIdResponse, 1, first);
      if (init.errorCode === 0) return;
    }
    await delay(100);
  }
}

function nameOf(errorCode: number): string {
  return Object.entries(kafkaErrors).find(([, { code }]) => code === errorCode)?.[0] ?? String(errorCode);
}
