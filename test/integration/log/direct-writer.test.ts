import { expect } from 'chai';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { AppendRecord } from '../../../src/log/log.ts';
import { apis } from '../../../src/log/wire/apis.ts';
import { Brokers } from '../../../src/log/wire/brokers.ts';
import { DirectWriter, sequenceAfter } from '../../../src/log/wire/direct-writer.ts';
import { BatchEncoder, type BatchProducer } from '../../../src/protocol/batch-encoder.ts';
import { kafkaErrorName } from '../../../src/protocol/errors.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { createTopic, freshTopicName, rawRecords } from '../../support/kafka/topics.ts';
import { silentLogger } from '../../support/kafka-log.ts';

const record = (key: string, value: string | null = 'v'): AppendRecord => ({
  partition: 0,
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  timestampMs: Date.now(),
});

describe(`the direct writer: ${kafkaName}`, () => {
  let kafka: Kafka;
  let brokers: Brokers;
  let topic: string;

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    topic = freshTopicName('direct');
    const connection = { brokers: kafka.brokerList.split(','), clientId: topic, tls: undefined, sasl: undefined };
    brokers = new Brokers({ connection, clock: systemClock, logger: silentLogger });
  });

  afterEach(() => brokers.close());

  const writerOf = (partition: number): DirectWriter =>
    new DirectWriter({ brokers, topic, partition, requestTimeoutMs: 10_000 });

  it('writes batch after batch, also to a topic that comes to be meanwhile', async () => {
    const writer = writerOf(0);
    expect((await writer.send([record('early')])).kind).to.equal('not-sent');
    await createTopic(kafka, topic);
    while ((await writer.send([record('a'), record('b', null)])).kind !== 'appended');
    expect(await writer.send([record('c', '')])).to.deep.equal({
      kind: 'appended',
      baseOffset: 2,
      logAppendTimeMs: undefined,
    });
    const read = await rawRecords(kafka, topic);
    expect(read.map(({ key, value }) => [key?.toString(), value?.toString()])).to.deep.equal([
      ['a', 'v'],
      ['b', undefined],
      ['c', ''],
    ]);
  });

  it('hears the time of a topic that stamps records itself', async () => {
    await createTopic(kafka, topic, { config: { 'message.timestamp.type': 'LogAppendTime' } });
    const outcome = await writerOf(0).send([{ ...record('a'), timestampMs: 1_000 }]);
    expect(outcome).to.have.property('logAppendTimeMs').that.is.greaterThan(1_600_000_000_000);
  });

  it('hears of a batch that is too large for the topic, and goes on with the next', async () => {
    await createTopic(kafka, topic, { config: { 'max.message.bytes': '2000' } });
    const writer = writerOf(0);
    const refused = await writer.send([record('a', 'v'.repeat(3_000))]);
    expect(refused).to.include({ kind: 'rejected', retry: 'split' });
    expect(await writer.send([record('b')])).to.include({ kind: 'appended', baseOffset: 0 });
  });

  it('numbers records so that a broker knows a repetition, also where the sequence goes on at 0', async () => {
    await createTopic(kafka, topic);
    const { producerId, producerEpoch } = await brokers.ask(apis.initProducerId, { transactionalId: null });
    const { partitions } = await brokers.metadata(topic);
    const connection = await brokers.node(partitions[0]!.leader);
    const encoder = new BatchEncoder();
    const produce = async (batch: readonly AppendRecord[], producer: BatchProducer) => {
      const { responses } = await connection.request(apis.produce, {
        acks: -1,
        timeoutMs: 10_000,
        topicData: [{ name: topic, partitionData: [{ index: 0, records: encoder.encode(batch, producer) }] }],
      });
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
      return [kafkaErrorName(errorCode), baseOffset];
    };
    // A producer of which a broker knows nothing may begin anywhere (KIP-360).
    const last = { producerId, producerEpoch, baseSequence: 2 ** 31 - 2 };
    const next = { ...last, baseSequence: sequenceAfter(last.baseSequence, 3) };
    const [batch, following] = [[record('a'), record('b'), record('c')], [record('d')]];
    expect(await produce(batch, last)).to.deep.equal(['NONE', 0]);
    expect(await produce(batch, last)).to.deep.equal(['NONE', 0]);
    expect(await produce(following, { ...next, baseSequence: next.baseSequence + 1 })).to.include(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    );
    expect(await produce(following, next)).to.deep.equal(['NONE', 3]);
    expect(await produce(following, next)).to.deep.equal(['NONE', 3]);
    expect((await rawRecords(kafka, topic)).map(({ key }) => key?.toString())).to.deep.equal(['a', 'b', 'c', 'd']);
  });
});
