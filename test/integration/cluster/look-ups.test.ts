import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { heldBytes, holdConsumer } from '../../support/kafka/hold-consumer.ts';
import { type Kafka, sharedKafka } from '../../support/kafka/kafka.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { type KafkaTools, kafkaTools } from '../../support/kafka/tools.ts';
import { createTopic, freshTopicName, produceRaw, rawRecords } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';
import { Pipeline } from '../../support/pipeline.ts';

/** Long enough that no deadline decides a test that another event is to decide. */
const patient = { PEER_TIMEOUT_MS: '60000' };

describe('look-ups at other nodes', function () {
  this.timeout(60_000);
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

  /** Ports of a cluster whose nodes know each other by PEERS. */
  async function portsOf(count: number): Promise<{ ports: number[]; PEERS: string }> {
    const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
    return { ports, PEERS: ports.map((port) => `127.0.0.1:${port}`).join(',') };
  }

  async function start(topic: string, port: number, environment: Record<string, string>): Promise<NodeProcess> {
    const node = await NodeProcess.start({
      BROKER_LIST: kafka.brokerList,
      KAFKA_TOPIC: topic,
      API_PORT: String(port),
      ...environment,
    });
    nodes.push(node);
    return node.live();
  }

  const hold = (port: number, options?: { anything: boolean }) =>
    holdConsumer(kafka, tools, `bitacora-127.0.0.1:${port}`, options);
  const set = (node: NodeProcess, key: string, value: string) =>
    node.fetch(`/rpc?key=${key}&value=${value}`, { method: 'POST' });
  const read = async (node: NodeProcess, key: string) =>
    (await (await node.fetch(`/rpc?key=${key}`)).json()) as Record<string, unknown>;
  const fill = (node: NodeProcess) => node.fetch('/rpc?key=filler', { method: 'PUT', body: randomBytes(heldBytes) });
  /** Until the node knows how many partitions there are. */
  const connected = (node: NodeProcess) => node.until(async () => (await node.status()).partitions.length > 0);

  it('answer for a node that has read nothing yet, by which it never says 404 for what others have', async () => {
    const topic = freshTopicName('look-up');
    const { ports, PEERS } = await portsOf(3);
    const [first, second] = await Promise.all([start(topic, ports[0]!, { PEERS }), start(topic, ports[1]!, { PEERS })]);
    await Promise.all([first.ready(), second.ready()]);
    await fill(first);
    await set(first, 'one', '1');
    await set(first, 'gone', '1');
    await first.fetch('/rpc?key=gone', { method: 'DELETE' });

    const release = await hold(ports[2]!);
    const empty = await start(topic, ports[2]!, { PEERS, ...patient });
    await connected(empty);
    expect((await empty.status()).state).to.equal('catching-up');
    expect(await read(empty, 'one')).to.include({ value: '1', offset: 1, source: 'peer' });
    const head = await empty.fetch('/rpc?key=one', { method: 'HEAD' });
    expect([head.status, head.headers.get('bitacora-source')]).to.deep.equal([200, 'peer']);
    expect(await read(empty, 'gone')).to.include({ status: 404 });
    expect(await read(empty, 'never')).to.include({ status: 404 });
    expect((await empty.fetch('/rpc/cluster?key=one')).status).to.equal(404);

    await release();
    await empty.ready();
    expect(await read(empty, 'one')).to.include({ value: '1', source: 'log' });
    expect((await empty.fetch('/rpc/cluster?key=one')).status).to.equal(200);
  });

  it('are over as soon as the log delivers the key, value or tombstone, whatever the peers do', async () => {
    const topic = freshTopicName('log-wins');
    const { ports, PEERS } = await portsOf(3);
    const others = await Promise.all([start(topic, ports[0]!, { PEERS }), start(topic, ports[1]!, { PEERS })]);
    await Promise.all(others.map((node) => node.ready()));
    await fill(others[0]!);
    await set(others[0]!, 'one', '1');
    // The tombstone is the first record of its key: a value before it would be what the log delivers first.
    await others[0]!.fetch('/rpc?key=gone', { method: 'DELETE' });

    const release = await hold(ports[2]!);
    const node = await start(topic, ports[2]!, { PEERS, ...patient });
    await connected(node);
    for (const other of others) other.pause();
    const [one, gone] = [read(node, 'one'), read(node, 'gone')];
    await node.until(async () => (await node.metric('bitacora_lookup_callers_total')) === 2);
    await release();
    expect(await one).to.include({ value: '1', source: 'log' });
    expect(await gone).to.include({ status: 404 });
    expect(await node.metric('bitacora_lookups_total', 'outcome="log_won"')).to.equal(2);
    for (const other of others) other.resume();
  });

  it('do not bring back a deleted key from a node that lags, even when its tombstone is compacted away', async function () {
    this.timeout(120_000);
    const topic = freshTopicName('resurrection');
    const config = {
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.01',
      'min.compaction.lag.ms': '0',
      'delete.retention.ms': '0',
    };
    await createTopic(kafka, topic, { config });
    const { ports, PEERS } = await portsOf(3);
    const [ahead, behind] = await Promise.all([start(topic, ports[0]!, { PEERS }), start(topic, ports[1]!, { PEERS })]);
    await Promise.all([ahead.ready(), behind.ready()]);
    await set(ahead, 'gone', '1');
    await behind.until(async () => (await behind.fetch('/rpc/cluster?key=gone')).ok);
    await hold(ports[1]!, { anything: true });
    await ahead.fetch('/rpc?key=gone', { method: 'DELETE' });
    expect((await ahead.fetch('/rpc?key=gone')).status).to.equal(404);

    const late = await (await start(topic, ports[2]!, { PEERS, ...patient })).ready();
    expect((await behind.fetch('/rpc/cluster?key=gone')).status).to.equal(200);
    expect(await read(late, 'gone')).to.include({ status: 404, code: 'key_not_found' });
    await late.kill();

    // The same once nothing is left of the key in the log: now the late node has to ask, and the lagging one answers.
    for (let isThere = true; isThere; ) {
      await produceRaw(kafka, topic, [{ key: 'other', value: 'ends the segment' }]);
      isThere = (await rawRecords(kafka, topic)).some(({ key }) => key?.toString() === 'gone');
    }
    const later = await (await start(topic, ports[2]!, { PEERS })).ready();
    ahead.pause();
    expect(await read(later, 'gone')).to.include({ status: 404, code: 'key_not_found' });
    expect(await later.metric('bitacora_peer_answers_dropped_total', 'reason="stale"')).to.equal(1);
    ahead.resume();
  });

  it('are one a key and peer, however many callers wait', async () => {
    const topic = freshTopicName('one-flight');
    const { ports, PEERS } = await portsOf(3);
    const others = await Promise.all([start(topic, ports[1]!, { PEERS }), start(topic, ports[2]!, { PEERS })]);
    const node = await start(topic, ports[0]!, { PEERS, ...patient });
    await Promise.all([...others, node].map((each) => each.ready()));
    for (const other of others) other.pause();
    const callers = Array.from({ length: 100 }, () => Pipeline.get(node, '/rpc?key=missing', 100));
    await node.until(async () => (await node.metric('bitacora_lookup_callers_total')) === 10_000);
    for (const other of others) other.resume();
    const statuses = (await Promise.all(callers)).flat();
    expect(statuses).to.have.length(10_000);
    expect(new Set(statuses)).to.deep.equal(new Set([404]));
    for (const other of others) {
      await other.until(async () => (await asked(other)) > 0);
      expect(await asked(other)).to.equal(1);
    }

    function asked(other: NodeProcess): Promise<number> {
      return other.metric('bitacora_http_requests_total', 'route="/rpc/cluster",method="GET",status="404"');
    }
  });

  it('do not wait for a node that was killed, nor long for one that hangs', async () => {
    const topic = freshTopicName('dead-peer');
    const { ports, PEERS } = await portsOf(3);
    const all = await Promise.all(ports.map((port) => start(topic, port, { PEERS, ...patient })));
    await Promise.all(all.map((node) => node.ready()));
    const [node, other, dead] = all as [NodeProcess, NodeProcess, NodeProcess];
    await dead.kill();
    expect((await node.fetch('/rpc?key=missing')).status).to.equal(404);
    // The other one answers at the end of the log: the one that hangs is not waited for, or this would take a minute.
    const hanging = await start(topic, ports[2]!, { PEERS });
    await hanging.ready();
    hanging.pause();
    expect((await node.fetch('/rpc?key=missing')).status).to.equal(404);
    hanging.resume();
    other.pause();
    const alone = await node.until(async () => (await node.fetch('/rpc?key=missing')).status === 404);
    expect(alone).to.equal(undefined);
    other.resume();
  });

  it('are refused by a node of another topic: its answers count for nothing', async () => {
    const ours = freshTopicName('ours');
    const theirs = freshTopicName('theirs');
    const { ports, PEERS } = await portsOf(2);
    const stranger = await (await start(theirs, ports[1]!, { PEERS })).ready();
    await set(stranger, 'one', 'of-another-topic');
    const node = await (await start(ours, ports[0]!, { PEERS })).ready();
    expect((await node.fetch('/rpc?key=one')).status).to.equal(404);
    expect(await node.metric('bitacora_peer_requests_total', 'outcome="foreign"')).to.equal(1);
  });

  it('serve the calls of old: curl -I /rpc/cluster?key=one and friends', async () => {
    const topic = freshTopicName('seed-calls');
    const { ports, PEERS } = await portsOf(2);
    const [node, other] = await Promise.all(ports.map((port) => start(topic, port, { PEERS })));
    await Promise.all([node!.ready(), other!.ready()]);
    expect((await node!.fetch('/rpc/cluster?key=one', { method: 'HEAD' })).status).to.equal(404);
    expect((await node!.fetch('/rpc?key=one', { method: 'HEAD' })).status).to.equal(404);
    await set(node!, 'one', '1');
    await other!.until(async () => (await other!.fetch('/rpc/cluster?key=one', { method: 'HEAD' })).status === 200);
    expect((await node!.fetch('/rpc/cluster?key=one', { method: 'HEAD' })).status).to.equal(200);
    expect(await (await other!.fetch('/rpc?key=one')).json()).to.include({ value: '1' });
    expect((await other!.fetch('/rpc?key=one', { method: 'DELETE' })).status).to.equal(200);
    await node!.until(async () => (await node!.fetch('/rpc/cluster?key=one', { method: 'HEAD' })).status === 404);
  });

  it('are not made when MISS_LOOKUP says never, and only by a node that is behind when it says so', async () => {
    const topic = freshTopicName('policy');
    await createTopic(kafka, topic, { config: { 'cleanup.policy': 'compact' } });
    await produceRaw(kafka, topic, [
      { key: 'filler', value: randomBytes(heldBytes) },
      { key: 'one', value: '1' },
    ]);
    const { ports, PEERS } = await portsOf(3);
    const holds = [await hold(ports[1]!), await hold(ports[2]!)];
    const full = await (await start(topic, ports[0]!, { PEERS, MISS_LOOKUP: 'behind' })).ready();
    const behind = await start(topic, ports[1]!, { PEERS, MISS_LOOKUP: 'behind' });
    const never = await start(topic, ports[2]!, { PEERS, MISS_LOOKUP: 'never' });
    await Promise.all([connected(behind), connected(never)]);
    expect(await read(behind, 'one')).to.include({ value: '1', source: 'peer' });
    expect(await read(never, 'one')).to.include({ status: 503, code: 'not_caught_up' });
    expect((await full.fetch('/rpc?key=missing')).status).to.equal(404);
    expect(await full.metric('bitacora_lookup_callers_total')).to.equal(0);
    for (const release of holds) await release();
  });
});
