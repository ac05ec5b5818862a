import { expect } from 'chai';
import { conformance } from '../support/conformance/conformance.ts';
import {
  type Platformatic,
  type PlatformaticAdmin,
  type PlatformaticConsumer,
  type PlatformaticMessage,
  type PlatformaticProducer,
  type PlatformaticRecord,
  platformaticKafka,
} from '../support/conformance/platformatic.ts';
import { freshTopic } from '../support/conformance/topics.ts';
import { until } from '../support/conformance/until.ts';
import { orSkip } from '../support/kafka/kafka.ts';
import { freshTopicName, keepsOldRecords } from '../support/kafka/topics.ts';

/** Of ListOffsets. */
const latest = -1n;
const earliest = -2n;
/** Of DescribeConfigs. */
const topicResource = 2;
const [setOperation, deleteOperation] = [0, 1];
const [fromTopic, fromDefault] = [1, 5];

const numbered = (topic: string, count: number, partitions = 1): PlatformaticMessage[] =>
  Array.from({ length: count }, (_, i) => ({
    topic,
    partition: i % partitions,
    key: `key-${i}`,
    value: `value-${i}`,
  }));

conformance('@platformatic/kafka', (suite) => {
  let client: Platformatic;
  let admin: PlatformaticAdmin;
  const open: { close(force?: boolean): Promise<void> }[] = [];
  const options = () => ({ clientId: 'conformance', bootstrapBrokers: [suite.brokerList], retries: 5 });

  before(async function () {
    this.timeout(150_000);
    client = await orSkip(this, platformaticKafka());
    admin = new client.Admin(options());
  });

  afterEach(async () => {
    for (const each of open.splice(0)) await each.close(true);
  });

  after(async () => {
    await admin?.close();
  });

  function producerOf(settings: { compression?: string; idempotent?: boolean; transactionalId?: string } = {}) {
    const producer: PlatformaticProducer = new client.Producer({
      ...options(),
      serializers: client.stringSerializers,
      ...settings,
    });
    open.push(producer);
    return producer;
  }

  function consumerOf(settings: Partial<ConstructorParameters<Platformatic['Consumer']>[0]> = {}) {
    const consumer: PlatformaticConsumer = new client.Consumer({
      ...options(),
      deserializers: client.stringDeserializers,
      groupId: freshTopicName('group'),
      isolationLevel: 1,
      maxWaitTime: 100,
      ...settings,
    });
    open.push(consumer);
    return consumer;
  }

  /** Collects what the group has not read yet. */
  async function collect(consumer: PlatformaticConsumer, topic: string): Promise<PlatformaticRecord[]> {
    const received: PlatformaticRecord[] = [];
    const stream = await consumer.consume({
      topics: [topic],
      mode: 'committed',
      fallbackMode: 'earliest',
      autocommit: false,
    });
    stream.on('error', () => undefined);
    stream.on('data', (record) => received.push(record));
    return received;
  }

  async function firstRecords(topic: string, count: number, settings = {}): Promise<PlatformaticRecord[]> {
    const received = await collect(consumerOf(settings), topic);
    await until(() => received.length >= count);
    return received;
  }

  const committed = async (groupId: string, topic: string): Promise<(bigint | undefined)[]> => {
    const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] });
    const partitions = group!.topics.find(({ name }) => name === topic)?.partitions ?? [];
    return partitions.sort((a, b) => a.partitionIndex - b.partitionIndex).map((each) => each.committedOffset);
  };

  // Its zstd needs a later Node.js than this project does.
  for (const compression of ['none', 'gzip', 'snappy', 'lz4']) {
    suite.test(`reads what it wrote with compression ${compression}`, async () => {
      const topic = await freshTopic(suite, 'plt-codec');
      const sent = await producerOf({ compression }).send({ messages: numbered(topic, 500) });
      expect(sent.offsets).to.deep.equal([{ topic, partition: 0, offset: 0n }]);
      const received = await firstRecords(topic, 500);
      expect(received.map(({ value }) => value)).to.deep.equal(numbered(topic, 500).map(({ value }) => value));
    });
  }

  suite.test('keeps key, value, headers, time and place', async () => {
    const topic = await freshTopic(suite, 'plt-parts', { partitions: 3, config: keepsOldRecords });
    const message = { topic, partition: 2, key: 'k', value: 'v', timestamp: 1_700_000_000_001n, headers: { a: 'b' } };
    await producerOf().send({ messages: [message] });
    const [record] = await firstRecords(topic, 1);
    expect(record).to.include({ key: 'k', value: 'v', partition: 2, offset: 0n, timestamp: 1_700_000_000_001n });
    expect([...record!.headers]).to.deep.equal([['a', 'b']]);
  });

  suite.test('writes without waiting for an answer, and goes on', async () => {
    const topic = await freshTopic(suite, 'plt-acks');
    const producer = producerOf();
    await producer.send({ messages: numbered(topic, 5), acks: 0 });
    await producer.send({ messages: numbered(topic, 5), acks: 1 });
    expect((await firstRecords(topic, 10)).map(({ offset }) => Number(offset))).to.deep.equal([...Array(10).keys()]);
  });

  suite.test('writes idempotently', async () => {
    const topic = await freshTopic(suite, 'plt-idempotent', { partitions: 2 });
    const producer = producerOf({ idempotent: true });
    for (let i = 0; i < 10; i += 1) await producer.send({ messages: numbered(topic, 20, 2), acks: -1 });
    const received = await firstRecords(topic, 200);
    for (const partition of [0, 1]) {
      const offsets = received.filter((each) => each.partition === partition).map(({ offset }) => Number(offset));
      expect(offsets).to.deep.equal([...Array(100).keys()]);
    }
  });

  suite.test('shows committed transactions to readers of committed records, and no aborted ones', async () => {
    const topic = await freshTopic(suite, 'plt-transactions');
    const producer = producerOf({ idempotent: true, transactionalId: freshTopicName('plt-transaction') });
    for (const end of ['commit', 'abort', 'commit'] as const) {
      const transaction = await producer.beginTransaction();
      await transaction.send({ messages: [{ topic, key: 'k', value: end }] });
      await transaction[end]();
    }
    expect((await firstRecords(topic, 2)).map(({ value }) => value)).to.deep.equal(['commit', 'commit']);
    const all = await firstRecords(topic, 3, { isolationLevel: 0 });
    expect(all.map(({ value }) => value)).to.deep.equal(['commit', 'abort', 'commit']);
  });

  suite.test('commits the offsets of a group in a transaction', async () => {
    const [topic, groupId] = [await freshTopic(suite, 'plt-offsets'), freshTopicName('plt-group')];
    await producerOf().send({ messages: numbered(topic, 5) });
    const consumer = consumerOf({ groupId });
    const received = await collect(consumer, topic);
    await until(() => received.length === 5);
    const producer = producerOf({ idempotent: true, transactionalId: freshTopicName('plt-transaction') });
    const transaction = await producer.beginTransaction();
    await transaction.addConsumer(consumer);
    await transaction.addOffset(received[2]!);
    await transaction.commit();
    expect(await until(async () => (await committed(groupId, topic)).find((offset) => offset !== -1n))).to.equal(3n);
  });

  suite.test('resumes where its group committed', async () => {
    const [topic, groupId] = [await freshTopic(suite, 'plt-resume'), freshTopicName('plt-resume')];
    await producerOf().send({ messages: numbered(topic, 10) });
    const consumer = consumerOf({ groupId });
    const received = await collect(consumer, topic);
    await until(() => received.length === 10);
    await received[5]!.commit();
    await until(async () => (await committed(groupId, topic))[0] === 6n);
    for (const each of open.splice(0)) await each.close(true);
    const resumed = await collect(consumerOf({ groupId }), topic);
    await until(() => resumed.length === 4);
    expect(resumed[0]).to.include({ offset: 6n, value: 'value-6' });
  });

  suite.test('starts at the offsets that it is told', async () => {
    const topic = await freshTopic(suite, 'plt-manual');
    await producerOf().send({ messages: numbered(topic, 10) });
    const stream = await consumerOf().consume({
      topics: [topic],
      mode: 'manual',
      offsets: [{ topic, partition: 0, offset: 7n }],
    });
    const received: bigint[] = [];
    stream.on('error', () => undefined);
    stream.on('data', ({ offset }) => received.push(offset));
    await until(() => received.length === 3);
    expect(received).to.deep.equal([7n, 8n, 9n]);
  });

  suite.test('shares partitions between two members, and gives all to the one that stays', async () => {
    const [topic, groupId] = [await freshTopic(suite, 'plt-two', { partitions: 4 }), freshTopicName('plt-two')];
    const settings = { groupId, sessionTimeout: 10_000, heartbeatInterval: 200 };
    const [one, two] = [consumerOf(settings), consumerOf(settings)];
    const partitionsOf = (consumer: PlatformaticConsumer) =>
      consumer.assignments?.flatMap((each) => each.partitions) ?? [];
    const first = await collect(one, topic);
    const second = await collect(two, topic);
    await until(() => partitionsOf(one).length === 2 && partitionsOf(two).length === 2);
    expect([...partitionsOf(one), ...partitionsOf(two)].sort()).to.deep.equal([0, 1, 2, 3]);
    await producerOf().send({ messages: numbered(topic, 40, 4) });
    // Nothing is committed, so what was read before the last rebalance may be read again after it.
    const places = () => new Set([...first, ...second].map(({ partition, offset }) => `${partition}:${offset}`));
    await until(() => places().size === 40);
    await two.close(true);
    await until(() => partitionsOf(one).length === 4);
  });

  suite.test('joins a group by the consumer protocol', async () => {
    const [topic, groupId] = [await freshTopic(suite, 'plt-848'), freshTopicName('plt-848')];
    await producerOf().send({ messages: numbered(topic, 5) });
    expect(await firstRecords(topic, 5, { groupId, groupProtocol: 'consumer' })).to.have.length(5);
  });

  suite.test('creates, describes, grows and deletes topics', async () => {
    const name = freshTopicName('plt-admin');
    const configs = [{ name: 'cleanup.policy', value: 'compact' }];
    const [created] = await admin.createTopics({ topics: [name], partitions: 2, replicas: 1, configs });
    expect(created).to.include({ name, partitions: 2, replicas: 1 });
    expect(created!.configuration).to.include({ 'cleanup.policy': 'compact', 'retention.ms': '604800000' });
    expect(await admin.listTopics()).to.include(name);
    const { id, brokers, topics } = await admin.metadata({ topics: [name], forceUpdate: true });
    expect(id).to.match(/^[\w-]{22}$/);
    const [host, port] = suite.brokerList.split(':');
    expect([...brokers.values()][0]).to.include({ host, port: Number(port) });
    expect(topics.get(name)).to.include({ id: created!.id, partitionsCount: 2 });

    const brokerIds = [...brokers.keys()];
    await admin.createPartitions({ topics: [{ name, count: 4, assignments: [{ brokerIds }, { brokerIds }] }] });
    await until(
      async () => (await admin.metadata({ topics: [name], forceUpdate: true })).topics.get(name)?.partitionsCount === 4,
    );
    await admin.deleteTopics({ topics: [name] });
    expect(await admin.listTopics()).to.not.include(name);
  });

  suite.test('sets a topic’s setting, and takes it back', async () => {
    const resourceName = await freshTopic(suite, 'plt-settings');
    const resource = { resourceType: topicResource, resourceName };
    const retention = async () => {
      const [described] = await admin.describeConfigs({
        resources: [{ ...resource, configurationKeys: ['retention.ms'] }],
      });
      return described!.configs.map(({ name, value, configSource }) => ({ name, value, configSource }));
    };
    const alter = (configOperation: number, value: string | null) =>
      admin.incrementalAlterConfigs({
        resources: [{ ...resource, configs: [{ name: 'retention.ms', configOperation, value }] }],
      });
    await alter(setOperation!, '123456789');
    expect(await retention()).to.deep.equal([{ name: 'retention.ms', value: '123456789', configSource: fromTopic }]);
    await alter(deleteOperation!, null);
    expect(await retention()).to.deep.equal([{ name: 'retention.ms', value: '604800000', configSource: fromDefault }]);
  });

  suite.test('lists, describes and deletes groups, and sets and deletes their offsets', async () => {
    const [topic, groupId] = [await freshTopic(suite, 'plt-groups', { partitions: 2 }), freshTopicName('plt-groups')];
    await collect(consumerOf({ groupId }), topic);
    const groups = await admin.describeGroups({ groups: [groupId] });
    expect(groups.get(groupId)).to.include({ state: 'STABLE' });
    expect(groups.get(groupId)!.members.size).to.equal(1);
    for (const each of open.splice(0)) await each.close(true);
    expect((await admin.listGroups()).get(groupId)).to.include({ state: 'EMPTY', protocolType: 'consumer' });

    const partitionOffsets = [0, 1].map((partition) => ({ partition, offset: 10n + BigInt(partition) }));
    await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] });
    expect(await committed(groupId, topic)).to.deep.equal([10n, 11n]);
    await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionIndexes: [0] }] });
    expect(await committed(groupId, topic)).to.deep.equal([11n]);
    await admin.deleteGroups({ groups: [groupId] });
    expect((await admin.listGroups()).has(groupId)).to.equal(false);
  });

  suite.test('finds offsets, deletes records and measures partitions', async () => {
    const topic = await freshTopic(suite, 'plt-find', { config: keepsOldRecords });
    const messages = numbered(topic, 10).map((each, i) => ({
      ...each,
      timestamp: 1_700_000_000_000n + BigInt(i * 1000),
    }));
    await producerOf().send({ messages });
    const offsetAt = async (timestamp: bigint) => {
      const [found] = await admin.listOffsets({
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }],
      });
      return found!.partitions[0]!.offset;
    };
    expect([await offsetAt(earliest), await offsetAt(latest)]).to.deep.equal([0n, 10n]);
    expect(await offsetAt(1_700_000_004_500n)).to.equal(5n);
    const [deleted] = await admin.deleteRecords({
      topics: [{ name: topic, partitions: [{ partition: 0, offset: 3n }] }],
    });
    expect(deleted!.partitions).to.deep.equal([{ partition: 0, lowWatermark: 3n }]);
    expect(await offsetAt(earliest)).to.equal(3n);
    const [broker] = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] });
    const [measured] = broker!.results.flatMap(({ topics }) => topics);
    expect(Number(measured!.partitions[0]!.partitionSize)).to.be.greaterThan(200);
  });
});
