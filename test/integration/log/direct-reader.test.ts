import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Admin } from 'kafkajs';
import { DirectReaderStats } from '../../../src/log/wire/direct-reader.ts';
import { CliProcess, outputOf } from '../../support/cli-process.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { abortedTransaction, createTopic, freshTopicName, produceRaw } from '../../support/kafka/topics.ts';
import { makeKafkaLog } from '../../support/kafka-log.ts';
import { CollectingReader } from '../../support/read-log.ts';
import { keepingLogger } from '../../support/replica-rig.ts';
import { directLog } from '../../support/wire/direct-log.ts';

const mebibyte = 1024 * 1024;

/** What scripted brokers cannot show: that brokers answer as the reader believes. */
describe(`the direct reader on ${kafkaName}`, function () {
  this.timeout(120_000);
  let kafka: Kafka;
  let admin: Admin;
  let topic: string;
  let reader: CollectingReader | undefined;

  before(async function () {
    kafka = await sharedKafka(this);
    admin = kafkajsClient(kafka).admin();
    await admin.connect();
  });

  after(() => admin?.disconnect());

  beforeEach(() => {
    topic = freshTopicName('direct');
  });

  afterEach(async () => {
    await reader?.stop();
    reader = undefined;
  });

  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await sleep(20);
  };
  const keys = (): string[] => reader!.records.map(({ key }) => `${key}`);

  it('reaches the end of a partition whose tail is an aborted transaction', async () => {
    await createTopic(kafka, topic);
    await produceRaw(kafka, topic, [{ key: 'a', value: '1' }]);
    await abortedTransaction(kafka, topic, [{ key: 'aborted', value: '2' }]);
    reader = new CollectingReader(directLog(kafka, topic), [0]);
    await reader.reach([3]);
    expect(keys()).to.deep.equal(['a']);
    expect(reader.gaps.at(-1)).to.equal('0:3');
  });

  it('fetches batches that are larger than its fetches, beside others', async () => {
    await createTopic(kafka, topic, { partitions: 3, config: { 'max.message.bytes': String(16 * mebibyte) } });
    const large = randomBytes(9 * mebibyte);
    for (const partition of [0, 1, 2]) {
      await produceRaw(kafka, topic, [{ key: `small ${partition}`, value: 'v', partition }]);
      await produceRaw(kafka, topic, [{ key: `large ${partition}`, value: large, partition }]);
      await produceRaw(kafka, topic, [{ key: `behind ${partition}`, value: 'v', partition }]);
    }
    reader = new CollectingReader(directLog(kafka, topic), [0, 0, 0]);
    await reader.reach([3, 3, 3]);
    const values = reader.records.filter(({ key }) => key!.toString().startsWith('large')).map(({ value }) => value!);
    expect(values.map((value) => value.equals(large))).to.deep.equal([true, true, true]);
  });

  it('finds out that the topic was deleted and made anew', async () => {
    await createTopic(kafka, topic);
    await produceRaw(kafka, topic, [{ key: 'old', value: '1' }]);
    reader = new CollectingReader(directLog(kafka, topic), [0]);
    await reader.reach([1]);
    await admin.deleteTopics({ topics: [topic] });
    while ((await admin.listTopics()).includes(topic)) await sleep(50);
    // A broker may go on with the deletion for a moment, and refuse the name until then.
    await createTopic(kafka, topic).catch(() => sleep(2_000).then(() => createTopic(kafka, topic)));
    await produceRaw(kafka, topic, [{ key: 'new', value: '2' }]);
    await until(() => reader!.lost.length > 0);
    expect(reader.lost[0]).to.match(/was made anew: its id is [0-9a-f-]{36}, not [0-9a-f-]{36}$/);
    expect(keys()).to.deep.equal(['old']);
  });

  it('says that its position is gone when the records there were deleted', async () => {
    await createTopic(kafka, topic, { config: { 'cleanup.policy': 'delete' } });
    await produceRaw(
      kafka,
      topic,
      ['a', 'b', 'c', 'd'].map((key) => ({ key, value: key })),
    );
    // kafkajs does not ask by itself who leads the partition.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] });
    const stats = new DirectReaderStats();
    reader = new CollectingReader(directLog(kafka, topic, { stats }), [1]);
    await until(() => reader!.disturbances.length > 0);
    expect(reader.disturbances[0]).to.equal('partition 0 has no offset 1');
    expect([keys(), stats.disturbances > 0]).to.deep.equal([[], true]);
    await reader.stop();
    reader = new CollectingReader(directLog(kafka, topic), [3]);
    await reader.reach([4]);
    expect(keys()).to.deep.equal(['d']);
  });

  it('goes on from where it was told to, once the leader has confirmed the epoch', async () => {
    await createTopic(kafka, topic);
    await produceRaw(
      kafka,
      topic,
      ['a', 'b', 'c'].map((key) => ({ key, value: key })),
    );
    const [first] = await readEpochs();
    reader = new CollectingReader(directLog(kafka, topic), [{ offset: 2, leaderEpoch: first! }]);
    await reader.reach([3]);
    expect(keys()).to.deep.equal(['c']);
    await reader.stop();
    // No leader has been in such an epoch.
    reader = new CollectingReader(directLog(kafka, topic), [{ offset: 2, leaderEpoch: first! + 1_000 }]);
    await until(() => reader!.lost.length > 0 || reader!.records.length > 0);
    expect(reader.lost).to.deep.equal([
      `partition 0 knows nothing of leader epoch ${first! + 1_000}, in which it was read up to 2`,
    ]);
  });

  /** The leader epochs of the slices of the topic. */
  function readEpochs(): Promise<number[]> {
    return new Promise((resolve) => {
      const epochs: number[] = [];
      const other = directLog(kafka, topic).read([{ offset: 0, leaderEpoch: -1 }], {
        onBatch: async ({ leaderEpoch, nextOffset }) => {
          epochs.push(leaderEpoch);
          if (nextOffset === 3) setImmediate(() => void other.stop().then(() => resolve(epochs)));
        },
        onGap: () => undefined,
        onDisturbance: () => undefined,
        onLineageLost: () => undefined,
      });
    });
  }

  it('tells the id of the topic, by which a description shows another one of its name', async () => {
    const log = makeKafkaLog(kafka, topic);
    const other = makeKafkaLog(kafka, topic, { reader: 'kafkajs' });
    try {
      await createTopic(kafka, topic);
      expect((await log.describe())?.topicId).to.match(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect((await other.describe())?.topicId).to.equal(undefined);
    } finally {
      await log.stop();
      await other.stop();
    }
  });

  it('shows its lag under its group, of which it is no member', async () => {
    const groupId = freshTopicName('direct-group');
    await createTopic(kafka, topic, { partitions: 2 });
    await produceRaw(
      kafka,
      topic,
      ['a', 'b', 'c'].map((key) => ({ key, value: key, partition: 0 })),
    );
    reader = new CollectingReader(directLog(kafka, topic, { groupId }), [0, 0]);
    await reader.reach([3, 0]);
    await reader.stop();
    await produceRaw(kafka, topic, [{ key: 'd', value: 'd', partition: 0 }]);
    const [described] = JSON.parse(await outputOf(kafka, ['groups', 'describe', groupId, '--json'])) as object[];
    expect(described).to.deep.include({
      state: 'Empty',
      members: [],
      offsets: [
        { topic, partition: 0, offset: 3, end: 4, lag: 1 },
        { topic, partition: 1, offset: 0, end: 0, lag: 0 },
      ],
    });
  });

  it('reads all the same under a group that somebody else is a member of, and says so', async () => {
    const groupId = freshTopicName('direct-group');
    await createTopic(kafka, topic);
    await produceRaw(kafka, topic, [{ key: 'a', value: 'shown' }]);
    const member = new CliProcess(kafka, ['consume', topic, '--group', groupId, '--from-beginning']);
    try {
      await member.shows('shown');
      const lines: string[] = [];
      reader = new CollectingReader(directLog(kafka, topic, { groupId, logger: keepingLogger(lines) }), [0]);
      await reader.reach([1]);
      await reader.stop();
      expect(lines.filter((line) => line.startsWith('warn'))).to.have.length(1);
      expect(lines.find((line) => line.startsWith('warn'))).to.contain('somebody else is a member of the group');
    } finally {
      member.child.kill('SIGKILL');
    }
  });
});
