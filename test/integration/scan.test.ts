import { expect } from 'chai';
import { type Client, connect } from '../../src/client/client.ts';
import { type Kafka, kafkaName, sharedKafka } from '../support/kafka/kafka.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import { NodeProcess } from '../support/node-process.ts';

interface Page {
  readonly entries: readonly { readonly key: string; readonly value?: string; readonly partition: number }[];
  readonly after?: string;
  readonly position: string;
}

const compacted = { config: { 'cleanup.policy': 'compact' } };
/** Longer than any test. */
const timeoutMs = 120_000;
const keyAt = (i: number) => `key-${String(i).padStart(5, '0')}`;

describe(`scans of nodes on ${kafkaName}`, function () {
  this.timeout(120_000);
  let kafka: Kafka;
  let topic: string;
  const nodes: NodeProcess[] = [];
  const clients: Client[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    topic = freshTopicName('scan');
    await createTopic(kafka, topic, { partitions: 3, ...compacted });
  });

  afterEach(async () => {
    const closing = clients.splice(0).map((client) => client.close());
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
    await Promise.all(closing);
  });

  async function start(environment: Record<string, string> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, ...environment });
    nodes.push(node);
    return node.ready();
  }

  /** A node that has its keys in order. */
  async function startOrdered(): Promise<NodeProcess> {
    const node = await start();
    await node.until(async () => (await node.fetch('/rpc/scan')).ok);
    return node;
  }

  async function clientOf(...to: readonly NodeProcess[]): Promise<Client> {
    const client = await connect({ nodes: to.map(({ avroPort }) => `127.0.0.1:${avroPort}`), timeoutMs });
    clients.push(client);
    return client;
  }

  async function write(client: Client, from: number, to: number): Promise<void> {
    const writes = Array.from({ length: to - from }, (_, i) => ({ key: keyAt(from + i), value: `of ${from + i}` }));
    for (const { status } of await client.putMany(writes)) expect(status).to.equal('fulfilled');
  }

  async function page(node: NodeProcess, query: string, headers: Record<string, string> = {}): Promise<Page> {
    const response = await node.fetch(`/rpc/scan?${query}`, { headers });
    expect(response.status).to.equal(200);
    return (await response.json()) as Page;
  }

  it('have what others wrote before and write now, of all partitions, page by page', async () => {
    await write(await clientOf(await startOrdered()), 0, 2_500);
    // Another node, which has read all of it at its start.
    const node = await startOrdered();
    await node.fetch(`/rpc?key=${keyAt(7)}`, { method: 'DELETE' });
    await node.fetch('/rpc?key=other&value=1', { method: 'PUT' });
    const seen: Page['entries'][number][] = [];
    let after = '';
    do {
      const { entries, after: next } = await page(node, `prefix=key-&limit=400${after}`);
      seen.push(...entries);
      after = next === undefined ? '' : `&after=${next}`;
    } while (after !== '');
    const expected = Array.from({ length: 2_500 }, (_, i) => i).filter((i) => i !== 7);
    expect(seen.map(({ key, value }) => [key, value])).to.deep.equal(expected.map((i) => [keyAt(i), `of ${i}`]));
    expect(new Set(seen.map(({ partition }) => partition)).size).to.equal(3);
  });

  it('see on any node what was written before, with linearizable, and with session at the positions of a scan', async () => {
    const [one, other] = [await startOrdered(), await startOrdered()];
    await one.fetch('/rpc?key=a&value=1', { method: 'PUT' });
    await other.fetch('/rpc?key=b&value=1', { method: 'PUT' });
    const seen = await page(one, 'consistency=linearizable');
    expect(seen.entries.map(({ key }) => key)).to.include.members(['a', 'b']);
    const again = await page(other, 'consistency=session', { 'Bitacora-Position': seen.position });
    expect(again.entries).to.deep.equal(seen.entries);
  });

  it('go on at another node when one is killed, and miss and repeat no key while others write', async () => {
    const [one, other] = [await startOrdered(), await startOrdered()];
    const writer = await clientOf(other);
    await write(writer, 0, 4_000);
    const reader = await clientOf(one, other);
    const seen: string[] = [];
    for await (const { key, value } of reader.scan({ prefix: 'key-' })) {
      if (seen.length === 500) {
        await one.kill();
        for (let i = 0; i < 4_000; i += 100) await writer.put(`${keyAt(i)}-new`, 'of meanwhile');
      }
      expect(value.toString()).to.match(/^of /);
      seen.push(key.toString());
    }
    expect(seen.filter((key) => !key.endsWith('-new'))).to.deep.equal(
      Array.from({ length: 4_000 }, (_, i) => keyAt(i)),
    );
    expect(new Set(seen).size).to.equal(seen.length);
    expect(seen).to.deep.equal([...seen].sort());
    // Written while the scan was at the first page, and read on the second node: those behind it must be among them.
    expect(seen).to.include(`${keyAt(3_900)}-new`);
  });

  it('are refused by a node that keeps no order, which saves the memory for it', async () => {
    const [plain, ordered] = [await start({ ORDERED_INDEX: 'off' }), await startOrdered()];
    const client = await clientOf(ordered);
    await write(client, 0, 2_000);
    await plain.until(async () =>
      (await (await plain.fetch(`/rpc?key=${keyAt(1_999)}&consistency=linearizable`)).text()).includes('of'),
    );
    const refused = await plain.fetch('/rpc/scan');
    expect([refused.status, ((await refused.json()) as { code: string }).code]).to.deep.equal([501, 'scan_disabled']);
    expect(await plain.metric('bitacora_store_memory_bytes', 'kind="index"')).to.equal(0);
    expect(await plain.metric('bitacora_store_memory_bytes', 'kind="live"')).to.be.greaterThan(0);
    expect(await ordered.metric('bitacora_store_memory_bytes', 'kind="index"')).to.be.greaterThan(0);
    const scan = (await clientOf(plain)).scan();
    const fault = await scan.next().then(String, (error: unknown) => error);
    expect(fault).to.include({ code: 'scan_disabled', status: 501 });
    expect((await page(ordered, 'limit=10000')).entries).to.have.length(2_000);
  });
});
