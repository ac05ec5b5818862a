import { expect } from 'chai';
import kafkajs, {
  type Admin,
  type Consumer,
  type ConsumerConfig,
  type IMemberAssignment,
  type KafkaMessage,
  type Message,
  type Producer,
  type ProducerConfig,
} from 'kafkajs';
import { conformance } from '../support/conformance/conformance.ts';
import { plugCodecsIn } from '../support/conformance/kafkajs-codecs.ts';
import { freshTopic } from '../support/conformance/topics.ts';
import { until } from '../support/conformance/until.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { freshTopicName, keepsOldRecords } from '../support/kafka/topics.ts';

const { CompressionTypes, ConfigResourceTypes, Partitioners } = kafkajs;

type Received = KafkaMessage & { partition: number };

const numbered = (count: number, from = 0): Message[] =>
  Array.from({ length: count }, (_, i) => ({ key: `key-${from + i}`, value: `value-${from + i}` }));
const valuesOf = (received: readonly Received[]): string[] => received.map(({ value }) => `${value}`);
const sortedValues = (messages: readonly Pick<Message, 'value'>[]): string[] =>
  messages.map(({ value }) => `${value}`).sort();

/** The broker's own word for what was wrong, also where kafkajs has tried again before it gave up. */
function refusal(error: { type?: string; cause?: { type?: string }; errors?: { type: string }[] }): string | undefined {
  return error.errors?.[0]?.type ?? error.type ?? error.cause?.type;
}

conformance('kafkajs', (suite) => {
  const open: { disconnect(): Promise<void> }[] = [];
  let admin: Admin;

  before(async () => {
    plugCodecsIn();
    admin = kafkajsClient(suite, { retry: { retries: 2 } }).admin();
    await admin.connect();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((client) => client.disconnect()));
  });

  after(async () => {
    await admin?.disconnect();
  });

  async function producerOf(config: ProducerConfig = {}): Promise<Producer> {
    const producer = kafkajsClient(suite, { retry: { retries: 5 } }).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      allowAutoTopicCreation: false,
      ...config,
    });
    open.push(producer);
    await producer.connect();
    return producer;
  }

  async function consumerOf(config: Partial<ConsumerConfig> = {}): Promise<Consumer> {
    const consumer = kafkajsClient(suite).consumer({
      groupId: freshTopicName('group'),
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: 100,
      ...config,
    });
    open.push(consumer);
    await consumer.connect();
    return consumer;
  }

  /** Joins the group and collects what it is given; `joined` tells of each generation that it becomes a member of. */
  async function collect(consumer: Consumer, topic: string, { autoCommit = false, fromBeginning = true } = {}) {
    const received: Received[] = [];
    const assignments: IMemberAssignment[] = [];
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => assignments.push(payload.memberAssignment));
    await consumer.subscribe({ topic, fromBeginning });
    await consumer.run({
      autoCommit,
      eachMessage: async ({ partition, message }) => {
        received.push({ partition, ...message });
      },
    });
    return { received, assignments };
  }

  async function firstRecords(topic: string, count: number, config: Partial<ConsumerConfig> = {}): Promise<Received[]> {
    const consumer = await consumerOf(config);
    const { received } = await collect(consumer, topic);
    await until(() => received.length >= count);
    return received;
  }

  async function committed(groupId: string, topic: string): Promise<string[]> {
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return offsets!.partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => offset);
  }

  describe('records', () => {
    for (const [name, compression] of Object.entries({
      'no codec': CompressionTypes.None,
      gzip: CompressionTypes.GZIP,
      snappy: CompressionTypes.Snappy,
      lz4: CompressionTypes.LZ4,
      zstd: CompressionTypes.ZSTD,
    })) {
      suite.test(`come back as they went, with ${name}`, async () => {
        const topic = await freshTopic(suite, 'codec');
        const producer = await producerOf();
        const messages = numbered(500);
        const [written] = await producer.send({ topic, messages, compression, acks: -1 });
        expect(written).to.include({ topicName: topic, partition: 0, errorCode: 0, baseOffset: '0' });
        expect(valuesOf(await firstRecords(topic, 500))).to.deep.equal(messages.map(({ value }) => value));
      });
    }

    suite.test('keep key, value, headers, time and place', async () => {
      const topic = await freshTopic(suite, 'parts', { partitions: 3, config: keepsOldRecords });
      const producer = await producerOf();
      await producer.send({
        topic,
        messages: [
          { partition: 2, key: 'k', value: '', timestamp: '1700000000001', headers: { a: 'one', b: ['two', 'three'] } },
          { partition: 2, key: null, value: 'keyless' },
          { partition: 2, key: Buffer.from([0xff, 0x00]), value: null },
        ],
      });
      const [first, second, third] = await firstRecords(topic, 3);
      expect(first).to.deep.include({ partition: 2, offset: '0', timestamp: '1700000000001' });
      expect(`${first!.key} ${first!.value}`).to.equal('k ');
      expect(`${first!.headers?.a} ${first!.headers?.b}`).to.equal('one two,three');
      expect(second!.key).to.equal(null);
      expect([...third!.key!]).to.deep.equal([0xff, 0x00]);
      expect(third!.value).to.equal(null);
    });

    suite.test('are written with acks=0 and acks=1 too', async () => {
      const topic = await freshTopic(suite, 'acks');
      const producer = await producerOf();
      await producer.send({ topic, messages: numbered(10), acks: 0 });
      await producer.send({ topic, messages: numbered(10, 10), acks: 1 });
      expect((await firstRecords(topic, 20)).map(({ offset }) => Number(offset))).to.deep.equal([...Array(20).keys()]);
    });

    suite.test('of an idempotent producer are written once each and in order', async () => {
      const topic = await freshTopic(suite, 'idempotent', { partitions: 2 });
      const producer = await producerOf({ idempotent: true, maxInFlightRequests: 1 });
      for (let from = 0; from < 100; from += 10) {
        await producer.send({
          topic,
          messages: numbered(10, from).map((each) => ({ ...each, partition: from % 20 ? 1 : 0 })),
        });
      }
      const received = await firstRecords(topic, 100);
      expect(sortedValues(received)).to.deep.equal(sortedValues(numbered(100)));
      for (const partition of [0, 1]) {
        const offsets = received.filter((each) => each.partition === partition).map(({ offset }) => Number(offset));
        expect(offsets).to.deep.equal([...Array(50).keys()]);
      }
    });

    suite.test('over the topic’s max.message.bytes are refused, and no later one is', async () => {
      const topic = await freshTopic(suite, 'large', { config: { 'max.message.bytes': '2000' } });
      const producer = await producerOf();
      const answer = await producer.send({ topic, messages: [{ value: 'x'.repeat(4000) }] }).catch(refusal);
      expect(answer).to.equal('MESSAGE_TOO_LARGE');
      await producer.send({ topic, messages: [{ value: 'small' }] });
      expect(valuesOf(await firstRecords(topic, 1))).to.deep.equal(['small']);
    });

    suite.test('for a topic that does not exist are refused', async () => {
      const producer = await producerOf({ retry: { retries: 0 } });
      const answer = await producer.send({ topic: freshTopicName('none'), messages: numbered(1) }).catch(refusal);
      expect(answer).to.equal('UNKNOWN_TOPIC_OR_PARTITION');
    });

    suite.test('that were compressed are fetched again after the fetch size was too small for one', async () => {
      const topic = await freshTopic(suite, 'fetch-size');
      const producer = await producerOf();
      const value = 'y'.repeat(100_000);
      await producer.send({ topic, messages: [{ value }] });
      await producer.send({ topic, messages: [{ value }] });
      const received = await firstRecords(topic, 2, { maxBytesPerPartition: 1_000 });
      expect(received.map((each) => each.value!.length)).to.deep.equal([100_000, 100_000]);
    });
  });

  describe('transactions', () => {
    const transactional = () =>
      producerOf({ transactionalId: freshTopicName('transaction'), idempotent: true, maxInFlightRequests: 1 });

    suite.test('show committed records to readers of committed ones, and no aborted ones', async () => {
      const topic = await freshTopic(suite, 'transactions', { partitions: 2 });
      const producer = await transactional();
      for (const [from, end] of [
        [0, 'commit'],
        [10, 'abort'],
        [20, 'commit'],
      ] as const) {
        const transaction = await producer.transaction();
        await transaction.send({ topic, messages: numbered(10, from) });
        await transaction[end]();
      }
      const expected = [...numbered(10), ...numbered(10, 20)];
      const received = await firstRecords(topic, 20);
      expect(sortedValues(received)).to.deep.equal(sortedValues(expected));
      expect(await firstRecords(topic, 30, { readUncommitted: true })).to.have.length(30);
    });

    suite.test('hide their records until they end', async () => {
      const topic = await freshTopic(suite, 'open-transaction');
      const producer = await transactional();
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: numbered(1) });
      const { received } = await collect(await consumerOf(), topic);
      expect(await firstRecords(topic, 1, { readUncommitted: true })).to.have.length(1);
      expect(received).to.have.length(0);
      await transaction.commit();
      await until(() => received.length === 1);
    });

    suite.test('carry the offsets of a group, which count only once they are committed', async () => {
      const topic = await freshTopic(suite, 'read');
      const groupId = freshTopicName('read-process-write');
      const consumer = await consumerOf({ groupId });
      await (await producerOf()).send({ topic, messages: numbered(10) });
      const { received } = await collect(consumer, topic);
      await until(() => received.length === 10);
      const producer = await transactional();
      const topics = (offset: string) => [{ topic, partitions: [{ partition: 0, offset }] }];

      const aborted = await producer.transaction();
      await aborted.sendOffsets({ consumerGroupId: groupId, topics: topics('3') });
      await aborted.abort();
      expect(await committed(groupId, topic)).to.deep.equal(['-1']);

      const kept = await producer.transaction();
      await kept.sendOffsets({ consumerGroupId: groupId, topics: topics('7') });
      await kept.commit();
      expect(await until(async () => (await committed(groupId, topic)).find((offset) => offset !== '-1'))).to.equal(
        '7',
      );
    });

    suite.test('fence a producer whose transactional id a later one has taken', async () => {
      const topic = await freshTopic(suite, 'fenced');
      const transactionalId = freshTopicName('fenced');
      const config = { transactionalId, idempotent: true, maxInFlightRequests: 1, retry: { retries: 1 } };
      const first = await producerOf(config);
      const opened = await first.transaction();
      await opened.send({ topic, messages: numbered(1) });
      const second = await producerOf({ ...config, retry: { retries: 5 } });
      const taken = await second.transaction();
      await taken.send({ topic, messages: numbered(1, 1) });
      await taken.commit();
      const fenced = await opened.commit().catch(refusal);
      expect(fenced).to.be.oneOf(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED']);
      expect(valuesOf(await firstRecords(topic, 1))).to.deep.equal(['value-1']);
    });
  });

  describe('groups', () => {
    const partitionsOf = (assignment: IMemberAssignment | undefined, topic: string): number[] =>
      assignment?.[topic] ?? [];

    suite.test('share partitions between two members, and give all to the one that stays', async () => {
      const topic = await freshTopic(suite, 'rebalance', { partitions: 4 });
      const groupId = freshTopicName('rebalance');
      const config = { groupId, heartbeatInterval: 200, sessionTimeout: 10_000, rebalanceTimeout: 15_000 };
      const one = await consumerOf(config);
      const first = await collect(one, topic);
      await until(() => partitionsOf(first.assignments.at(-1), topic).length === 4);

      const two = await consumerOf(config);
      const second = await collect(two, topic);
      await until(() => partitionsOf(second.assignments.at(-1), topic).length === 2);
      await until(() => partitionsOf(first.assignments.at(-1), topic).length === 2);
      const shared = [first, second].flatMap(({ assignments }) => partitionsOf(assignments.at(-1), topic));
      expect(shared.sort()).to.deep.equal([0, 1, 2, 3]);

      await (await producerOf()).send({
        topic,
        messages: numbered(40).map((each, i) => ({ ...each, partition: i % 4 })),
      });
      await until(() => first.received.length + second.received.length === 40);
      expect([first.received.length, second.received.length]).to.deep.equal([20, 20]);

      await two.disconnect();
      await until(() => partitionsOf(first.assignments.at(-1), topic).length === 4);
    });

    suite.test('resume where they committed, after their last member has gone', async () => {
      const topic = await freshTopic(suite, 'resume', { partitions: 2 });
      const groupId = freshTopicName('resume');
      const producer = await producerOf();
      const send = (from: number) =>
        producer.send({ topic, messages: numbered(10, from).map((each, i) => ({ ...each, partition: i % 2 })) });
      await send(0);
      const one = await consumerOf({ groupId });
      const first = await collect(one, topic);
      await until(() => first.received.length === 10);
      await one.commitOffsets([
        { topic, partition: 0, offset: '5', metadata: 'how far it came' },
        { topic, partition: 1, offset: '3' },
      ]);
      await one.disconnect();
      const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
      expect(offsets!.partitions.find(({ partition }) => partition === 0)?.metadata).to.equal('how far it came');

      await send(10);
      const second = await collect(await consumerOf({ groupId }), topic);
      await until(() => second.received.length === 12);
      const places = second.received.map(({ partition, offset }) => `${partition}:${offset}`);
      expect(places).to.have.members([
        ...[5, 6, 7, 8, 9].map((offset) => `0:${offset}`),
        ...[3, 4, 5, 6, 7, 8, 9].map((offset) => `1:${offset}`),
      ]);
    });

    suite.test('commit by themselves what their members have read', async () => {
      const topic = await freshTopic(suite, 'auto-commit');
      const groupId = freshTopicName('auto-commit');
      await (await producerOf()).send({ topic, messages: numbered(25) });
      const consumer = await consumerOf({ groupId });
      const { received } = await collect(consumer, topic, { autoCommit: true });
      await until(() => received.length === 25);
      await consumer.stop();
      expect(await committed(groupId, topic)).to.deep.equal(['25']);
    });

    suite.test('let a member seek, pause and resume', async () => {
      const topic = await freshTopic(suite, 'seek');
      const producer = await producerOf();
      await producer.send({ topic, messages: numbered(10) });
      const consumer = await consumerOf();
      const { received } = await collect(consumer, topic);
      await until(() => received.length === 10);
      consumer.seek({ topic, partition: 0, offset: '6' });
      await until(() => received.length === 14);
      expect(received.slice(10).map(({ offset }) => offset)).to.deep.equal(['6', '7', '8', '9']);
      consumer.pause([{ topic }]);
      await producer.send({ topic, messages: numbered(1, 10) });
      expect(consumer.paused()).to.deep.equal([{ topic, partitions: [0] }]);
      consumer.resume([{ topic }]);
      await until(() => received.length === 15);
    });

    suite.test('start at the end when told so', async () => {
      const topic = await freshTopic(suite, 'latest');
      const producer = await producerOf();
      await producer.send({ topic, messages: numbered(5) });
      const consumer = await consumerOf();
      const { received, assignments } = await collect(consumer, topic, { fromBeginning: false });
      await until(() => assignments.length > 0);
      // The position is looked up with the first fetch: write until something arrives.
      await until(async () => {
        await producer.send({ topic, messages: numbered(1, 5) });
        return received.length > 0;
      });
      expect(valuesOf(received)).to.not.include('value-4');
    });

    suite.test('take a member from one topic to the topics of a pattern', async () => {
      const prefix = freshTopicName('pattern');
      const topics = [`${prefix}-a`, `${prefix}-b`];
      await admin.createTopics({ topics: topics.map((topic) => ({ topic })) });
      const producer = await producerOf();
      await producer.sendBatch({ topicMessages: topics.map((topic) => ({ topic, messages: [{ value: topic }] })) });
      const consumer = await consumerOf();
      const received: string[] = [];
      await consumer.subscribe({ topics: [new RegExp(`^${prefix}`)], fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ message }) => {
          received.push(`${message.value}`);
        },
      });
      await until(() => received.length === 2);
      expect(received).to.have.members(topics);
    });

    suite.test('are described with their members, and listed', async () => {
      const topic = await freshTopic(suite, 'describe-group');
      const groupId = freshTopicName('describe');
      const consumer = await consumerOf({ groupId });
      const { assignments } = await collect(consumer, topic);
      await until(() => assignments.length > 0);
      const description = await until(async () => {
        const { groups } = await admin.describeGroups([groupId]);
        return groups[0]?.state === 'Stable' ? groups[0] : undefined;
      });
      expect(description).to.include({ groupId, protocol: 'RoundRobinAssigner', protocolType: 'consumer' });
      expect(description.members).to.have.length(1);
      const assignment = kafkajs.AssignerProtocol.MemberAssignment.decode(description.members[0]!.memberAssignment);
      expect(assignment?.assignment).to.deep.equal({ [topic]: [0] });
      const { groups } = await admin.listGroups();
      expect(groups).to.deep.include({ groupId, protocolType: 'consumer' });
    });
  });

  describe('admin calls', () => {
    suite.test('create topics, tell of one that is there already, describe and delete them', async () => {
      const topic = freshTopicName('admin');
      expect(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })).to.equal(true);
      expect(await admin.createTopics({ topics: [{ topic }] })).to.equal(false);
      expect(await admin.listTopics()).to.include(topic);
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      expect(topics[0]!.partitions.map(({ partitionId }) => partitionId).sort()).to.deep.equal([0, 1, 2]);
      for (const { leader, replicas, isr, partitionErrorCode } of topics[0]!.partitions) {
        expect({ replicas, isr, partitionErrorCode }).to.deep.equal({
          replicas: [leader],
          isr: [leader],
          partitionErrorCode: 0,
        });
      }
      await admin.deleteTopics({ topics: [topic] });
      expect(await admin.listTopics()).to.not.include(topic);
    });

    suite.test('refuse names, counts and settings that cannot be', async () => {
      const refusalOf = async (config: Parameters<Admin['createTopics']>[0]['topics'][number]) => {
        return admin.createTopics({ topics: [config] }).then(() => undefined, refusal);
      };
      expect(await refusalOf({ topic: 'not/a/name' })).to.equal('INVALID_TOPIC_EXCEPTION');
      expect(await refusalOf({ topic: freshTopicName('zero'), numPartitions: 0 })).to.equal('INVALID_PARTITIONS');
      expect(await refusalOf({ topic: freshTopicName('nine'), replicationFactor: 9 })).to.equal(
        'INVALID_REPLICATION_FACTOR',
      );
      expect(
        await refusalOf({
          topic: freshTopicName('config'),
          configEntries: [{ name: 'cleanup.policy', value: 'nonsense' }],
        }),
      ).to.equal('INVALID_CONFIG');
    });

    suite.test('only validate when told so', async () => {
      const topic = freshTopicName('validate');
      await admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic }] });
      expect(await admin.listTopics()).to.not.include(topic);
    });

    suite.test('add partitions', async () => {
      const topic = await freshTopic(suite, 'grow');
      await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
      await until(async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions.length === 4);
      const fewer = await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }).catch(refusal);
      expect(fewer).to.equal('INVALID_PARTITIONS');
      const producer = await producerOf();
      await producer.send({ topic, messages: [{ partition: 3, value: 'in the new one' }] });
      expect(await firstRecords(topic, 1)).to.have.length(1);
    });

    suite.test('describe and alter the settings of a topic', async () => {
      const topic = await freshTopic(suite, 'settings', { config: { 'cleanup.policy': 'compact' } });
      const describeTopic = async () => {
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
        });
        return new Map(resources[0]!.configEntries.map((entry) => [entry.configName, entry]));
      };
      const before = await describeTopic();
      expect(before.get('cleanup.policy')).to.include({ configValue: 'compact', isDefault: false });
      expect(before.get('retention.ms')).to.include({ configValue: '604800000', isDefault: true });
      await admin.alterConfigs({
        validateOnly: false,
        resources: [
          { type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '1234567' }] },
        ],
      });
      await until(async () => (await describeTopic()).get('retention.ms')?.configValue === '1234567');
      // AlterConfigs replaces them all: what it does not name is the default again.
      expect((await describeTopic()).get('cleanup.policy')).to.include({ configValue: 'delete' });
    });

    suite.test('describe the settings of the broker, and the cluster', async () => {
      const { brokers, controller, clusterId } = await admin.describeCluster();
      const [host, port] = suite.brokerList.split(':');
      expect(brokers).to.have.length(1);
      expect(brokers[0]).to.include({ host, port: Number(port) });
      expect(controller).to.equal(brokers[0]!.nodeId);
      expect(clusterId).to.match(/^[\w-]{22}$/);
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.BROKER, name: String(brokers[0]!.nodeId) }],
      });
      const names = resources[0]!.configEntries.map(({ configName }) => configName);
      expect(names).to.include.members(['log.retention.ms', 'num.partitions', 'message.max.bytes']);
    });

    suite.test('tell the offsets of a topic, at its ends and by time', async () => {
      const topic = await freshTopic(suite, 'offsets', { config: keepsOldRecords });
      const producer = await producerOf();
      const messages = Array.from({ length: 10 }, (_, i) => ({
        value: `${i}`,
        timestamp: String(1_700_000_000_000 + i * 1000),
      }));
      await producer.send({ topic, messages });
      expect(await admin.fetchTopicOffsets(topic)).to.deep.equal([
        { partition: 0, offset: '10', high: '10', low: '0' },
      ]);
      const at = async (timestampMs: number) =>
        (await admin.fetchTopicOffsetsByTimestamp(topic, timestampMs)).map(({ offset }) => offset);
      expect(await at(1_700_000_003_000)).to.deep.equal(['3']);
      expect(await at(1_700_000_003_001)).to.deep.equal(['4']);
      expect(await at(1_600_000_000_000)).to.deep.equal(['0']);
      // Past the last record kafkajs asks for the end instead.
      expect(await at(1_800_000_000_000)).to.deep.equal(['10']);
    });

    suite.test('set the offsets of a group without members, and delete it', async () => {
      const topic = await freshTopic(suite, 'set-offsets', { partitions: 2 });
      await (await producerOf()).send({
        topic,
        messages: numbered(8).map((each, i) => ({ ...each, partition: i % 2 })),
      });
      const groupId = freshTopicName('set-offsets');
      await admin.setOffsets({
        groupId,
        topic,
        partitions: [
          { partition: 0, offset: '2' },
          { partition: 1, offset: '3' },
        ],
      });
      expect(await committed(groupId, topic)).to.deep.equal(['2', '3']);
      const resumed = await collect(await consumerOf({ groupId }), topic);
      await until(() => resumed.received.length === 3);
      const busy = await admin.deleteGroups([groupId]).catch((error) => error);
      expect(busy.groups?.[0]?.error?.type).to.equal('NON_EMPTY_GROUP');
      await Promise.all(open.splice(0).map((client) => client.disconnect()));
      expect(await admin.deleteGroups([groupId])).to.deep.equal([{ groupId, errorCode: 0 }]);
      expect(await committed(groupId, topic)).to.deep.equal(['-1', '-1']);
    });

    suite.test('delete the records before an offset', async () => {
      const topic = await freshTopic(suite, 'delete-records');
      await (await producerOf()).send({ topic, messages: numbered(10) });
      // kafkajs has to have seen the topic before it can delete from it.
      expect((await admin.fetchTopicOffsets(topic))[0]).to.include({ low: '0', high: '10' });
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
      expect((await admin.fetchTopicOffsets(topic))[0]).to.include({ low: '4', high: '10' });
      expect(valuesOf(await firstRecords(topic, 6))[0]).to.equal('value-4');
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '-1' }] });
      expect((await admin.fetchTopicOffsets(topic))[0]).to.include({ low: '10', high: '10' });
    });

    suite.test('answer for a topic that does not exist', async () => {
      const topic = freshTopicName('none');
      const unknown = await admin.fetchTopicMetadata({ topics: [topic] }).catch(refusal);
      expect(unknown).to.equal('UNKNOWN_TOPIC_OR_PARTITION');
      const deleted = await admin.deleteTopics({ topics: [topic] }).catch(refusal);
      expect(deleted).to.equal('UNKNOWN_TOPIC_OR_PARTITION');
    });
  });
});
