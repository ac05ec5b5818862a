import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import { connect } from '../../../src/client/client.ts';
import { type Kafka, sharedKafka } from '../../support/kafka/kafka.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';
import { RawClient } from '../../support/zookeeper/raw-client.ts';
import { type OwnZookeeper, ownZookeeper } from '../../support/zookeeper/zookeeper.ts';

/** Long enough that a look-up which waits for a dead node would end its test. */
const patient = { PEER_TIMEOUT_MS: '60000' };

interface MemberPage {
  readonly id: string;
  readonly url: string;
  readonly self: boolean;
  readonly state: string;
  readonly ready: boolean;
  readonly lagMs?: number;
  readonly lastSeen?: number;
  readonly partitions: ReadonlyArray<{ partition: number; position: number; end: number; lag: number }>;
}

describe('nodes on one machine', function () {
  this.timeout(60_000);
  let kafka: Kafka;
  let zookeeper: OwnZookeeper;
  const nodes: NodeProcess[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
    zookeeper = await ownZookeeper(this);
  });

  after(() => zookeeper?.stop());

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
  });

  async function start(topic: string, environment: Record<string, string> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, ...environment });
    nodes.push(node);
    return node;
  }

  const idOf = (node: NodeProcess) => `127.0.0.1:${node.port}`;
  const members = async (node: NodeProcess) =>
    ((await (await node.fetch('/cluster')).json()) as { members: MemberPage[] }).members;
  /** Until `node` knows the others and no more, and each has answered it. */
  const sees = (node: NodeProcess, ...others: NodeProcess[]) =>
    node.until(async () => {
      const answering = (await members(node)).filter(({ state }) => state === 'serving').map(({ id }) => id);
      return answering.sort().join() === [node, ...others].map(idOf).sort().join();
    });

  const ways: Record<string, () => Record<string, string>> = {
    'a topic': () => ({}),
    ZooKeeper: () => ({ ZOOKEEPER_HOST: `${zookeeper.hosts.join()}/${freshTopicName('chroot')}` }),
  };

  for (const [way, environment] of Object.entries(ways)) {
    describe(`that find each other through ${way}`, () => {
      it('need only another API_PORT; /cluster tells of each its state, positions, lag and when it was last seen', async () => {
        const topic = freshTopicName('cluster');
        const found = environment();
        const all = await Promise.all([start(topic, found), start(topic, found), start(topic, found)]);
        const [first, second, third] = await Promise.all(all.map((node) => node.ready()));
        await sees(first!, second!, third!);
        await sees(third!, first!, second!);
        await first!.fetch('/rpc?key=one&value=1', { method: 'POST' });
        await third!.until(async () =>
          (await members(third!)).every(({ partitions }) => partitions[0]?.position === 1),
        );

        const [own, ...others] = await members(third!);
        expect(own).to.deep.include({ id: idOf(third!), self: true, state: 'serving', ready: true, lagMs: 0 });
        expect(others.map(({ id }) => id)).to.deep.equal([idOf(first!), idOf(second!)].sort());
        for (const { id, url, self, ready, lagMs, lastSeen, partitions } of others) {
          expect({ url, self, ready, lagMs }).to.deep.equal({
            url: `http://${id}`,
            self: false,
            ready: true,
            lagMs: 0,
          });
          expect(lastSeen).to.be.a('number');
          expect(partitions).to.deep.equal([{ partition: 0, position: 1, end: 1, lag: 0 }]);
        }
      });

      it('notice who leaves and who is killed, and do not wait for it meanwhile; it may come back', async () => {
        const topic = freshTopicName('cluster-kill');
        const found = { ...environment(), ...patient };
        const all = await Promise.all([start(topic, found), start(topic, found), start(topic, found)]);
        const [node, leaver, victim] = (await Promise.all(all.map((each) => each.ready()))) as [
          NodeProcess,
          NodeProcess,
          NodeProcess,
        ];
        await sees(node, leaver, victim);
        expect(await leaver.stop()).to.equal(0);
        await sees(node, victim);
        await victim.kill();
        expect((await node.fetch('/rpc?key=missing')).status).to.equal(404);
        await node.until(async () => (await members(node)).length === 1);

        const again = await (await start(topic, { ...found, API_PORT: String(victim.port) })).ready();
        await sees(node, again);
      });

      it('refuse a second node of an id, which ends with one clear line', async () => {
        const topic = freshTopicName('cluster-twice');
        const API_PORT = String(await freePort());
        // Two machines whose operator gave both the same name. Neither reaches itself by it, which each says.
        const named = { ...environment(), API_PORT, NODENAME: 'node.invalid' };
        const first = await (await start(topic, named)).ready();
        expect(first.output).to.match(/cannot reach itself at http:\/\/node\.invalid:\d+ .*set NODENAME/);
        await first.until(async () => (await first.fetch('/health/ready')).ok);
        const second = await start(topic, { ...named, API_HOST: '127.0.0.2' });
        expect(await second.exited).to.equal(1);
        const lines = second.output.split('\n').filter((line) => line.startsWith('bitacora:'));
        expect(lines).to.have.length(1);
        expect(lines[0]).to.include(`node.invalid:${API_PORT}`).and.to.include('NODENAME');
        expect((await first.fetch('/health/ready')).status).to.equal(200);
      });
    });
  }

  it('refuse to start where another node answers at their address, before they say a word to Kafka', async () => {
    const topic = freshTopicName('cluster-address');
    const LOG_LEVEL = 'debug';
    const first = await (await start(topic, { LOG_LEVEL })).ready();
    expect(first.output).to.include('"kafkajs"');
    const environment = { API_HOST: '127.0.0.2', NODENAME: '127.0.0.1', API_PORT: String(first.port), LOG_LEVEL };
    const second = await start(topic, environment);
    expect(await second.exited).to.equal(1);
    expect(second.output).to.include(`bitacora: another node is alive under the id ${idOf(first)}`);
    expect(second.output).to.not.include('"kafkajs"');
  });

  it('that are told to stop while they start, start nothing more and end well', async () => {
    // Dialling its own address keeps the node waiting.
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const environment = { API_HOST: '127.0.0.2', NODENAME: '127.0.0.1', API_PORT: String(port), LOG_LEVEL: 'debug' };
    const node = await start(freshTopicName('cluster-stop'), environment);
    await once(silent, 'connection');
    expect(await node.stop()).to.equal(0);
    silent.close();
    expect(node.output).to.not.include('"kafkajs"');
    expect(node.output).to.not.include('/rpc, topic');
  });

  it('have their Avro sockets in ZooKeeper, where clients of the original bitacora look for them', async () => {
    const own = ways.ZooKeeper!();
    const node = await (await start(freshTopicName('cluster-sockets'), own)).ready();
    const chroot = own.ZOOKEEPER_HOST!.slice(own.ZOOKEEPER_HOST!.indexOf('/'));
    const raw = await RawClient.open(zookeeper.hosts);
    try {
      const socket = `127.0.0.1:${node.avroPort}`;
      const sockets = () => raw.children(`${chroot}/bitacora/sockets`).catch((): string[] => []);
      await node.until(async () => (await sockets()).includes(socket));
      expect(await raw.read(`${chroot}/bitacora/sockets/${socket}`)).to.equal(socket);
      const db = await connect({ nodes: [socket] });
      await db.close();
      expect(await node.stop()).to.equal(0);
      expect(await sockets()).to.deep.equal([]);
    } finally {
      await raw.close();
    }
  });

  it('go on with the last known members while ZooKeeper is away, say so once, and find newcomers when it is back', async () => {
    const topic = freshTopicName('cluster-zookeeper');
    const own = ways.ZooKeeper!();
    const [first, second] = await Promise.all([start(topic, own), start(topic, own)]);
    await Promise.all([first.ready(), second.ready()]);
    await sees(first, second);
    await zookeeper.kill();
    const away = (node: NodeProcess) =>
      node.output.split('\n').filter((line) => /ZooKeeper/.test(line) && /"level":40/.test(line));
    await first.until(async () => away(first).length > 0);
    // It starts although there is no ZooKeeper, and serves.
    const third = await (await start(topic, own)).ready();
    await first.fetch('/rpc?key=one&value=1', { method: 'POST' });
    await third.until(async () => (await third.fetch('/rpc?key=one')).ok);
    await sees(first, second);
    await zookeeper.start();
    await sees(first, second, third);
    await sees(third, first, second);
    expect(away(first)).to.have.length(1);
  });
});
