import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Node } from '../../src/main.ts';
import { storeDigest } from '../support/digest.ts';
import { type Kafka, sharedKafka } from '../support/kafka/kafka.ts';
import { kafkaTools } from '../support/kafka/tools.ts';
import { createTopic, freshTopicName, produceRaw, rawRecords } from '../support/kafka/topics.ts';
import { nodeInProcess } from '../support/node-in-process.ts';
import { NodeProcess } from '../support/node-process.ts';

const compacted = { 'cleanup.policy': 'compact' };

async function untilReady(node: Node): Promise<void> {
  while (!node.database.status().ready) await sleep(20);
}

/** Asks again and again; the test's own time-out is the bound. */
async function until(question: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await question())) await sleep(50);
}

describe('replay of a real topic', () => {
  let kafka: Kafka;
  const started: Node[] = [];
  const processes: NodeProcess[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((node) => node.stop()));
    await Promise.all(processes.splice(0).map((node) => node.kill()));
  });

  async function start(topic: string): Promise<Node & { port: number }> {
    const node = await nodeInProcess(kafka, topic);
    started.push(node);
    return node;
  }

  it('reads 200,000 records, and holds the last value of every key', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('replay');
    await createTopic(kafka, topic, { partitions: 4, config: compacted });
    const records = 200_000;
    const keys = 60_000;
    for (let from = 0; from < records; from += 5_000) {
      const batch = Array.from({ length: 5_000 }, (_, i) => {
        const n = from + i;
        // Every seventh record of the second half deletes.
        const deletes = n >= records / 2 && n % 7 === 0;
        return { key: `key-${n % keys}`, value: deletes ? null : `value-${n}` };
      });
      await produceRaw(kafka, topic, batch);
    }
    const expected = new Map<string, string | null>();
    for (let n = 0; n < records; n += 1) {
      expected.set(`key-${n % keys}`, n >= records / 2 && n % 7 === 0 ? null : `value-${n}`);
    }
    const node = await start(topic);
    await untilReady(node);
    const held = new Map([...node.store.entries(0)].map(([key, { value }]) => [key.toString(), value.toString()]));
    const live = [...expected].filter(([, value]) => value !== null);
    expect(held.size).to.equal(live.length);
    for (const [key, value] of live)
      if (held.get(key) !== value) expect.fail(`${key} is ${held.get(key)}, not ${value}`);
    expect(node.store.size.tombstones).to.equal(keys - live.length);
  });

  it('brings two nodes that both write to the same digest', async () => {
    const topic = freshTopicName('converge');
    await createTopic(kafka, topic, { partitions: 3, config: compacted });
    const [one, two] = await Promise.all([start(topic), start(topic)]);
    await Promise.all([untilReady(one), untilReady(two)]);
    const write = async (node: Node, i: number) => {
      const key = Buffer.from(`key-${i % 97}`);
      if (i % 5 === 0) await node.database.delete(key, { wait: 'logged' });
      else await node.database.put(key, Buffer.from(`${i}`), { wait: 'logged' });
    };
    await Promise.all(Array.from({ length: 4_000 }, (_, i) => write(i % 2 === 0 ? one : two, i)));
    const ends = (await rawRecords(kafka, topic)).length;
    const applied = (node: Node) => node.database.status().partitions.reduce((sum, { position }) => sum + position, 0);
    await until(() => applied(one) === ends && applied(two) === ends);
    const digest = storeDigest(one.store, Date.now());
    expect(storeDigest(two.store, Date.now())).to.equal(digest);

    // And so does one that starts afterwards, which reads what they wrote.
    const three = await start(topic);
    await untilReady(three);
    expect(storeDigest(three.store, Date.now())).to.equal(digest);
  });

  it('becomes ready on a topic that compaction has thinned out, and holds what an uncompacted read would', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('compaction');
    await createTopic(kafka, topic, {
      config: {
        ...compacted,
        'segment.ms': '100',
        'min.cleanable.dirty.ratio': '0.001',
        'delete.retention.ms': '100',
        'min.compaction.lag.ms': '0',
      },
    });
    const expected = new Map<string, string>();
    const send = async (key: string, value: string | null) => {
      await produceRaw(kafka, topic, [{ key, value }]);
      if (value === null) expected.delete(key);
      else expected.set(key, value);
    };
    let sent = 0;
    for (let round = 0; round < 6; round += 1) {
      for (let i = 0; i < 10; i += 1, sent += 1) await send(`key-${i}`, i % 4 === 3 ? null : `round-${round}`);
      await sleep(150);
    }
    // Each further record closes the segment before it; the cleaner does the rest.
    await until(async () => {
      await send('tick', String(sent));
      sent += 1;
      await sleep(200);
      return (await rawRecords(kafka, topic)).length < 30;
    });
    await send('tick', null);
    sent += 1;

    const node = await start(topic);
    await untilReady(node);
    const [status] = node.database.status().partitions;
    expect(status).to.deep.equal({ partition: 0, position: sent, end: sent, lag: 0 });
    const held = new Map([...node.store.entries(0)].map(([key, { value }]) => [key.toString(), value.toString()]));
    expect(held).to.deep.equal(expected);
  });

  it('reads every codec that Kafka’s own producer writes', async function () {
    const tools = await kafkaTools(this);
    const topic = freshTopicName('codecs');
    await createTopic(kafka, topic, { config: compacted });
    const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
    for (const codec of codecs) {
      const lines = Array.from({ length: 300 }, (_, i) => `${codec}-${i}=${`value of ${i} `.repeat(20)}`);
      // Not --sync, and with a linger: so that a batch holds many records.
      const args = ['--bootstrap-server', kafka.brokerList, '--topic', topic, '--timeout', '50'];
      const keyed = ['--property', 'parse.key=true', '--property', 'key.separator=='];
      const run = [
        'org.apache.kafka.tools.ConsoleProducer',
        [...args, '--compression-codec', codec, ...keyed],
      ] as const;
      await tools.run(run[0], [...run[1]], lines.map((line) => `${line}\n`).join(''));
    }
    const node = await start(topic);
    await untilReady(node);
    for (const codec of codecs) {
      for (const i of [0, 150, 299]) {
        const { found } = node.database.readHere(Buffer.from(`${codec}-${i}`));
        expect(found?.value.toString()).to.equal(`value of ${i} `.repeat(20));
      }
    }
    expect(node.store.size.values).to.equal(1_500);
  });

  it('reads with the reader that it is told to use, and the same by either', async () => {
    const topic = freshTopicName('reader');
    await createTopic(kafka, topic, { config: compacted });
    await produceRaw(kafka, topic, [{ key: 'a', value: '1' }]);
    for (const [reader, fetches] of [
      ['direct', /^bitacora_log_fetches_total [1-9]/m],
      ['kafkajs', /^bitacora_log_fetches_total 0$/m],
    ] as const) {
      const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, LOG_READER: reader });
      processes.push(node);
      await node.ready();
      expect(await (await node.fetch('/rpc?key=a')).json()).to.include({ value: '1', offset: 0 });
      expect(await (await node.fetch('/metrics')).text()).to.match(fetches);
      expect(await node.stop()).to.equal(0);
    }
  });

  it('shows its lag to Kafka’s own tools under its group', async function () {
    const tools = await kafkaTools(this);
    const topic = freshTopicName('group');
    const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic });
    processes.push(node);
    await node.ready();
    await node.fetch('/rpc?key=a&value=1', { method: 'POST' });
    await node.fetch('/rpc?key=b&value=2', { method: 'POST' });
    expect(await node.stop()).to.equal(0);
    const { stdout } = await tools.run('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
      ...['--bootstrap-server', kafka.brokerList, '--describe', '--group', `${topic}-127.0.0.1-${node.port}`],
    ]);
    const [, , , offset, end, lag] = stdout
      .split('\n')
      .find((line) => line.includes(`${topic} `))!
      .split(/\s+/);
    expect([offset, end, lag]).to.deep.equal(['2', '2', '0']);
  });
});
