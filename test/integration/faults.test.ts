import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { kafkajsClient } from '../support/kafka/client.ts';
import { kafkaName, type OwnKafka, ownKafka } from '../support/kafka/kafka.ts';
import { createTopic, freshTopicName, produceRaw, rawRecords } from '../support/kafka/topics.ts';
import { NodeProcess } from '../support/node-process.ts';

const compacted = { config: { 'cleanup.policy': 'compact' } };

interface Problem {
  readonly code: string;
  readonly status: number;
}

describe(`faults of ${kafkaName}`, () => {
  let kafka: OwnKafka;
  const nodes: NodeProcess[] = [];

  before(async function () {
    kafka = await ownKafka(this);
  });

  after(async () => {
    await kafka?.stop();
  });

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
  });

  async function start(topic: string, environment: Record<string, string> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, ...environment });
    nodes.push(node);
    return node;
  }

  const write = async (node: NodeProcess, key: string, value: string) => {
    const response = await node.fetch(`/rpc?key=${key}&value=${value}`, { method: 'POST' });
    return { response, problem: response.ok ? undefined : ((await response.json()) as Problem) };
  };

  it('keeps every acknowledged write when the broker is killed and restarted under writes', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('killed');
    const node = await (await start(topic, { WRITE_TIMEOUT_MS: '5000' })).ready();
    const outcomes = new Map<string, number>();
    let running = true;
    const writer = async (name: number) => {
      for (let i = 0; running; i += 1) {
        const key = `w${name}-${i}`;
        const { response, problem } = await write(node, key, `${i}`);
        outcomes.set(key, response.status);
        if (problem !== undefined) {
          expect(problem.code).to.be.oneOf(['log_unavailable', 'write_outcome_unknown', 'overloaded']);
          await sleep(20);
        }
      }
    };
    const writers = Array.from({ length: 16 }, (_, name) => writer(name));
    const succeeded = () => [...outcomes.values()].filter((status) => status === 200).length;
    for (let round = 0; round < 2; round += 1) {
      const before = succeeded();
      while (succeeded() < before + 200) await sleep(10);
      await kafka.kill();
      await sleep(2_500);
      await kafka.start();
    }
    const before = succeeded();
    while (succeeded() < before + 200) await sleep(10);
    running = false;
    await Promise.all(writers);

    const statuses = [...new Set(outcomes.values())];
    expect(statuses).to.include(503);
    for (const status of statuses) expect(status).to.be.oneOf([200, 503, 504]);
    const counts = new Map<string, number>();
    for (const { key } of await rawRecords(kafka, topic)) counts.set(`${key}`, (counts.get(`${key}`) ?? 0) + 1);
    for (const [key, status] of outcomes) {
      const times = counts.get(key) ?? 0;
      if (status === 200) expect(times, `${key} was acknowledged`).to.equal(1);
      if (status === 503) expect(times, `${key} was called not written`).to.equal(0);
      if (status === 504) expect(times, `${key} is unknown`).to.be.at.most(1);
    }
    for (const [key, status] of outcomes) {
      if (status === 200) expect((await node.fetch(`/rpc?key=${key}`)).status, key).to.equal(200);
    }
  });

  it('reads on while the broker is away, refuses writes in a bounded time, and takes them again when it is back', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('away');
    const node = await (await start(topic, { WRITE_TIMEOUT_MS: '2000' })).ready();
    expect((await write(node, 'a', '1')).response.status).to.equal(200);
    await kafka.kill();

    // Until the loss has been noticed a write may be unknown; from then on it is refused at once.
    await node.until(async () => (await write(node, 'b', '2')).problem?.code === 'log_unavailable');
    const { response } = await write(node, 'b', '2');
    expect(response.status).to.equal(503);
    expect(response.headers.get('retry-after')).to.equal('1');
    expect((await node.fetch('/rpc?key=a')).status).to.equal(200);
    expect((await node.fetch('/health/live')).status).to.equal(200);
    expect((await node.fetch('/rpc?key=a&consistency=linearizable')).status).to.equal(503);
    await node.until(async () => !(await node.status()).logAnswers);
    expect((await node.fetch('/health/ready')).status).to.equal(200);

    await kafka.start();
    await node.until(async () => (await write(node, 'c', '3')).response.status === 200);
    expect((await node.fetch('/rpc?key=c&consistency=linearizable')).status).to.equal(200);
  });

  it('calls a write unknown when the broker takes it and does not answer', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('silent');
    const node = await (await start(topic, { WRITE_TIMEOUT_MS: '1500' })).ready();
    expect((await write(node, 'a', '1')).response.status).to.equal(200);
    kafka.pause();
    try {
      const { problem } = await write(node, 'b', '2');
      expect(problem).to.deep.include({ status: 504, code: 'write_outcome_unknown' });
      expect((await node.fetch('/rpc?key=a')).status).to.equal(200);
    } finally {
      kafka.resume();
    }
    await node.until(async () => (await write(node, 'c', '3')).response.status === 200);
    const keys = (await rawRecords(kafka, topic)).map(({ key }) => `${key}`);
    expect(keys.filter((key) => key === 'b').length).to.be.at.most(1);
  });

  it('waits for a broker that is not there at start: live, not ready, one line a step', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('late');
    await kafka.kill();
    const node = await (await start(topic)).live();
    await node.until(async () => node.output.includes('trying again in'));
    expect((await node.fetch('/health/ready')).status).to.equal(503);
    expect(await node.status()).to.include({ status: 'not ready', state: 'connecting' });
    expect((await write(node, 'a', '1')).response.status).to.equal(503);
    expect((await node.fetch('/rpc?key=a')).status).to.equal(503);
    await kafka.start();
    await node.ready();
    expect((await write(node, 'a', '1')).response.status).to.equal(200);
    const steps = node.output.split('\n').filter((line) => line.includes('trying again in'));
    expect(steps.length).to.be.at.most(10);
  });

  it('stops when it is told to although the broker is away', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('stop');
    const node = await (await start(topic, { WRITE_TIMEOUT_MS: '1000' })).ready();
    await write(node, 'a', '1');
    await kafka.kill();
    await node.until(async () => (await write(node, 'b', '2')).problem?.code === 'log_unavailable');
    expect(await node.stop()).to.equal(0);
    await kafka.start();
  });

  it('sees that its topic was made anew, and reads the new one', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('anew');
    await createTopic(kafka, topic, compacted);
    await produceRaw(
      kafka,
      topic,
      Array.from({ length: 50 }, (_, i) => ({ key: `old-${i}`, value: 'old' })),
    );
    const node = await (await start(topic)).ready();
    const admin = kafkajsClient(kafka).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await admin.disconnect();
    await node.until(async () => (await node.status()).state === 'refused');
    expect((await write(node, 'x', '1')).problem).to.include({ code: 'topic_unusable' });
    expect((await node.fetch('/health/ready')).status).to.equal(503);

    await createTopic(kafka, topic, compacted);
    await produceRaw(kafka, topic, [{ key: 'new', value: 'new' }]);
    await node.until(async () => (await node.fetch('/rpc?key=new')).ok);
    await node.ready();
    expect((await node.fetch('/rpc?key=old-1')).status).to.equal(404);
    expect((await write(node, 'x', '1')).response.status).to.equal(200);
  });

  it('refuses to go on when partitions are added, and says so once', async function () {
    this.timeout(150_000);
    const topic = freshTopicName('grown');
    const node = await (await start(topic)).ready();
    const admin = kafkajsClient(kafka).admin();
    await admin.connect();
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
    await admin.disconnect();
    await node.until(async () => (await node.status()).state === 'refused');
    expect((await node.status()).reason).to.match(/has 3 partitions and had 1/);
    expect((await write(node, 'x', '1')).problem).to.include({ code: 'topic_unusable' });
    await sleep(3_000);
    expect(node.output.split('\n').filter((line) => line.includes('has 3 partitions')).length).to.equal(1);
  });
});
