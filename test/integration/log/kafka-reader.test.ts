import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { systemClock } from '../../../src/kernel/clock.ts';
import { registerCodecs } from '../../../src/log/kafka/codecs.ts';
import { KafkaReader, type ReaderStats } from '../../../src/log/kafka/reader.ts';
import type { PartitionEnds } from '../../../src/log/log.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { heldBytes, holdConsumer } from '../../support/kafka/hold-consumer.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { kafkaTools } from '../../support/kafka/tools.ts';
import { createTopic, freshTopicName, produceRaw } from '../../support/kafka/topics.ts';
import { silentLogger } from '../../support/kafka-log.ts';

const mebibyte = 1024 * 1024;

/** What only a broker that compacts its tail, or a hostile producer, does to a reader. */
describe(`the reader of ${kafkaName}`, () => {
  let kafka: Kafka;
  let reader: KafkaReader | undefined;
  let stats: ReaderStats;
  const gaps: number[] = [];
  const keys: string[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
    registerCodecs();
  });

  beforeEach(() => {
    stats = { restarts: 0, disturbances: 0 };
    gaps.length = 0;
    keys.length = 0;
  });

  afterEach(async () => {
    await reader?.stop();
  });

  async function read(topic: string, ends: PartitionEnds[], clientId?: string): Promise<void> {
    const client = kafkajsClient(kafka, { clientId: clientId ?? 'bitacora-test-reader' });
    const admin = client.admin();
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    await admin.disconnect();
    const leaders = topics[0]?.partitions.map(({ leader }) => leader) ?? [];
    reader = new KafkaReader(
      {
        kafka: client,
        topic,
        groupId: freshTopicName('reader'),
        positions: [0],
        handler: {
          onBatch: async ({ count, buffer, keyStarts, keyLengths }) => {
            for (let i = 0; i < count; i += 1) {
              keys.push(buffer.toString('latin1', keyStarts[i], keyStarts[i]! + keyLengths[i]!));
            }
          },
          onGap: (_partition, nextOffset) => gaps.push(nextOffset),
          onDisturbance: () => undefined,
          onLineageLost: () => undefined,
        },
        ends: async () => ends,
        leadership: async () => ({
          leaders,
          brokers: new Map(brokers.map(({ nodeId, host, port }) => [`${host}:${port}`, nodeId])),
        }),
        batchBytesMax: mebibyte,
        clock: systemClock,
        logger: silentLogger,
      },
      stats,
    );
  }

  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 30));
  };

  it('learns that a tail holds nothing, when the log says that it goes on', async () => {
    const topic = freshTopicName('tail');
    await createTopic(kafka, topic);
    await produceRaw(kafka, topic, [{ key: 'a', value: '1' }]);
    // As a broker answers that has emptied the last batches by compaction, which this one never does to an active segment.
    await read(topic, [{ partition: 0, earliest: 0, end: 7 }]);
    await until(() => gaps.length > 0);
    expect(gaps[0]).to.equal(7);
    expect(keys).to.deep.equal(['a']);
    await produceRaw(kafka, topic, [{ key: 'b', value: '2' }]);
    await until(() => keys.length === 2);
    expect(keys).to.deep.equal(['a', 'b']);
  });

  it('does not take a batch that it cannot unpack for an empty tail, and does not go on in silence', async () => {
    const topic = freshTopicName('bomb');
    await createTopic(kafka, topic, { config: { 'max.message.bytes': String(4 * mebibyte) } });
    await produceRaw(kafka, topic, [{ key: 'a', value: '1' }]);
    kafkajs.CompressionCodecs[kafkajs.CompressionTypes.GZIP] = () => ({
      compress: async ({ buffer }: { buffer: Buffer }) => gzipSync(buffer),
      decompress: async () => Buffer.alloc(0),
    });
    const producer = kafkajsClient(kafka).producer();
    try {
      await producer.connect();
      const compression = kafkajs.CompressionTypes.GZIP;
      await producer.send({ topic, compression, messages: [{ key: 'bomb', value: Buffer.alloc(140 * mebibyte) }] });
    } finally {
      await producer.disconnect();
      registerCodecs();
    }
    await read(topic, [{ partition: 0, earliest: 0, end: 2 }]);
    await until(() => stats.restarts >= 2);
    expect(gaps).to.deep.equal([]);
  });

  it('does not take the answers of a broker that throttles it for the end of the log', async function () {
    this.timeout(120_000);
    const tools = await kafkaTools(this);
    const topic = freshTopicName('throttled');
    await createTopic(kafka, topic, { config: { 'cleanup.policy': 'compact' } });
    await produceRaw(kafka, topic, [{ key: 'filler', value: randomBytes(heldBytes) }]);
    const release = await holdConsumer(kafka, tools, topic);
    await read(topic, [{ partition: 0, earliest: 0, end: 1 }], topic);
    // Long enough for several rounds of the consumer, each of which waits for as long as the broker says.
    await sleep(25_000);
    expect([keys, gaps]).to.deep.equal([[], []]);
    await release();
    await until(() => keys.length === 1);
  });
});
