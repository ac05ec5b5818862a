import { expect } from 'chai';
import type { LocalView, LookupOutcome } from '../../../src/cluster/lookup-race.ts';
import { MemberSet } from '../../../src/cluster/member-set.ts';
import type { Membership } from '../../../src/cluster/membership.ts';
import { type Lookup, Peers, percentEncode } from '../../../src/cluster/peers.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';
import { notFoundAnswer, ScriptedPeer, valueAnswer } from '../../support/scripted-peer.ts';

const timeoutMs = 250;
const failuresToOpen = 5;

/** Members that come and go as a test says. */
class SteeredMembership implements Membership {
  readonly #members = new MemberSet();
  readonly ignoredEntries = 0;
  readonly registry = 'list';
  readonly isRegistered = true;
  async join(): Promise<void> {}
  async withdraw(): Promise<void> {}
  async leave(): Promise<void> {}
  members(): ReadonlySet<string> {
    return this.#members.ids;
  }
  subscribe(listener: Parameters<Membership['subscribe']>[0]): void {
    this.#members.subscribe(listener);
  }
  become(...ids: string[]): void {
    this.#members.replace(ids, 'self.test:1');
  }
}

describe('looking keys up at peers', () => {
  let clock: FakeClock;
  let metrics: Metrics;
  let membership: SteeredMembership;
  let peers: Peers;
  let scripted: ScriptedPeer[];
  let local: { -readonly [Name in 'position' | 'end' | 'caughtUp']: LocalView[Name] };
  let freshEnd: () => Promise<number>;
  let lastSeenMs: number | undefined;

  beforeEach(async () => {
    [clock, metrics, membership] = [new FakeClock(), new Metrics(), new SteeredMembership()];
    peers = peersWith({});
    scripted = [];
    local = { position: 10, end: 100, caughtUp: false };
    freshEnd = async () => 100;
    lastSeenMs = undefined;
  });

  afterEach(async () => {
    await peers.stop();
    for (const peer of scripted) await peer.stop();
  });

  const peersWith = (limits: { valueBytesMax?: number; timeoutMs?: number }) =>
    new Peers({ membership, timeoutMs, valueBytesMax: 1_000, clock, metrics, ...limits });

  /** As many peers, all members; each request is answered with what `answers` has in its peer's place, if anything. */
  async function start(...answers: (string | undefined)[]): Promise<ScriptedPeer[]> {
    scripted = await Promise.all(answers.map(() => ScriptedPeer.start()));
    for (const [i, peer] of scripted.entries()) {
      const answer = answers[i];
      if (answer !== undefined) peer.onRequest = ({ socket }) => void socket.write(answer, 'latin1');
    }
    membership.become(...scripted.map(({ id }) => id));
    return scripted;
  }

  const lookUp = (key = 'k'): Lookup =>
    peers.lookUp({
      key: Buffer.from(key, 'latin1'),
      partition: 0,
      topic: '-/test',
      local: () => ({ ...local }),
      freshEnd: () => freshEnd(),
      lastSeenMs: () => lastSeenMs,
    });

  function told(outcome: LookupOutcome): string {
    if (outcome.kind === 'found') return `${outcome.value.latin1} at ${outcome.position}`;
    return outcome.kind === 'absent' ? `absent at ${outcome.position}` : outcome.kind;
  }

  const ask = async (key?: string) => told(await lookUp(key).outcome);

  /** One metric's values by label, those that are 0 left out. */
  async function counted(name: string): Promise<Record<string, number>> {
    const pattern = new RegExp(`^bitacora_${name}(?:\\{\\w+="(\\w+)"\\})? (\\d+)$`, 'gm');
    const lines = [...(await metrics.text()).matchAll(pattern)].map(
      ([, label = '', value]) => [label, Number(value)] as const,
    );
    return Object.fromEntries(lines.filter(([, value]) => value > 0));
  }

  const requests = () => counted('peer_requests_total');

  it('asks all of them at once, for the key in whatever bytes', async () => {
    const key = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('latin1');
    const all = await start(
      valueAnswer('a', { position: 20 }),
      valueAnswer('b', { position: 30 }),
      notFoundAnswer({ position: 25 }),
    );
    expect(await ask(key)).to.equal('b at 30');
    for (const { requests: got } of all) {
      expect(got).to.have.length(1);
      const [, query] = /^\/rpc\/cluster\?key=([\w.~%-]*)$/.exec(got[0]!.target) ?? [];
      expect(Buffer.from(unescape(query ?? ''), 'latin1').toString('latin1')).to.equal(key);
      expect(got[0]!.headers).to.include({ accept: 'application/octet-stream' });
    }
    expect(await requests()).to.deep.equal({ answered: 3 });
    expect(await counted('lookups_total')).to.deep.equal({ hit: 1 });
    expect(clock.pending).to.equal(0);
  });

  it('has nobody to ask where there are no members', async () => {
    expect(peers.any).to.equal(false);
    expect(await ask()).to.equal('unknown');
    local.caughtUp = true;
    expect(await ask()).to.equal('absent at 10');
    expect(await counted('lookups_total')).to.deep.equal({ not_found: 1, unknown: 1 });
    membership.become('a.test:1');
    expect(peers.any).to.equal(true);
  });

  it('does not wait for a silent peer when another one answers at the end of the log', async () => {
    await start(undefined, valueAnswer('v', { position: 100 }));
    expect(await ask()).to.equal('v at 100');
    // The silent one's own time still runs: its fate counts.
    await clock.pass(timeoutMs);
    await settled();
    expect(await requests()).to.deep.equal({ answered: 1, timeout: 1 });
  });

  it('takes what there is when time is up', async () => {
    await start(undefined, valueAnswer('v', { position: 50 }));
    const outcome = ask();
    await until(async () => (await requests()).answered === 1);
    await clock.pass(timeoutMs);
    expect(await outcome).to.equal('v at 50');
  });

  it('does not know when nobody answers, and gives everything back', async () => {
    const [silent] = await start(undefined, undefined);
    const outcome = ask();
    await until(() => scripted.every((peer) => peer.requests.length === 1));
    await clock.pass(timeoutMs);
    expect(await outcome).to.equal('unknown');
    expect(await requests()).to.deep.equal({ timeout: 2 });
    expect(await counted('lookups_total')).to.deep.equal({ unknown: 1 });
    await until(() => silent!.requests[0]!.socket.destroyed);
    expect(clock.pending).to.equal(0);
  });

  it('ends as soon as the log has delivered the key, or what was read is dropped', async () => {
    await start(undefined);
    const [delivered, abandoned] = [lookUp('a'), lookUp('b')];
    await until(() => scripted[0]!.requests.length === 2);
    delivered.logDelivered();
    abandoned.abandon();
    expect([told(await delivered.outcome), told(await abandoned.outcome)]).to.deep.equal(['log', 'unknown']);
    expect(await counted('lookups_total')).to.deep.equal({ log_won: 1, unknown: 1 });
  });

  it('does not let an answer that comes after the log change anything', async () => {
    await start(undefined);
    const lookup = lookUp();
    await until(() => scripted[0]!.requests.length === 1);
    lookup.logDelivered();
    scripted[0]!.requests[0]!.socket.write(valueAnswer('v', { position: 100 }));
    await until(async () => (await requests()).answered === 1);
    expect(told(await lookup.outcome)).to.equal('log');
    expect(await counted('lookups_total')).to.deep.equal({ log_won: 1 });
  });

  describe('counts what cannot be used', () => {
    for (const [what, answer, outcome] of [
      ['an answer of another topic', valueAnswer('v', { position: 50, topic: '-/other' }), 'foreign'],
      ['an answer of another partition', valueAnswer('v', { position: 50, partition: 1 }), 'foreign'],
      ['a web page', 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx', 'malformed'],
      ['a redirect', 'HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n', 'malformed'],
      ['a 503', 'HTTP/1.1 503 S\r\nContent-Length: 0\r\n\r\n', 'unavailable'],
      ['a value in gzip', valueAnswer('v', { position: 50, headers: { 'Content-Encoding': 'gzip' } }), 'malformed'],
      ['garbage', '\x00\x01\x02\r\n\r\n', 'failed'],
      ['a value that is too large', valueAnswer('v'.repeat(100_000), { position: 50 }), 'too_large'],
      [
        'a small value that is said to be large',
        valueAnswer('v', { position: 50, headers: { 'Content-Length': '1' } }).replace('Bitacora-Offset', 'X'),
        'malformed',
      ],
    ] as const) {
      it(what, async () => {
        await start(answer);
        expect(await ask()).to.equal('unknown');
        expect(await requests()).to.deep.equal({ [outcome]: 1 });
        expect(clock.pending).to.equal(0);
      });
    }

    it('a peer that nobody listens at', async () => {
      const [gone] = await start(undefined);
      await gone!.stop();
      scripted = [];
      expect(await ask()).to.equal('unknown');
      expect(await requests()).to.deep.equal({ failed: 1 });
    });

    it('answers from before this node’s position', async () => {
      await start(valueAnswer('v', { position: 9 }));
      expect(await ask()).to.equal('unknown');
      expect(await requests()).to.deep.equal({ answered: 1 });
      expect(await counted('peer_answers_dropped_total')).to.deep.equal({ stale: 1 });
    });
  });

  it('takes "not found" however small the values are that it takes', async () => {
    await peers.stop();
    metrics = new Metrics();
    peers = peersWith({ valueBytesMax: 10 });
    await start(notFoundAnswer({ position: 100 }));
    expect(await ask()).to.equal('absent at 100');
    expect(await requests()).to.deep.equal({ answered: 1 });
  });

  for (const id of ['xn--a:80', 'a.0x1:80']) {
    it(`gets along with a member that has a name that no address can be made of (${id})`, async () => {
      const [good] = await start(valueAnswer('v', { position: 100 }));
      membership.become(id, good!.id);
      expect(await ask()).to.equal('v at 100');
    });
  }

  describe('asks the log where it ends before it believes a position beyond', () => {
    it('and takes the answer when the log goes on so far', async () => {
      await start(valueAnswer('v', { position: 105 }));
      freshEnd = async () => 105;
      expect(await ask()).to.equal('v at 105');
    });

    it('and drops it when the log does not', async () => {
      await start(valueAnswer('v', { position: 105 }));
      freshEnd = async () => 104;
      expect(await ask()).to.equal('unknown');
      expect(await counted('peer_answers_dropped_total')).to.deep.equal({ forged: 1 });
    });

    it('and drops it when the log cannot be asked', async () => {
      await start(valueAnswer('v', { position: 105 }));
      freshEnd = () => Promise.reject(new Error('down'));
      expect(await ask()).to.equal('unknown');
      expect(await counted('peer_answers_dropped_total')).to.deep.equal({ unverified: 1 });
    });

    it('and waits for the log no longer than for the peers', async () => {
      await start(valueAnswer('v', { position: 105 }));
      let wasAsked = false;
      freshEnd = () => {
        wasAsked = true;
        return new Promise(() => {});
      };
      const outcome = ask();
      await until(() => wasAsked);
      await clock.pass(timeoutMs);
      expect(await outcome).to.equal('unknown');
      expect(await counted('peer_answers_dropped_total')).to.deep.equal({ unverified: 1 });
    });

    it('and does not judge an answer by a question from before it came', async () => {
      await start(valueAnswer('old', { position: 103 }), undefined);
      const ends: ((end: number) => void)[] = [];
      freshEnd = () => new Promise((resolve) => ends.push(resolve));
      const outcome = ask();
      await until(() => ends.length === 1);
      scripted[1]!.requests[0]!.socket.write(valueAnswer('new', { position: 105 }));
      await until(async () => (await requests()).answered === 2);
      await settled();
      // The log was at 102 when the first question was answered: the first was a forgery, of the second that says nothing.
      ends[0]!(102);
      await settled();
      await until(() => ends.length === 2);
      ends[1]!(105);
      expect(await outcome).to.equal('new at 105');
    });
  });

  describe('leaves alone a peer that fails', () => {
    const fails = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

    async function open(): Promise<ScriptedPeer> {
      const [peer] = await start(fails);
      for (let i = 0; i < failuresToOpen; i += 1) {
        expect(await counted('peer_breakers_open')).to.deep.equal({});
        expect(await ask()).to.equal('unknown');
      }
      expect(await counted('peer_breakers_open')).to.deep.equal({ '': 1 });
      return peer!;
    }

    it('after five failures, and says so', async () => {
      const peer = await open();
      for (let i = 0; i < 10; i += 1) expect(await ask()).to.equal('unknown');
      expect(peer.requests).to.have.length(failuresToOpen);
      expect(await requests()).to.deep.equal({ malformed: failuresToOpen, breaker_open: 10 });
    });

    it('for a second, and then asks it once, and for longer when that fails', async () => {
      const peer = await open();
      await clock.pass(1_000);
      peer.onRequest = () => {};
      const [trial, other] = [lookUp('a'), lookUp('b')];
      expect(told(await other.outcome)).to.equal('unknown');
      await until(() => peer.requests.length === failuresToOpen + 1);
      await clock.pass(timeoutMs);
      expect(told(await trial.outcome)).to.equal('unknown');
      await clock.pass(1_999);
      await ask();
      expect(peer.requests).to.have.length(failuresToOpen + 1);
      peer.onRequest = ({ socket }) => void socket.write(valueAnswer('well', { position: 100 }));
      await clock.pass(1);
      expect(await ask()).to.equal('well at 100');
      expect(await counted('peer_breakers_open')).to.deep.equal({});
      expect(await ask()).to.equal('well at 100');
    });

    it('and takes no account of it as long: the others’ answers are enough', async () => {
      const [bad, good] = await start(fails, notFoundAnswer({ position: 50 }));
      for (let i = 0; i < failuresToOpen + 3; i += 1) expect(await ask()).to.equal('absent at 50');
      expect([bad!.requests.length, good!.requests.length]).to.deep.equal([failuresToOpen, failuresToOpen + 3]);
    });

    it('and tries one request at a time, even while one of before it failed is still under way', async () => {
      await peers.stop();
      metrics = new Metrics();
      peers = peersWith({ timeoutMs: 5_000 });
      const [peer] = await start(undefined);
      const isAsked = (times: number) => until(() => peer!.requests.length === times);
      const ofBefore = ask('of before');
      await isAsked(1);
      peer!.onRequest = ({ socket }) => void socket.write(fails);
      for (let i = 0; i < failuresToOpen; i += 1) await ask();
      peer!.onRequest = () => {};
      await clock.pass(4_500);
      const trial = ask('trial');
      await isAsked(1 + failuresToOpen + 1);
      await clock.pass(500);
      expect(await ofBefore).to.equal('unknown');
      await clock.pass(3_000);
      const meanwhile = ask('meanwhile');
      await clock.pass(1_500);
      expect(await trial).to.equal('unknown');
      expect((await requests()).breaker_open).to.equal(1);
      await clock.pass(5_000);
      expect(await meanwhile).to.equal('unknown');
    });

    it('but tries one that has been seen since it failed, once', async () => {
      const peer = await open();
      lastSeenMs = clock.nowMs();
      await clock.pass(10);
      await ask();
      expect(peer.requests, 'seen, and failed since').to.have.length(failuresToOpen);
      lastSeenMs = clock.nowMs();
      await ask();
      await ask();
      expect(peer.requests).to.have.length(failuresToOpen + 1);
      peer.onRequest = ({ socket }) => void socket.write(valueAnswer('well', { position: 100 }));
      await clock.pass(1);
      lastSeenMs = clock.nowMs();
      expect(await ask()).to.equal('well at 100');
      expect(await counted('peer_breakers_open')).to.deep.equal({});
    });

    it('but not one whose values are larger than this node takes', async () => {
      const [peer] = await start(valueAnswer('v'.repeat(100_000), { position: 50 }));
      for (let i = 0; i < 3 * failuresToOpen; i += 1) expect(await ask()).to.equal('unknown');
      expect(await requests()).to.deep.equal({ too_large: 3 * failuresToOpen });
      expect(peer!.requests).to.have.length(3 * failuresToOpen);
      expect(await counted('peer_breakers_open')).to.deep.equal({});
    });

    it('and that is no node but sends large answers', async () => {
      const [peer] = await start(valueAnswer('v'.repeat(100_000), { position: 50 }).replace('Bitacora-Topic', 'X'));
      for (let i = 0; i < failuresToOpen + 3; i += 1) expect(await ask()).to.equal('unknown');
      expect(await requests()).to.deep.equal({ too_large: failuresToOpen, breaker_open: 3 });
      expect(peer!.requests).to.have.length(failuresToOpen);
    });

    it('but closes when the trial’s answer is too large', async () => {
      const peer = await open();
      peer.onRequest = ({ socket }) => void socket.write(valueAnswer('v'.repeat(100_000), { position: 50 }));
      await clock.pass(1_000);
      await ask();
      expect(await counted('peer_breakers_open')).to.deep.equal({});
    });

    it('but not one that says that it cannot tell', async () => {
      const [peer] = await start('HTTP/1.1 503 S\r\nContent-Length: 0\r\n\r\n');
      for (let i = 0; i < 3 * failuresToOpen; i += 1) await ask();
      expect(peer!.requests).to.have.length(3 * failuresToOpen);
      expect(await counted('peer_breakers_open')).to.deep.equal({});
    });

    it('but not because this node asks too much', async () => {
      const [peer] = await start(undefined);
      const all = Array.from({ length: 32 + 2_048 + 50 }, (_, i) => lookUp(`k${i}`).outcome);
      await settled();
      expect(await requests()).to.deep.equal({ overloaded: 50 });
      expect(await counted('peer_breakers_open')).to.deep.equal({});
      await until(() => peer!.requests.length === 32);
      const answer = valueAnswer('v', { position: 100 });
      peer!.onRequest = ({ socket }) => void socket.write(answer);
      for (const { socket } of peer!.requests.slice()) socket.write(answer);
      const outcomes = (await Promise.all(all)).map(told);
      expect(outcomes.filter((outcome) => outcome === 'v at 100')).to.have.length(32 + 2_048);
      expect(peer!.openMax).to.equal(32);
      expect(clock.pending).to.equal(0);
    });
  });

  it('keeps its connections', async () => {
    const [peer] = await start(valueAnswer('v', { position: 100 }));
    for (let i = 0; i < 50; i += 1) {
      await ask();
      await settled();
    }
    expect([peer!.requests.length, peer!.connections]).to.deep.equal([50, 1]);
  });

  it('forgets a member that leaves: what is under way fails, its connections end, and it is asked no more', async () => {
    const [stays, leaves] = await start(notFoundAnswer({ position: 50 }), undefined);
    const outcome = ask();
    await until(() => leaves!.requests.length === 1);
    membership.become(stays!.id);
    expect(await outcome).to.equal('absent at 50');
    await until(() => leaves!.open === 0);
    expect(await ask()).to.equal('absent at 50');
    expect(leaves!.requests).to.have.length(1);
  });

  it('begins anew with a member that comes back', async () => {
    const [peer] = await start('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    for (let i = 0; i < failuresToOpen; i += 1) await ask();
    membership.become();
    expect(await counted('peer_breakers_open')).to.deep.equal({});
    membership.become(peer!.id);
    peer!.onRequest = ({ socket }) => void socket.write(valueAnswer('v', { position: 100 }));
    expect(await ask()).to.equal('v at 100');
  });

  it('leaves nothing behind when it stops', async () => {
    const all = await start(undefined, valueAnswer('v', { position: 50 }));
    const outcome = ask();
    await until(() => all.every((peer) => peer.requests.length === 1));
    await peers.stop();
    expect(await outcome).to.equal('v at 50');
    await until(() => all.every((peer) => peer.open === 0));
    expect(clock.pending).to.equal(0);
    expect(await ask()).to.equal('unknown');
    expect(all.map((peer) => peer.connections)).to.deep.equal([1, 1]);
  });
});

describe('a key in a query', () => {
  it('is taken apart again to the same bytes, whatever they are', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    expect(percentEncode(all)).to.match(/^[\w.~%-]*$/);
    expect(unescape(percentEncode(all))).to.equal(all.toString('latin1'));
    expect(percentEncode(Buffer.from('a b+c/é'))).to.equal('a%20b%2bc%2f%c3%a9');
  });
});
