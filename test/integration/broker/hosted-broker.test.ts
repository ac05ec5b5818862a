import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { NodeProcess } from '../../support/node-process.ts';

describe('nodes without a Kafka', () => {
  const nodes: NodeProcess[] = [];
  let folder: string;
  let brokerPort: number;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-hosted-'));
    brokerPort = await freePort();
  });

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
    await rm(folder, { recursive: true });
  });

  async function start(environment: Record<string, string> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({ BROKER_PORT: String(brokerPort), DATA_DIR: folder, ...environment });
    nodes.push(node);
    return node;
  }

  async function set(node: NodeProcess, key: string, value: string): Promise<number> {
    return (await node.fetch(`/rpc?key=${key}&value=${value}`, { method: 'POST' })).status;
  }

  async function storedUnder(node: NodeProcess, key: string): Promise<unknown> {
    return ((await (await node.fetch(`/rpc?key=${key}`)).json()) as { value?: unknown }).value;
  }

  it('start a broker of their own, say where, and have everything again after a restart', async () => {
    const first = await (await start()).ready();
    expect(first.output).to.include(`its own broker at localhost:${brokerPort}, data in ${join(folder, 'log')}`);
    expect(await set(first, 'city', 'Lisboa')).to.equal(200);
    expect(await first.stop()).to.equal(0);
    const again = await (await start()).ready();
    expect(await storedUnder(again, 'city')).to.equal('Lisboa');
  });

  it('lose nothing that was acknowledged when they are killed', async () => {
    const first = await (await start()).ready();
    for (let index = 0; index < 50; index += 1) expect(await set(first, `k${index}`, `v${index}`)).to.equal(200);
    await first.kill();
    const again = await (await start()).ready();
    for (let index = 0; index < 50; index += 1) expect(await storedUnder(again, `k${index}`)).to.equal(`v${index}`);
  });

  it('let any Kafka client in', async () => {
    const node = await (await start()).ready();
    const producer = kafkajsClient({ brokerList: `localhost:${brokerPort}` }).producer();
    await producer.connect();
    await producer.send({ topic: 'bitacora', messages: [{ key: 'from', value: 'elsewhere' }] });
    await producer.disconnect();
    await node.until(async () => (await storedUnder(node, 'from')) === 'elsewhere');
  });

  it('share one broker on a machine, also when they are started at once', async () => {
    const both = [await start(), await start()];
    await Promise.all(both.map((node) => node.ready()));
    expect(both.filter(({ output }) => output.includes('its own broker at'))).to.have.length(1);
    expect(both.filter(({ output }) => output.includes(`on the broker at localhost:${brokerPort}`))).to.have.length(1);
    const [one, other] = both as [NodeProcess, NodeProcess];
    expect(await set(one, 'shared', 'yes')).to.equal(200);
    await other.until(async () => (await storedUnder(other, 'shared')) === 'yes');
  });

  it('serve what they have while the one with the broker is gone, and write again when it is back', async () => {
    const host = await (await start()).ready();
    const guest = await (await start()).ready();
    expect(await set(host, 'kept', 'yes')).to.equal(200);
    await guest.until(async () => (await storedUnder(guest, 'kept')) === 'yes');
    await host.kill();
    expect(await storedUnder(guest, 'kept')).to.equal('yes');
    const back = await (await start({ API_PORT: String(host.port) })).ready();
    expect(back.output).to.include('its own broker at');
    await guest.until(async () => (await set(guest, 'new', 'too')) === 200);
    await back.until(async () => (await storedUnder(back, 'new')) === 'too');
  });

  it('tell of their broker in their own metrics', async () => {
    const node = await (await start()).ready();
    expect(await node.metric('bitacora_broker_connections')).to.be.greaterThan(0);
    expect(await node.metric('bitacora_broker_faults_total')).to.equal(0);
  });

  it('end with one line when the data folder is of another broker that does not answer there', async () => {
    await (await start()).ready();
    const stranger = await start({ BROKER_PORT: String(await freePort()) });
    expect(await stranger.exited).to.equal(1);
    expect(stranger.output.match(/^bitacora: .*is in use by process \d+/gm)).to.have.length(1);
  }).timeout(90_000);
});
