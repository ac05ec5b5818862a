import { expect } from 'chai';
import { Cluster } from '../../../src/cluster/cluster.ts';
import { membersMax } from '../../../src/cluster/member-set.ts';
import { OwnAddress } from '../../../src/cluster/own-address.ts';
import { StaticMembership } from '../../../src/cluster/static-membership.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { FatalError } from '../../../src/kernel/errors.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';
import { keepingLogger } from '../../support/replica-rig.ts';
import { answerText, ScriptedPeer } from '../../support/scripted-peer.ts';

const vitals = (node: string, more: Record<string, unknown> = {}) =>
  JSON.stringify({ node, instance: 'i', state: 'serving', status: 'ready', lagMs: 0, partitions: [], ...more });

function answering(peer: ScriptedPeer, body: string): void {
  peer.onRequest = ({ socket }) => void socket.write(answerText(200, { 'Content-Type': 'application/json' }, body));
}

describe('a node among others', () => {
  let clock: FakeClock;
  let metrics: Metrics;
  let lines: string[];
  let cluster: Cluster;
  let peers: ScriptedPeer[];
  const self = { id: 'self.test:8082', instance: 'own' };

  beforeEach(() => {
    clock = new FakeClock();
    metrics = new Metrics({ process: false });
    lines = [];
    peers = [];
  });

  afterEach(async () => {
    await cluster.stop();
    for (const peer of peers) await peer.stop();
  });

  async function start(list: readonly string[]): Promise<void> {
    const membership = new StaticMembership(list);
    cluster = new Cluster({ membership, self, clock, logger: keepingLogger(lines), metrics });
    await cluster.run();
  }

  async function peersOf(count: number): Promise<ScriptedPeer[]> {
    peers = await Promise.all(Array.from({ length: count }, () => ScriptedPeer.start()));
    return peers;
  }

  const metric = async (start: string) =>
    (await metrics.text())
      .split('\n')
      .find((line) => line.startsWith(start))
      ?.slice(start.length + 1);
  const counted = async () => {
    const states = ['reachable', 'unreachable', 'misaddressed', 'unknown'];
    return Promise.all(states.map((state) => metric(`bitacora_cluster_members{state="${state}"}`)));
  };

  it('counts nobody for reachable before it has answered, nor who answers in another one’s name', async () => {
    const [good, wrong, silent, closed] = (await peersOf(4)) as [
      ScriptedPeer,
      ScriptedPeer,
      ScriptedPeer,
      ScriptedPeer,
    ];
    answering(good, vitals(good.id));
    answering(wrong, vitals(good.id));
    closed.onRequest = ({ socket }) => void socket.destroy();
    await start(peers.map(({ id }) => id));
    expect(await counted()).to.deep.equal(['0', '0', '0', '4']);
    const stateOf = ({ id }: ScriptedPeer) => cluster.members().find((member) => member.id === id);
    await until(() => [good, wrong, closed].every((peer) => stateOf(peer)?.state !== 'unknown'));
    expect(await counted()).to.deep.equal(['1', '1', '1', '1']);
    expect([good, wrong, silent, closed].map((peer) => stateOf(peer)?.state)).to.deep.equal([
      'serving',
      'misaddressed',
      'unknown',
      'unreachable',
    ]);
    expect(stateOf(wrong)).to.deep.include({ ready: false, lastSeenMs: undefined });
    expect(stateOf(good)).to.deep.include({ ready: true, lastSeenMs: clock.nowMs() });
  });

  it('says once that a member cannot be reached, and once that it can again', async () => {
    const [peer] = (await peersOf(1)) as [ScriptedPeer];
    answering(peer, vitals(peer.id));
    await start([peer.id]);
    /** Time passes slowly enough for an answer to come before its deadline. */
    const passUntil = (condition: () => boolean) =>
      until(async () => {
        await clock.pass(100);
        return condition();
      });
    const state = () => cluster.members()[0]?.state;
    await passUntil(() => state() === 'serving');
    const before = lines.length;
    peer.onRequest = ({ socket }) => void socket.destroy();
    const asked = peer.requests.length;
    await passUntil(() => peer.requests.length >= asked + 3);
    answering(peer, vitals(peer.id));
    await passUntil(() => state() === 'serving');
    const said = lines.slice(before);
    expect(said).to.have.length(2);
    expect(said[0]).to.match(new RegExp(`^warn: node ${peer.id} cannot be reached: .`));
    expect(said[1]).to.equal(`info: node ${peer.id} can be reached again`);
  });

  for (const [list, isListed] of [
    [['Self.test:8082', 'a.test:1'], 1],
    [['a.test:1'], 0],
  ] as const) {
    it(`tells by which registry nodes find each other, and that it is ${isListed ? '' : 'not '}in it`, async () => {
      await start(list);
      expect(lines.filter((line) => line.includes('find each other through the list in PEERS'))).to.have.length(1);
      expect(await metric('bitacora_cluster_registered{registry="list"}')).to.equal(String(isListed));
      expect(cluster.members().map(({ id }) => id)).to.deep.equal(['a.test:1']);
    });
  }

  it('says once that there are more others than it takes', async () => {
    await start(Array.from({ length: membersMax + 10 }, (_, i) => `n${i}.invalid:1`));
    expect(lines.filter((line) => line.includes('takes no more'))).to.have.length(1);
    expect(await metric('bitacora_cluster_ignored_entries')).to.equal('10');
  });
});

describe('the address of a node', () => {
  let peer: ScriptedPeer;
  let lines: string[];

  beforeEach(async () => {
    peer = await ScriptedPeer.start();
    lines = [];
  });

  afterEach(() => peer.stop());

  const dial = async () => {
    const self = { id: peer.id, instance: 'own' };
    const address = new OwnAddress({ self, clock: systemClock, logger: keepingLogger(lines) });
    return address.run().catch((error: unknown) => error);
  };

  it('is well when the node itself answers, and when one does that is about to end', async () => {
    answering(peer, vitals(peer.id, { instance: 'own' }));
    expect(await dial()).to.equal(undefined);
    answering(peer, vitals(peer.id, { instance: 'former', state: 'draining' }));
    expect(await dial()).to.equal(undefined);
    expect(lines).to.deep.equal([]);
  });

  it('is not another node’s, of the same id or of another', async () => {
    answering(peer, vitals(peer.id));
    const taken = await dial();
    expect(taken).to.be.instanceOf(FatalError);
    expect((taken as FatalError).message).to.include(`another node is alive under the id ${peer.id}`);
    answering(peer, vitals('other.test:8082'));
    const led = await dial();
    expect(led).to.be.instanceOf(FatalError);
    expect((led as FatalError).message)
      .to.include('another node, other.test:8082,')
      .and.to.include('NODENAME');
  });

  it('may lead nowhere from here, which is said', async () => {
    peer.onRequest = ({ socket }) => void socket.destroy();
    expect(await dial()).to.equal(undefined);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(/^warn: this node cannot reach itself .*set NODENAME/);
  });
});
