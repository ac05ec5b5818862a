import { LogMembership } from '../../src/cluster/log-topic/log-membership.ts';
import type { Log } from '../../src/log/log.ts';
import { FastClock } from './fast-clock.ts';
import type { MembershipCluster } from './membership-contract.ts';
import { keepingLogger } from './replica-rig.ts';

/** A log whose appends can be made to go nowhere, as those of a process that was killed. */
interface Mutable {
  readonly log: Log;
  mute(): void;
}

function mutable(inner: Log): Mutable {
  let muted = false;
  const log: Log = {
    name: inner.name,
    run: () => inner.run(),
    stop: () => inner.stop(),
    describe: () => inner.describe(),
    create: (settings) => inner.create(settings),
    ends: () => inner.ends(),
    firstOffsetSince: (partition, timestampMs) => inner.firstOffsetSince(partition, timestampMs),
    append: (record) => (muted ? new Promise(() => {}) : inner.append(record)),
    read: (positions, handler) => inner.read(positions, handler),
  };
  return {
    log,
    mute: () => {
      muted = true;
    },
  };
}

/** Adapters over one members' topic, each by a log of its own; seconds pass `factor` times as fast. */
export async function logMembershipCluster(openLog: () => Log, factor: number): Promise<MembershipCluster> {
  const planter = openLog();
  await planter.run();
  const logs = new Map<unknown, Mutable>();
  return {
    makeAdapter: (onFatal) => {
      const entry = mutable(openLog());
      const membership = new LogMembership({
        log: entry.log,
        clock: new FastClock(factor),
        logger: keepingLogger([]),
        onFatal,
      });
      logs.set(membership, entry);
      return membership;
    },
    plant: async (entry) => {
      await planter.create({ partitions: 1, maxMessageBytes: 1_048_588 });
      const value = Buffer.from('{"instance":"planted"}');
      await planter.append({ partition: 0, key: Buffer.from(entry), value, timestampMs: Date.now() });
    },
    kill: async (membership) => logs.get(membership)!.mute(),
    forgotten: async () => {},
    stop: async () => planter.stop(),
  };
}
