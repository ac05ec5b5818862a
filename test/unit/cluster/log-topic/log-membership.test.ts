import { expect } from 'chai';
import { LogMembership } from '../../../../src/cluster/log-topic/log-membership.ts';
import { FatalError } from '../../../../src/kernel/errors.ts';
import { MemoryLog } from '../../../../src/log/memory-log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { logMembershipCluster } from '../../../support/log-membership-rig.ts';
import { membershipContract } from '../../../support/membership-contract.ts';
import { keepingLogger } from '../../../support/replica-rig.ts';
import { SteeredLog } from '../../../support/steered-log.ts';

const [a, b] = ['a.test:8082', 'b.test:8082'];

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

    async function join(id: string, instance: string, log = new SteeredLog(shared)): Promise<LogMembership> {
      const onFatal = (error: FatalError) => void fatal.push(error);
      const membership = new LogMembership({ log, clock, logger: keepingLogger(lines), onFatal });
      open.push(membership);
      await membership.join({ id, instance });
      return membership;
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
