import { expect } from 'chai';
import type { Peers } from '../../../src/cluster/peers.ts';
import { type Consistency, Database, type Reading } from '../../../src/database/database.ts';
import type { MissLookupPolicy } from '../../../src/database/miss-lookup.ts';
import { BitacoraError } from '../../../src/kernel/errors.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { partitioners } from '../../../src/log/partitioner.ts';
import { settled } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';
import { staticPeers } from '../../support/peers.ts';
import { keepingLogger, ReplicaRig } from '../../support/replica-rig.ts';
import { type NodeAnswer, notFoundAnswer, ScriptedPeer, valueAnswer } from '../../support/scripted-peer.ts';

const timeoutMs = 250;
const readTimeoutMs = 3_000;
const topic = '-/topic';

describe('a key that is not in memory', () => {
  let rig: ReplicaRig;
  let peer: ScriptedPeer;
  let peers: Peers;
  let metrics: Metrics;
  let database: Database;

  beforeEach(async () => {
    rig = new ReplicaRig();
    peer = await ScriptedPeer.start();
    await rig.createTopic();
    setUp('always', [peer.id]);
  });

  afterEach(async () => {
    await rig.replica.stop();
    await peers.stop();
    await peer.stop();
  });

  function setUp(missLookup: MissLookupPolicy, list: readonly string[]): void {
    const { log, store, replica, clock } = rig;
    metrics = new Metrics();
    const others = staticPeers({ clock, metrics, logger: keepingLogger(rig.lines) }, { list, timeoutMs });
    peers = others.peers;
    const limits = { valueBytesMax: 1_000, readTimeoutMs, writeTimeoutMs: 100 };
    const parts = { log, store, replica, ...others, missLookup, partitioner: partitioners.murmur2, clock, metrics };
    database = new Database({ ...parts, ...limits });
  }

  /** The node has read one record of three, none of them under `k` unless told so, and knows where the log ends. */
  async function behind(...records: (readonly [key: string, value: string | null])[]): Promise<void> {
    rig.write('first', '1');
    await rig.log.holdReader();
    const { ends } = rig.log;
    rig.log.ends = async () => [{ partition: 0, earliest: 0, end: 3 }];
    await rig.run();
    rig.log.ends = ends;
    rig.log.releaseReader();
    await settled();
    await rig.log.holdReader();
    for (const [key, value] of records) rig.write(key, value);
    expect([rig.replica.position(0), rig.replica.end(0), rig.replica.isCaughtUp(0)]).to.deep.equal([1, 3, false]);
  }

  const answers = (text: string) => {
    peer.onRequest = ({ socket }) => void socket.write(text, 'latin1');
  };
  const value = (text: string, options: NodeAnswer) => valueAnswer(text, { topic, ...options });
  const notFound = (options: NodeAnswer) => notFoundAnswer({ topic, ...options });

  /** `value@position from source`, or an error's code. */
  function told(reading: () => Reading | Promise<Reading>): Promise<string> {
    return (async () => reading())().then(
      ({ found, position, source }) => `${found?.value.toString() ?? 'nothing'}@${position} from ${source}`,
      (error: unknown) => {
        expect(error).to.be.instanceOf(BitacoraError);
        return (error as BitacoraError).code;
      },
    );
  }

  const read = (key = 'k') => told(() => database.read(Buffer.from(key)));
  const readAt = (consistency: Consistency) => told(() => database.readConsistently(Buffer.from('k'), consistency));
  const isAsked = (times = 1) => until(() => peer.requests.length === times);

  async function counted(name: string, label: string): Promise<number> {
    const text = await metrics.text();
    return Number(new RegExp(`^bitacora_${name}\\{\\w+="${label}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
  }

  it('is looked up once for ten thousand callers, and again for the next', async () => {
    await behind();
    const all = Array.from({ length: 10_000 }, () => read());
    await isAsked();
    peer.requests[0]!.socket.write(value('v', { position: 3 }));
    expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['v@3 from peer']));
    expect(peer.requests).to.have.length(1);
    const next = read();
    await isAsked(2);
    peer.requests[1]!.socket.write(value('w', { position: 3 }));
    expect(await next).to.equal('w@3 from peer');
  });

  it('is not taken for another key that is looked up at the same time', async () => {
    await behind();
    peer.onRequest = ({ socket, target }) => void socket.write(value(target.slice(-1), { position: 3 }));
    const keys = [...'abcdefgh'];
    expect(await Promise.all(keys.map(read))).to.deep.equal(keys.map((key) => `${key}@3 from peer`));
  });

  it('is never put into the store', async () => {
    await behind();
    answers(value('v', { position: 3 }));
    expect(await read()).to.equal('v@3 from peer');
    expect(rig.value('k')).to.equal(undefined);
    expect(await told(() => database.readHere(Buffer.from('k')))).to.equal('not_caught_up');
    rig.write('other', '1');
    rig.write('other', '2');
    rig.log.releaseReader();
    await until(() => rig.replica.isCaughtUp(0));
    answers(notFound({ position: 3 }));
    expect(await read()).to.equal('nothing@3 from peer');
    expect(rig.store.size.values).to.equal(2);
  });

  describe('by policy', () => {
    it('is always looked up, or only while this node is behind, or never', async () => {
      answers(value('v', { position: 3 }));
      await behind(['a', '1'], ['b', '1']);
      const results: string[] = [];
      for (const phase of ['behind', 'caught up']) {
        for (const policy of ['always', 'behind', 'never'] as const) {
          await peers.stop();
          setUp(policy, [peer.id]);
          results.push(`${phase}, ${policy}: ${await read()}`);
        }
        rig.log.releaseReader();
        await until(() => rig.replica.isCaughtUp(0));
      }
      expect(results).to.deep.equal([
        'behind, always: v@3 from peer',
        'behind, behind: v@3 from peer',
        'behind, never: not_caught_up',
        'caught up, always: nothing@3 from log',
        'caught up, behind: nothing@3 from log',
        'caught up, never: nothing@3 from log',
      ]);
      // What the peer says that it has is at the offset of `b`: a node that has read so far does not take it.
      expect(peer.requests).to.have.length(3);
    });

    it('is not known when this node is behind and alone', async () => {
      setUp('always', []);
      await behind();
      expect(await read()).to.equal('not_caught_up');
    });
  });

  describe('that the log delivers meanwhile', () => {
    for (const [what, record, outcome] of [
      ['a value', 'from the log', 'from the log@2 from log'],
      ['a tombstone', null, 'nothing@2 from log'],
    ] as const) {
      it(`is what the log says (${what}), for all who wait, at once`, async () => {
        await behind(['k', record]);
        const all = Array.from({ length: 100 }, () => read());
        await isAsked();
        rig.log.releaseReader();
        expect(new Set(await Promise.all(all))).to.deep.equal(new Set([outcome]));
        // Nobody waits for this any more, and it must not come back.
        peer.requests[0]!.socket.write(value('old', { position: 3 }));
        await until(async () => (await counted('peer_requests_total', 'answered')) === 1);
        expect(await read()).to.equal(outcome);
        expect(await counted('lookups_total', 'log_won')).to.equal(1);
      });

      it(`is what the log says (${what}) afterwards, when the peer was first`, async () => {
        await behind(['k', record]);
        answers(value('from the peer', { position: 3 }));
        expect(await read()).to.equal('from the peer@3 from peer');
        rig.log.releaseReader();
        await until(() => rig.replica.position(0) === 2);
        expect(await read()).to.equal(outcome);
        expect(peer.requests).to.have.length(1);
      });

      it(`is what the log says (${what}), though a peer answered that is not at the end`, async () => {
        const silent = await ScriptedPeer.start();
        try {
          await peers.stop();
          setUp('always', [peer.id, silent.id]);
          await behind(['k', record]);
          answers(value('old', { position: 2 }));
          const result = read();
          await until(async () => (await counted('peer_requests_total', 'answered')) === 1);
          rig.log.releaseReader();
          expect(await result).to.equal(outcome);
        } finally {
          await silent.stop();
        }
      });
    }

    it('leaves no watch and no time-out behind', async () => {
      await behind(['k', 'v']);
      const result = read();
      await isAsked();
      expect(rig.replica.arrivals.size).to.equal(1);
      rig.log.releaseReader();
      await result;
      expect(rig.replica.arrivals.size).to.equal(0);
    });
  });

  it('is absent when this node has its tombstone, and nobody is asked', async () => {
    rig.write('k', 'v');
    rig.write('k', null);
    rig.log.ends = async () => [{ partition: 0, earliest: 0, end: 9 }];
    await rig.run();
    expect(rig.replica.isCaughtUp(0)).to.equal(false);
    answers(value('v', { position: 9 }));
    expect(await read()).to.equal('nothing@2 from log');
    expect(peer.requests).to.have.length(0);
  });

  it('is absent when this node has its value and that has expired, and nobody is asked', async () => {
    await rig.run();
    const expiresAtMs = rig.clock.nowMs() + 1;
    await database.put(Buffer.from('k'), Buffer.from('v'), { wait: 'applied', expiresAtMs });
    await rig.clock.leap(1);
    expect(await read()).to.equal('nothing@1 from log');
    expect(peer.requests).to.have.length(0);
  });

  it('does not come back from a peer that is behind after its tombstone was forgotten', async () => {
    rig.write('k', 'v');
    rig.write('k', null);
    await rig.run();
    rig.store.sweep(Number.MAX_SAFE_INTEGER, 100);
    expect(rig.store.size.tombstones).to.equal(0);
    answers(value('v', { position: 1 }));
    expect(await read()).to.equal('nothing@2 from log');
    expect(await counted('peer_answers_dropped_total', 'stale')).to.equal(1);
  });

  it('does not come back from a peer that has read past its tombstone without having seen it', async () => {
    rig.write('k', 'v');
    rig.write('k', null);
    await rig.run();
    rig.store.sweep(Number.MAX_SAFE_INTEGER, 100);
    answers(value('v', { position: 2, offset: 0 }));
    expect(await read()).to.equal('nothing@2 from log');
    expect(await counted('peer_answers_dropped_total', 'contradicted')).to.equal(1);
  });

  describe('that nobody knows of', () => {
    for (const [what, text] of [
      ['a peer that cannot tell', 'HTTP/1.1 503 S\r\nContent-Length: 0\r\n\r\n'],
      ['a peer that is reading itself', notFound({ position: 2, caughtUp: false })],
      ['a peer that is further behind', value('old', { position: 0, offset: 0 })],
    ] as const) {
      it(`is not called absent while this node is behind (${what})`, async () => {
        await behind();
        answers(text);
        expect(await read()).to.equal('not_caught_up');
      });
    }

    it('is not called absent while this node is behind and its peers are silent', async () => {
      await behind();
      const result = read();
      await isAsked();
      await rig.clock.pass(timeoutMs);
      expect(await result).to.equal('not_caught_up');
      expect(rig.replica.arrivals.size).to.equal(0);
    });

    it('is absent when this node has caught up and its peers are silent', async () => {
      await rig.run();
      const result = read();
      await isAsked();
      await rig.clock.pass(timeoutMs);
      expect(await result).to.equal('nothing@0 from log');
    });

    it('is absent when this node catches up while it waits', async () => {
      await behind(['a', '1'], ['b', '1']);
      const result = read();
      await isAsked();
      rig.log.releaseReader();
      await until(() => rig.replica.isCaughtUp(0));
      await rig.clock.pass(timeoutMs);
      expect(await result).to.equal('nothing@3 from log');
    });
  });

  it('is absent when a peer’s value has expired by this node’s clock', async () => {
    await behind();
    const expiresAtMs = rig.clock.nowMs();
    answers(value('v', { position: 3, expiresAtMs }));
    expect(await read()).to.equal('nothing@3 from peer');
    answers(value('v', { position: 3, expiresAtMs: expiresAtMs + 1 }));
    expect(await read()).to.equal('v@3 from peer');
  });

  describe('at a consistency', () => {
    const session = (position: number, partition = 0): Consistency => ({
      level: 'session',
      positions: new Map([[partition, position]]),
    });

    it('of a session is looked up once this node has reached the position and the end that it knows', async () => {
      await behind(['a', '1'], ['b', '1']);
      answers(notFound({ position: 3 }));
      const result = readAt(session(1));
      await settled();
      expect(peer.requests).to.have.length(0);
      rig.log.releaseReader();
      expect(await result).to.equal('nothing@3 from peer');
    });

    for (const position of [0, 7]) {
      const seen = position === 0 ? 'nothing of the partition' : 'another partition only';
      it(`of a session that has seen ${seen} is looked up at once`, async () => {
        await behind();
        answers(value('v', { position: 3 }));
        expect(await readAt(session(position, position))).to.equal('v@3 from peer');
      });
    }

    it('that is linearizable is looked up nowhere: the log has been asked', async () => {
      await behind(['a', '1'], ['b', '1']);
      answers(value('v', { position: 3 }));
      const result = readAt({ level: 'linearizable' });
      rig.log.releaseReader();
      expect(await result).to.equal('nothing@3 from log');
      expect(peer.requests).to.have.length(0);
    });
  });

  it('is not known when what was read is dropped meanwhile', async () => {
    await behind(['a', '1'], ['b', '1']);
    rig.log.releaseReader();
    await until(() => rig.replica.isCaughtUp(0));
    const all = Array.from({ length: 10 }, () => read());
    await isAsked();
    await rig.log.remake(await rig.topicWith());
    // The look at the topic and the time-out of the look-up may come in any order: the log must not have been asked before.
    rig.log.disturb('made anew');
    await settled();
    expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['not_caught_up']));
  });

  it('is not known when the node stops meanwhile', async () => {
    await behind();
    const result = read();
    await isAsked();
    await rig.replica.stop();
    expect(await result).to.equal('not_caught_up');
  });

  describe('that a peer answers from beyond the known end', () => {
    it('is asked of the log first, and refused where the log does not go so far', async () => {
      await behind(['a', '1'], ['b', '1']);
      const before = rig.log.asked.ends;
      answers(value('forged', { position: 4 }));
      expect(await read()).to.equal('not_caught_up');
      expect(rig.log.asked.ends - before).to.equal(1);
      expect(await counted('peer_answers_dropped_total', 'forged')).to.equal(1);
    });

    it('is taken where the log has gone on', async () => {
      await behind(['a', '1'], ['b', '1'], ['k', 'v']);
      answers(value('v', { position: 4 }));
      expect(await read()).to.equal('v@4 from peer');
    });

    it('is not called absent by a node that has caught up, when the log does not answer', async () => {
      await rig.run();
      rig.log.down = true;
      answers(value('v', { position: 1 }));
      expect(await read()).to.equal('not_caught_up');
      expect(await counted('lookups_total', 'unknown')).to.equal(1);
      expect(await counted('peer_answers_dropped_total', 'unverified')).to.equal(1);
      answers(notFound({ position: 1 }));
      expect(await read()).to.equal('nothing@0 from log');
    });

    it('is not believed when the log says nothing of the partition', async () => {
      await behind();
      rig.log.ends = async () => [];
      answers(value('v', { position: 4 }));
      expect(await read()).to.equal('not_caught_up');
      expect(await counted('peer_answers_dropped_total', 'unverified')).to.equal(1);
    });

    it('is not believed when the log does not answer', async () => {
      await behind();
      rig.log.down = true;
      answers(value('v', { position: 4 }));
      expect(await read()).to.equal('not_caught_up');
      expect(await counted('peer_answers_dropped_total', 'unverified')).to.equal(1);
    });

    it('is not believed when the log does not answer in time', async () => {
      await behind();
      let wasAsked = false;
      rig.log.ends = () => {
        wasAsked = true;
        return new Promise(() => {});
      };
      answers(value('v', { position: 4 }));
      const result = read();
      await until(() => wasAsked);
      await rig.clock.pass(timeoutMs);
      expect(await result).to.equal('not_caught_up');
    });

    it('is refused when the peer has another topic of that name', async () => {
      await behind();
      answers(valueAnswer('v', { position: 3, topic: 'cluster/topic' }));
      expect(await read()).to.equal('not_caught_up');
      expect(await counted('peer_requests_total', 'foreign')).to.equal(1);
    });
  });
});
