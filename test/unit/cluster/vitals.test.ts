import { expect } from 'chai';
import fc from 'fast-check';
import { PeerHttp, PeerRequestError } from '../../../src/cluster/peer-http.ts';
import { askVitals, parseVitals, VitalsWatch } from '../../../src/cluster/vitals.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { startReadyNode, until } from '../../support/http-node.ts';
import { answerText, ScriptedPeer } from '../../support/scripted-peer.ts';

const good = {
  node: 'n:1',
  instance: 'i',
  state: 'serving',
  status: 'ready',
  lagMs: 3,
  partitions: [{ partition: 0, position: 4, end: 5, lag: 1 }],
};
const parsed = { node: 'n:1', instance: 'i', state: 'serving', ready: true, lagMs: 3, partitions: good.partitions };
const parse = (value: unknown) => parseVitals(JSON.stringify(value));

describe('what a node says of itself', () => {
  it('is taken as it is, and nothing more of it', () => {
    expect(parse(good)).to.deep.equal(parsed);
    expect(parse({ ...good, more: 1, status: 'not-ready' })).to.deep.equal({ ...parsed, ready: false });
  });

  for (const field of ['node', 'instance', 'state', 'lagMs', 'partitions']) {
    it(`is refused without ${field}, or when it is something else`, () => {
      for (const value of [undefined, null, -1, 1.5, 2 ** 53, {}, ['x'], true]) {
        expect(parse({ ...good, [field]: value }), JSON.stringify(value)).to.equal(undefined);
      }
    });
  }

  for (const field of ['partition', 'position', 'end', 'lag']) {
    it(`is refused when a partition’s ${field} is no count`, () => {
      for (const value of [undefined, null, -1, 1.5, 2 ** 53, '1', {}]) {
        const partitions = [...good.partitions, { ...good.partitions[0], [field]: value }];
        expect(parse({ ...good, partitions }), JSON.stringify(value)).to.equal(undefined);
      }
    });
  }

  it('is refused with a name that is long, empty or would not stand in a line', () => {
    for (const field of ['node', 'instance']) {
      expect(parse({ ...good, [field]: 'x'.repeat(300) })).to.not.equal(undefined);
      for (const name of ['', 'x'.repeat(301), 'a b', 'a\nb', '\u001b[31m', 'ñ']) {
        expect(parse({ ...good, [field]: name }), name).to.equal(undefined);
      }
    }
  });

  it('is refused with a state that would not be a word, or with more partitions than any topic here has', () => {
    for (const state of ['', 'a b', 'A', 'x'.repeat(33), 'a\nb']) expect(parse({ ...good, state })).to.equal(undefined);
    const partitions = (count: number) => Array.from({ length: count }, () => good.partitions[0]);
    expect(parse({ ...good, partitions: partitions(4_096) })?.partitions).to.have.length(4_096);
    expect(parse({ ...good, partitions: partitions(4_097) })).to.equal(undefined);
  });

  it('never throws, whatever comes', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => parseVitals(text) === undefined));
    const fields = fc.record(
      { ...Object.fromEntries(Object.keys(good).map((name) => [name, fc.jsonValue()])) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fields, (changed) => {
        const vitals = parse({ ...good, ...changed });
        if (vitals !== undefined) expect(JSON.parse(JSON.stringify(vitals))).to.deep.equal(vitals);
      }),
    );
  });
});

describe('asking a node how it is', () => {
  let peer: ScriptedPeer;
  let http: PeerHttp;

  beforeEach(async () => {
    peer = await ScriptedPeer.start();
    http = new PeerHttp(peer.id, 30_000, systemClock);
  });

  afterEach(async () => {
    await http.close();
    await peer.stop();
  });

  const answer = (status: number, body: string) => {
    peer.onRequest = ({ socket }) =>
      void socket.write(answerText(status, { 'Content-Type': 'application/json' }, body));
  };

  it('hears a node, ready or not', async () => {
    const node = await startReadyNode();
    const direct = new PeerHttp(`127.0.0.1:${node.port}`, 30_000, systemClock);
    try {
      const vitals = await askVitals(direct, 30_000);
      expect(vitals).to.deep.include({ state: 'serving', ready: true });
      expect(vitals.partitions).to.deep.equal([{ partition: 0, position: 0, end: 0, lag: 0 }]);
    } finally {
      await direct.close();
      await node.stop();
    }
    answer(503, JSON.stringify({ ...good, status: 'not-ready' }));
    expect((await askVitals(http, 30_000)).ready).to.equal(false);
  });

  for (const [status, body] of [
    [404, JSON.stringify(good)],
    [302, JSON.stringify(good)],
    [200, '<html>'],
    [200, 'null'],
    [200, ''],
  ] as const) {
    it(`says that what answers ${status} ${JSON.stringify(body.slice(0, 8))} is no node`, async () => {
      answer(status, body);
      const error = await askVitals(http, 30_000).catch((caught: unknown) => caught);
      expect(error).to.be.instanceOf(PeerRequestError);
      expect((error as PeerRequestError).fault).to.equal('failed');
    });
  }

  it('reads no more than a megabyte', async () => {
    answer(200, JSON.stringify({ ...good, node: 'n'.repeat(1024 * 1024) }));
    const error = await askVitals(http, 30_000).catch((caught: Error) => caught);
    expect((error as Error).message).to.match(/more than 1048576 bytes/);
  });

  describe('again and again', () => {
    let clock: FakeClock;
    let watch: VitalsWatch;
    let changes: string[];
    const told = () => ({ ...good, node: peer.id });
    const latest = () => ({ ...parsed, node: peer.id });

    beforeEach(() => {
      clock = new FakeClock();
      changes = [];
    });

    afterEach(() => watch.stop());

    function start(): void {
      const onChange = (reach: string, trouble: string | undefined) => void changes.push(`${reach}: ${trouble}`);
      const options = { id: peer.id, everyMs: 2_000, timeoutMs: 3_600_000, clock, onChange };
      watch = new VitalsWatch(new PeerHttp(peer.id, 30_000, clock), options);
    }

    /** Time passes, question after question, until it is so. */
    const passUntil = (condition: () => boolean) =>
      until(async () => {
        await clock.pass(2_000);
        return condition();
      });

    /** Two more questions have been asked, and the first of them is settled. */
    async function twoMore(): Promise<void> {
      const before = peer.requests.length;
      await passUntil(() => peer.requests.length >= before + 2);
    }

    it('goes on: what was said last is kept when the node falls silent, and said to be old', async () => {
      answer(200, JSON.stringify(told()));
      start();
      expect(watch.reach).to.equal('unknown');
      await until(() => watch.latest !== undefined);
      expect([watch.reach, watch.trouble, watch.seenAtMs]).to.deep.equal(['reachable', undefined, clock.nowMs()]);
      const seenAtMs = clock.nowMs();
      peer.onRequest = ({ socket }) => void socket.destroy();
      await passUntil(() => watch.reach !== 'reachable');
      expect([watch.reach, watch.latest, watch.seenAtMs]).to.deep.equal(['unreachable', latest(), seenAtMs]);
      expect(watch.trouble).to.be.a('string');
      answer(200, JSON.stringify(told()));
      await passUntil(() => watch.reach === 'reachable');
      expect([watch.trouble, watch.seenAtMs! > seenAtMs]).to.deep.equal([undefined, true]);
      await watch.stop();
      await until(() => clock.pending === 0);
      const asked = peer.requests.length;
      await clock.pass(60_000);
      expect(peer.requests.length).to.equal(asked);
    });

    it('tells each change once, and nothing of a node that answers from the start', async () => {
      answer(200, JSON.stringify(told()));
      start();
      await twoMore();
      expect(changes).to.deep.equal([]);
      peer.onRequest = ({ socket }) => void socket.destroy();
      await twoMore();
      await twoMore();
      expect(changes).to.have.length(1);
      expect(changes[0]).to.match(/^unreachable: ./);
      answer(200, JSON.stringify(told()));
      await twoMore();
      await twoMore();
      expect(changes.slice(1)).to.deep.equal(['reachable: undefined']);
    });

    it('does not take another node that answers there for the member', async () => {
      answer(200, JSON.stringify({ ...good, node: 'other.test:8082' }));
      start();
      await until(() => watch.reach !== 'unknown');
      expect([watch.reach, watch.latest, watch.seenAtMs]).to.deep.equal(['misaddressed', undefined, undefined]);
      expect(changes).to.deep.equal(['misaddressed: node other.test:8082 answers there']);
    });
  });
});
