import { expect } from 'chai';
import { type Kafka, kafkaName, sharedKafka } from '../support/kafka/kafka.ts';
import { type KafkaTools, kafkaTools } from '../support/kafka/tools.ts';
import { abortedTransaction, createTopic, freshTopicName, produceRaw, rawRecords } from '../support/kafka/topics.ts';
import { NodeProcess } from '../support/node-process.ts';

const compacted = { config: { 'cleanup.policy': 'compact' } };

describe(`a node on ${kafkaName}`, () => {
  let kafka: Kafka;
  let tools: KafkaTools;
  const nodes: NodeProcess[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
    tools = await kafkaTools(this);
  });

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
  });

  async function start(topic: string, environment: Record<string, string> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, ...environment });
    nodes.push(node);
    return node;
  }

  it('creates the topic and serves set, get and delete', async () => {
    const topic = freshTopicName('main');
    const node = await (await start(topic)).ready();
    expect((await node.fetch('/rpc?key=one')).status).to.equal(404);

    const written = await node.fetch('/rpc?key=one&value=1', { method: 'POST' });
    expect(written.status).to.equal(200);
    expect(await written.json()).to.deep.include({ key: 'one', partition: 0, offset: 0 });

    const read = await node.fetch('/rpc?key=one');
    expect(await read.json()).to.deep.include({ key: 'one', value: '1', partition: 0, offset: 0, source: 'log' });
    expect(read.headers.get('bitacora-position')).to.equal('0:1');

    const body = JSON.stringify({ keys: ['none', 'one'] });
    const headers = { 'Content-Type': 'application/json' };
    const batch = await node.fetch('/rpc/batch', { method: 'POST', body, headers });
    const { values } = (await batch.json()) as { values: object[] };
    expect(values[0]).to.include({ key: 'none', status: 404, code: 'key_not_found' });
    expect(values[1]).to.include({ key: 'one', value: '1', partition: 0, offset: 0, source: 'log' });
    expect(batch.headers.get('bitacora-position')).to.equal('0:1');

    expect((await node.fetch('/rpc?key=one', { method: 'DELETE' })).status).to.equal(200);
    expect((await node.fetch('/rpc?key=one')).status).to.equal(404);
    expect(await node.stop()).to.equal(0);

    const records = await rawRecords(kafka, topic);
    expect(records.map(({ key, value }) => [key?.toString(), value?.toString()])).to.deep.equal([
      ['one', '1'],
      ['one', undefined],
    ]);
  });

  it('serves what Kafka’s console producer wrote, and its console consumer reads what was set over HTTP', async () => {
    const topic = freshTopicName('foreign');
    await createTopic(kafka, topic, compacted);
    await tools.consoleProduce(kafka, topic, ['ciudad=Málaga', 'país=España']);
    const node = await (await start(topic)).ready();
    expect(await (await node.fetch(`/rpc?key=${encodeURIComponent('país')}`)).json()).to.include({ value: 'España' });

    await tools.consoleProduce(kafka, topic, ['ciudad=Cádiz']);
    await node.until(async () => (await (await node.fetch('/rpc?key=ciudad')).text()).includes('Cádiz'));

    await node.fetch('/rpc?key=río', { method: 'PUT', body: 'Guadalquivir' });
    const records = await tools.consoleConsume(kafka, topic, { maxRecords: 4 });
    expect(records.at(-1)).to.include({ key: 'río', value: 'Guadalquivir', partition: 0 });
  });

  it('carries binary keys and values byte for byte', async () => {
    const topic = freshTopicName('binary');
    const node = await (await start(topic)).ready();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const key = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
    const written = await node.fetch(`/rpc?key=${key}`, { method: 'PUT', body: bytes });
    expect(written.status).to.equal(200);

    const [record] = await rawRecords(kafka, topic);
    expect(record?.key?.equals(bytes)).to.equal(true);
    expect(record?.value?.equals(bytes)).to.equal(true);

    await produceRaw(kafka, topic, [{ key: Buffer.from([0xff, 0x00]), value: Buffer.from([0x00, 0xfe]) }]);
    await node.until(async () => (await node.fetch('/rpc?key=%FF%00')).ok);
    const raw = await node.fetch('/rpc?key=%FF%00', { headers: { Accept: 'application/octet-stream' } });
    expect(Buffer.from(await raw.arrayBuffer())).to.deep.equal(Buffer.from([0x00, 0xfe]));
    expect(await (await node.fetch('/rpc?key=%FF%00')).json()).to.include({ encoding: 'base64', value: 'AP4=' });
  });

  it('keeps a deleted key deleted after a restart', async () => {
    const topic = freshTopicName('restart');
    const first = await (await start(topic)).ready();
    await first.fetch('/rpc?key=gone&value=1', { method: 'POST' });
    await first.fetch('/rpc?key=kept&value=2', { method: 'POST' });
    await first.fetch('/rpc?key=gone', { method: 'DELETE' });
    expect(await first.stop()).to.equal(0);

    const second = await (await start(topic, { API_PORT: String(first.port) })).ready();
    expect((await second.fetch('/rpc?key=gone')).status).to.equal(404);
    expect(await (await second.fetch('/rpc?key=kept')).json()).to.include({ value: '2' });
  });

  it('spreads keys over partitions as other clients do, and does not serve a record that lies in the wrong one', async () => {
    const topic = freshTopicName('partitions');
    await createTopic(kafka, topic, { partitions: 8, ...compacted });
    const keys = Array.from({ length: 200 }, (_, i) => `key-${i}`);
    await produceRaw(
      kafka,
      topic,
      keys.map((key) => ({ key, value: `of ${key}` })),
    );
    const node = await (await start(topic)).ready();
    for (const key of keys)
      expect(await (await node.fetch(`/rpc?key=${key}`)).json()).to.include({ value: `of ${key}` });

    const { partition } = (await (await node.fetch('/rpc?key=key-0')).json()) as { partition: number };
    await produceRaw(kafka, topic, [{ key: 'key-0', value: 'astray', partition: (partition + 1) % 8 }]);
    await node.until(async () => /result="misplaced"\} 1/.test(await (await node.fetch('/metrics')).text()));
    expect(await (await node.fetch('/rpc?key=key-0')).json()).to.include({ value: 'of key-0' });
  });

  it('becomes ready although the log ends in an aborted transaction, and serves nothing of it', async () => {
    const topic = freshTopicName('aborted');
    await createTopic(kafka, topic, compacted);
    await produceRaw(kafka, topic, [{ key: 'kept', value: '1' }]);
    await abortedTransaction(kafka, topic, [
      { key: 'kept', value: 'aborted' },
      { key: 'never', value: 'aborted' },
    ]);
    const node = await (await start(topic)).ready();
    expect(await (await node.fetch('/rpc?key=kept')).json()).to.include({ value: '1' });
    expect((await node.fetch('/rpc?key=never')).status).to.equal(404);
    const [status] = (await node.status()).partitions;
    expect(status).to.deep.equal({ partition: 0, position: 4, end: 4, lag: 0 });
    expect(await (await node.fetch('/rpc?key=kept&consistency=linearizable')).json()).to.include({ value: '1' });
  });

  it('skips and counts records without a key', async () => {
    const topic = freshTopicName('keyless');
    // A compacted topic does not take them: they are there from before it was one.
    await createTopic(kafka, topic, { config: { 'cleanup.policy': 'delete' } });
    await produceRaw(kafka, topic, [
      { key: null, value: 'no key' },
      { key: 'a', value: '1' },
    ]);
    await tools.run('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', kafka.brokerList, '--alter', '--entity-type', 'topics', '--entity-name', topic],
      ...['--add-config', 'cleanup.policy=compact'],
    ]);
    const node = await (await start(topic)).ready();
    expect(await (await node.fetch('/rpc?key=a')).json()).to.include({ value: '1' });
    expect(await (await node.fetch('/metrics')).text()).to.match(/bitacora_records_total\{result="without_key"\} 1/);
  });

  it('refuses a topic that is not compacted, and says the command that mends it', async () => {
    const topic = freshTopicName('delete-policy');
    await createTopic(kafka, topic, { config: { 'cleanup.policy': 'delete' } });
    const node = await start(topic);
    expect(await node.exited).to.equal(1);
    const lines = node.output.split('\n').filter((line) => line.startsWith('bitacora:'));
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include('cleanup.policy=delete').and.to.include('--add-config cleanup.policy=compact');
  });

  it('names the variable to change when its port is in use', async () => {
    const topic = freshTopicName('port');
    const first = await (await start(topic)).live();
    const second = await start(topic, { API_PORT: String(first.port) });
    expect(await second.exited).to.equal(1);
    expect(second.output).to.include(`bitacora: port ${first.port} is in use: set API_PORT to another one`);
  });

  it('answers what is under way when it is told to stop, and leaves its group', async () => {
    const topic = freshTopicName('stop');
    const node = await (await start(topic)).ready();
    const writes = Array.from({ length: 200 }, (_, i) => node.fetch(`/rpc?key=k${i}&value=${i}`, { method: 'POST' }));
    await Promise.race(writes);
    const code = node.stop();
    const settled = await Promise.allSettled(writes);
    expect(await code).to.equal(0);
    const acknowledged = settled.filter((write) => write.status === 'fulfilled' && write.value.status === 200).length;
    expect(acknowledged).to.be.greaterThan(0);
    expect((await rawRecords(kafka, topic)).length).to.be.at.least(acknowledged);
  });
});
