import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import kafkajs, { type Message } from 'kafkajs';
import type { PartitionEnds } from '../../../src/log/log.ts';
import type { IsolationLevel } from '../../../src/log/wire/fetch-loop.ts';
import { plugCodecsIn } from '../../support/conformance/kafkajs-codecs.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { type KafkaTools, kafkaTools } from '../../support/kafka/tools.ts';
import { createTopic, freshTopicName, produceRaw, rawRecords, type TopicOptions } from '../../support/kafka/topics.ts';
import { makeKafkaLog } from '../../support/kafka-log.ts';
import { CollectingReader, type ReadRecord } from '../../support/read-log.ts';
import { directLog } from '../../support/wire/direct-log.ts';

const codecs = ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD'] as const;
const partitions = 3;

/** Control characters that no key, value or header of this test has. */
const fieldEnd = '\u001f';
const recordEnd = '\u001e';
const nullText = '\u0015';

/** A record as a line: what two readers of the same log must agree on. */
function lineOf({ partition, offset, timestampMs, key, value, headers }: ReadRecord): string {
  const text = (bytes: Buffer | null): string => (bytes === null ? '(null)' : JSON.stringify(bytes.toString()));
  const pairs = Object.entries(headers).map((pair) => pair.join('='));
  return [partition, offset, timestampMs, text(key), text(value), ...pairs].join(' ');
}

/** Partition by partition, each in its own order. */
function linesOf(records: readonly ReadRecord[]): string[] {
  return records.toSorted((a, b) => a.partition - b.partition).map(lineOf);
}

/**
 * The same topics, read by three readers that share no code: the node's own, the adapter over kafkajs, and the consumer of Kafka's
 * console tool. All three must have the same keys, values, headers, timestamps and offsets, in the same order.
 */
describe(`differential replay of ${kafkaName}`, () => {
  let kafka: Kafka;

  before(async function () {
    kafka = await sharedKafka(this);
  });

  async function endsOf(topic: string): Promise<readonly PartitionEnds[]> {
    const log = makeKafkaLog(kafka, topic);
    try {
      return await log.ends();
    } finally {
      await log.stop();
    }
  }

  async function readDirectly(topic: string, isolation: IsolationLevel = 'read_committed'): Promise<string[]> {
    const from = (await endsOf(topic)).map(({ earliest }) => earliest);
    const reader = new CollectingReader(directLog(kafka, topic, { isolation }), from);
    return readToEnd(reader, topic);
  }

  async function readByKafkajs(topic: string): Promise<string[]> {
    const log = makeKafkaLog(kafka, topic, { reader: 'kafkajs', groupId: freshTopicName('differential') });
    try {
      const from = (await log.ends()).map(({ earliest }) => earliest);
      return await readToEnd(new CollectingReader(log, from), topic);
    } finally {
      await log.stop();
    }
  }

  async function readToEnd(reader: CollectingReader, topic: string): Promise<string[]> {
    try {
      await reader.reach((await endsOf(topic)).map(({ end }) => end));
      return linesOf(reader.records);
    } finally {
      await reader.stop();
    }
  }

  /** `records`: how many there are. The tool prints no more, and would wait for more. */
  async function readByJava(
    tools: KafkaTools,
    topic: string,
    isolation: IsolationLevel,
    records: number,
  ): Promise<string[]> {
    const properties = {
      ...{
        'print.partition': true,
        'print.offset': true,
        'print.timestamp': true,
        'print.headers': true,
        'print.key': true,
      },
      ...{ 'key.separator': fieldEnd, 'line.separator': recordEnd, 'null.literal': nullText },
    };
    const { stdout } = await tools.run('org.apache.kafka.tools.consumer.ConsoleConsumer', [
      ...['--bootstrap-server', kafka.brokerList, '--topic', topic, '--from-beginning'],
      ...['--isolation-level', isolation, '--max-messages', String(records), '--timeout-ms', '20000'],
      ...Object.entries(properties).flatMap(([name, value]) => ['--property', `${name}=${value}`]),
    ]);
    return linesOf(stdout.split(recordEnd).slice(0, -1).map(parseConsoleRecord));
  }

  /** Batches of every codec in every partition: records with headers, tombstones, empty values and null keys, and transactions. */
  async function mixedTopic(options: TopicOptions = {}): Promise<string> {
    plugCodecsIn();
    const topic = freshTopicName('differential');
    await createTopic(kafka, topic, { partitions, ...options });
    const producer = kafkajsClient(kafka).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    const transactional = kafkajsClient(kafka).producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      transactionalId: freshTopicName('transaction'),
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await Promise.all([producer.connect(), transactional.connect()]);
    try {
      for (const [round, codec] of codecs.entries()) {
        const compression = kafkajs.CompressionTypes[codec];
        const messages = mixedMessages(codec, round);
        await producer.send({ topic, compression, messages });
        for (const ending of ['abort', 'commit'] as const) {
          const transaction = await transactional.transaction();
          await transaction.send({
            topic,
            compression,
            messages: mixedMessages(`${codec}-${ending}`, round).slice(0, 30),
          });
          // Between the records of a transaction and its marker.
          await producer.send({ topic, compression, messages: mixedMessages(`${codec}-beside`, round).slice(0, 9) });
          await transaction[ending]();
        }
      }
    } finally {
      await Promise.all([producer.disconnect(), transactional.disconnect()]);
    }
    return topic;
  }

  describe('of batches by every codec, with transactions', () => {
    let topic: string;
    let direct: string[];

    before(async function () {
      this.timeout(120_000);
      topic = await mixedTopic();
      direct = await readDirectly(topic);
    });

    it('is the same by kafkajs', async () => {
      expect(direct).to.have.length.greaterThan(codecs.length * 100);
      expect(await readByKafkajs(topic)).to.deep.equal(direct);
    });

    it('is the same by Kafka’s console consumer, of committed and of uncommitted records', async function () {
      this.timeout(240_000);
      const tools = await kafkaTools(this);
      expect(await readByJava(tools, topic, 'read_committed', direct.length)).to.deep.equal(direct);
      const uncommitted = await readDirectly(topic, 'read_uncommitted');
      expect(uncommitted.length).to.equal(direct.length + codecs.length * 30);
      expect(await readByJava(tools, topic, 'read_uncommitted', uncommitted.length)).to.deep.equal(uncommitted);
    });
  });

  it('is the same where the broker stamps the records', async () => {
    const topic = await mixedTopic({ config: { 'message.timestamp.type': 'LogAppendTime' } });
    const direct = await readDirectly(topic);
    expect(direct).to.have.length.greaterThan(codecs.length * 100);
    expect(await readByKafkajs(topic)).to.deep.equal(direct);
  });

  it('is the same of what Kafka’s own producer writes, by every codec', async function () {
    this.timeout(240_000);
    const tools = await kafkaTools(this);
    const topic = freshTopicName('differential-java');
    await createTopic(kafka, topic);
    let records = 0;
    for (const codec of codecs) {
      const lines = Array.from({ length: 300 }, (_, i) => `key-${codec}-${i % 40}=${`value of ${i} `.repeat(20)}\n`);
      records += lines.length;
      await tools.run(
        'org.apache.kafka.tools.ConsoleProducer',
        [
          // Not --sync, and with a linger: so that a batch holds many records.
          ...['--bootstrap-server', kafka.brokerList, '--topic', topic, '--timeout', '50'],
          ...['--compression-codec', codec.toLowerCase()],
          ...['--property', 'parse.key=true', '--property', 'key.separator=='],
        ],
        lines.join(''),
      );
    }
    const direct = await readDirectly(topic);
    expect(direct).to.have.length(records);
    expect(await readByKafkajs(topic)).to.deep.equal(direct);
    expect(await readByJava(tools, topic, 'read_committed', records)).to.deep.equal(direct);
  });

  it('is the same where compaction has taken records, batches and the tail', async function () {
    this.timeout(180_000);
    const topic = freshTopicName('differential-compacted');
    await createTopic(kafka, topic, {
      config: {
        'cleanup.policy': 'compact',
        'segment.ms': '100',
        'min.cleanable.dirty.ratio': '0.001',
        'delete.retention.ms': '100',
        'min.compaction.lag.ms': '0',
      },
    });
    for (let round = 0; round < 6; round += 1) {
      const batch = (from: number) =>
        Array.from({ length: 5 }, (_, i) => ({ key: `key-${from + i}`, value: i % 4 === 3 ? null : `round-${round}` }));
      for (const from of [0, 5, 10]) await produceRaw(kafka, topic, batch(from));
      await sleep(150);
    }
    // Each further record closes the segment before it; the cleaner does the rest.
    for (;;) {
      await produceRaw(kafka, topic, [{ key: 'tick', value: null }]);
      await sleep(200);
      if ((await rawRecords(kafka, topic)).length < 40) break;
    }
    const direct = await readDirectly(topic);
    expect(await readByKafkajs(topic)).to.deep.equal(direct);
    const tools = await kafkaTools(this);
    expect(await readByJava(tools, topic, 'read_committed', direct.length)).to.deep.equal(direct);
  });
});

/** A hundred records and more, spread over the partitions. */
function mixedMessages(name: string, round: number): Message[] {
  return Array.from({ length: 120 }, (_, i) => ({
    partition: i % partitions,
    key: i % 11 === 10 ? null : `${name}-${i % 50}`,
    value: i % 7 === 6 ? null : i % 13 === 12 ? '' : `${name} value ${i} ${'x'.repeat((i * 37) % 400)}`,
    timestamp: String(Date.now() + i * round),
    ...(i % 5 === 4 ? { headers: { name, ñ: 'é', repeated: ['first', `last ${i}`], empty: '' } } : {}),
  }));
}

/** Its partition and offset are named, headers are `name:value,name:value`. */
function parseConsoleRecord(line: string): ReadRecord {
  const [timestamp, partition, offset, headers, key, value] = line.split(fieldEnd) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const bytes = (text: string): Buffer | null => (text === nullText ? null : Buffer.from(text));
  const pairs = headers === 'NO_HEADERS' ? [] : headers.split(',').map((pair) => pair.split(':') as [string, string]);
  return {
    partition: Number(partition.replace('Partition:', '')),
    offset: Number(offset.replace('Offset:', '')),
    timestampMs: Number(timestamp.replace(/^(CreateTime|LogAppendTime):/, '')),
    key: bytes(key),
    value: bytes(value),
    // Of several with one name the last counts.
    headers: Object.fromEntries(pairs),
  };
}
