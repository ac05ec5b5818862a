import { expect } from 'chai';
import { LogMembership } from '../../../../src/cluster/log-topic/log-membership.ts';
import { BitacoraError, FatalError } from '../../../../src/kernel/errors.ts';
import { MemoryLog } from '../../../../src/log/memory-log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { logMembershipCluster } from '../../../support/log-membership-rig.ts';
import { membershipContract } from '../../../support/membership-contract.ts';
import { CollectingReader } from '../../../support/read-log.ts';
import { keepingLogger } from '../../../support/replica-rig.ts';
import { SteeredLog } from '../../../support/steered-log.ts';

const [a, b] = ['a.test:8082', 'b.test:8082'];
const dayMs = 86_400_000;

describe('log membership', () => {
  membershipContract('a topic of heartbeats', {
    abilities: { notices: true, refusesSecond: true, forgets: true },
    makeCluster: () => {
      const shared = new MemoryLog('members');
      return logMembershipCluster(() => shared, 20);
    },
  });

  describe('as time passes', () => {
    let clock: FakeClock;
    let shared: MemoryLog;
    let lines: string[];
    let fatal: FatalError[];
    const open: LogMembership[] = [];

    beforeEach(() => {
      clock = new FakeClock();
      shared = new MemoryLog('members');
      lines = [];
      fatal = [];
    });

    afterEach(async () => {
      for (const membership of open.splice(0)) {
        const left = membership.leave();
        await clock.pass(5_000);
        await left;
      }
    });

    async function join(
      id: string,
      instance: string,
      log = new SteeredLog(shared),
      own = clock,
    ): Promise<LogMembership> {
      const onFatal = (error: FatalError) => void fatal.push(error);
      const membership = new LogMembership({ log, clock: own, logger: keepingLogger(lines), onFatal });
      open.push(membership);
      await membership.join({ id, instance });
      return membership;
    }

    /** Seconds pass on several machines at once. */
    async function passTogether(clocks: readonly FakeClock[], durationMs: number): Promise<void> {
      for (let ms = 0; ms < durationMs; ms += 250) for (const each of clocks) await each.pass(250);
    }

    async function leaveAt(membership: LogMembership, own: FakeClock): Promise<void> {
      const left = membership.leave();
      await own.pass(5_000);
      await left;
    }

    /** The keys that were deleted, one for each time. */
    async function tombstones(): Promise<string[]> {
      const reader = new CollectingReader(shared, [0]);
      await reader.reach([(await shared.ends())[0]!.end]);
      await reader.stop();
      return reader.records.filter(({ value }) => value === null).map(({ key }) => `${key}`);
    }

    const heartbeats = async () => {
      const { end } = (await shared.ends())[0]!;
      return end;
    };

    it('keeps the last known members while the log carries nothing, however long', async () => {
      const log = new SteeredLog(shared);
      const first = await join(a, '1', log);
      const other = new SteeredLog(shared);
      await join(b, '2', other);
      await clock.pass(5_000);
      expect([...first.members()]).to.deep.equal([b]);
      log.down = true;
      other.down = true;
      await clock.pass(600_000);
      expect([...first.members()]).to.deep.equal([b]);
      log.down = false;
      other.down = false;
      await clock.pass(60_000);
      expect([...first.members()]).to.deep.equal([b]);
    });

    it('says once that it cannot announce itself', async () => {
      const log = new SteeredLog(shared);
      await join(a, '1', log);
      await clock.pass(3_000);
      log.down = true;
      await clock.pass(60_000);
      expect(lines.filter((line) => line.includes('cannot announce itself'))).to.have.length(1);
    });

    it('notices within seconds that another node is silent, and that it is back', async () => {
      const first = await join(a, '1');
      const log = new SteeredLog(shared);
      await join(b, '2', log);
      await clock.pass(5_000);
      expect([...first.members()]).to.deep.equal([b]);
      log.down = true;
      await clock.pass(10_000);
      expect([...first.members()]).to.deep.equal([]);
      log.down = false;
      await clock.pass(10_000);
      expect([...first.members()]).to.deep.equal([b]);
    });

    it('takes a process that was stopped for a while for deaf, not the others for dead', async () => {
      const first = await join(a, '1');
      await join(b, '2');
      await clock.pass(5_000);
      const events: string[] = [];
      first.subscribe(({ kind, id }) => events.push(`${kind} ${id}`));
      await clock.leap(30_000);
      expect(events).to.deep.equal([]);
    });

    it('ends one of two nodes that came at the same instant under one id, the one that was later in the log', async () => {
      await Promise.all([join(a, 'first'), join(a, 'second')]);
      await clock.pass(10_000);
      expect(fatal).to.have.length(1);
      expect(fatal[0]).to.be.instanceOf(FatalError);
      const before = await heartbeats();
      await clock.pass(5_000);
      expect(await heartbeats()).to.be.greaterThan(before);
    });

    it('hides no node whose clock is hours or days off, fast or slow', async () => {
      const [early, late] = [new FakeClock(clock.nowMs() - 30 * dayMs), new FakeClock(clock.nowMs() + 30 * dayMs)];
      const [first, second] = [
        await join(a, '1', new SteeredLog(shared), early),
        await join(b, '2', new SteeredLog(shared), late),
      ];
      await passTogether([early, late], 10_000);
      expect([[...first.members()], [...second.members()]]).to.deep.equal([[b], [a]]);
      await Promise.all([leaveAt(first, early), leaveAt(second, late)]);
    });

    it('does not go by what a record says of when it expires', async () => {
      const first = await join(a, '1');
      await clock.pass(1_000);
      const headers = new Map([['bitacora-expires-at', Buffer.from('0')]]);
      const record = { partition: 0, key: Buffer.from(b), value: Buffer.from('{"instance":"2"}'), headers };
      await shared.append({ ...record, timestampMs: clock.nowMs() });
      await clock.pass(3_000);
      expect([...first.members()]).to.deep.equal([b]);
    });

    it('forgets a node that is silent for ten minutes, and has its entry removed by one of those alive', async () => {
      const [first, second] = [await join(a, '1'), await join(b, '2')];
      await shared.append({
        partition: 0,
        key: Buffer.from('c.test:1'),
        value: Buffer.from('{"instance":"3"}'),
        timestampMs: 0,
      });
      await clock.pass(10_000);
      expect([[...first.members()], [...second.members()]]).to.deep.equal([[b], [a]]);
      expect(await tombstones()).to.deep.equal([]);
      await clock.pass(600_000);
      expect(await tombstones()).to.deep.equal(['c.test:1']);
      expect([[...first.members()], [...second.members()]]).to.deep.equal([[b], [a]]);
    });

    it('notices who is gone also where it may not write itself', async () => {
      const log = new SteeredLog(shared);
      const reader = await join(a, '1', log);
      await clock.pass(1_000);
      log.append = async () => {
        throw new BitacoraError('log_rejected', 'Kafka refused the write');
      };
      const dying = new SteeredLog(shared);
      await join(b, '2', dying);
      await join('c.test:8082', '3');
      await clock.pass(5_000);
      expect([...reader.members()]).to.deep.equal([b, 'c.test:8082']);
      dying.down = true;
      await clock.pass(10_000);
      expect([...reader.members()]).to.deep.equal(['c.test:8082']);
    });

    it('finds the others, and whoever has its own id, behind any number of entries that make no sense', async () => {
      await shared.create({ partitions: 1, maxMessageBytes: 1_000_000 });
      for (let i = 0; i < 5_000; i += 1) shared.appendForeign(0, Buffer.from(`junk ${i}`), Buffer.from('junk'), 0);
      const [first, second] = [await join(a, '1'), await join(b, '2')];
      await clock.pass(5_000);
      expect([[...first.members()], [...second.members()]]).to.deep.equal([[b], [a]]);
      expect(first.ignoredEntries).to.equal(5_000);
      expect(lines.filter((line) => line.includes('holds 5000 entries that no node has written'))).to.have.length(2);
      await join(a, 'double');
      await clock.pass(10_000);
      expect(fatal).to.have.length(1);
    });

    it('keeps those it knows when the topic fills with names of nodes that are not there', async () => {
      const first = await join('z.test:8082', '1');
      await join('y.test:8082', '2');
      await clock.pass(5_000);
      for (let i = 0; i < 3_000; i += 1)
        shared.appendForeign(0, Buffer.from(`n${i}.test:1`), Buffer.from('{"instance":"i"}'), 0);
      const events: string[] = [];
      first.subscribe(({ kind, id }) => events.push(`${kind} ${id}`));
      await clock.pass(20_000);
      expect(events).to.not.include('left y.test:8082');
      expect([...first.members()]).to.deep.equal(['y.test:8082']);
    });

    it('is not ended by one record that claims to be of an older node', async () => {
      await join(b, '2');
      await clock.pass(2_000);
      const first = await join(a, '1');
      await clock.pass(5_000);
      for (const since of [-1, 0]) {
        shared.appendForeign(0, Buffer.from(a), Buffer.from(`{"instance":"forged","since":${since}}`), clock.nowMs());
        await clock.pass(5_000);
      }
      expect(fatal).to.deep.equal([]);
      expect(first.isRegistered).to.equal(true);
    });

    it('says goodbye when it withdraws, and goes on watching the others until it leaves', async () => {
      const [first, second] = [await join(a, '1'), await join(b, '2')];
      await clock.pass(5_000);
      expect(first.isRegistered).to.equal(true);
      await first.withdraw();
      expect(first.isRegistered).to.equal(false);
      await clock.pass(2_000);
      expect([...second.members()]).to.deep.equal([]);
      expect([...first.members()]).to.deep.equal([b]);
      await join('c.test:8082', '3');
      await clock.pass(5_000);
      expect([...first.members()]).to.deep.equal([b, 'c.test:8082']);
      expect(await tombstones()).to.deep.equal([a]);
    });

    it('is registered no longer once its own heartbeats are not received', async () => {
      const log = new SteeredLog(shared);
      const first = await join(a, '1', log);
      expect(first.isRegistered).to.equal(false);
      await clock.pass(3_000);
      expect(first.isRegistered).to.equal(true);
      log.down = true;
      await clock.pass(10_000);
      expect(first.isRegistered).to.equal(false);
    });

    it('tells in words of its own, once, that the topic is gone, and nothing of writes that are not taken', async () => {
      const log = new SteeredLog(shared);
      await join(a, '1', log);
      await clock.pass(5_000);
      log.deleted = true;
      await clock.pass(200_000);
      const errors = lines.filter((line) => line.startsWith('error: '));
      expect(errors).to.deep.equal([
        'error: the topic no longer exists: nodes do not find each other until that is mended',
      ]);
    });

    it('goes on without others when the topic can never be used', async () => {
      const log = new SteeredLog(shared);
      log.describedAs = { cleanupPolicy: 'delete' };
      await shared.create({ partitions: 1, maxMessageBytes: 1_000_000 });
      const membership = await join(a, '1', log);
      await clock.pass(5_000);
      expect([...membership.members()]).to.deep.equal([]);
      expect(fatal).to.deep.equal([]);
      expect(lines.some((line) => line.startsWith('error: ') && line.includes('do not find each other'))).to.equal(
        true,
      );
    });
  });
});
