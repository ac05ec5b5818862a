import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { ZookeeperMembership } from '../../../src/cluster/zookeeper/zookeeper-membership.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { FatalError } from '../../../src/kernel/errors.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { membershipContract, until, WatchedMember } from '../../support/membership-contract.ts';
import { keepingLogger } from '../../support/replica-rig.ts';
import { CuttableProxy } from '../../support/zookeeper/cuttable-proxy.ts';
import { RawClient } from '../../support/zookeeper/raw-client.ts';
import { type OwnZookeeper, ownZookeeper } from '../../support/zookeeper/zookeeper.ts';

const sessionTimeoutMs = 2_000;
const [a, b] = ['a.test:8082', 'b.test:8082'];

describe('ZooKeeper membership', () => {
  let zookeeper: OwnZookeeper;
  let chroots = 0;
  const freshChroot = () => `/of-a-test/${++chroots}`;

  before(async function () {
    zookeeper = await ownZookeeper(this);
  });

  after(async () => {
    await zookeeper?.stop();
  });

  membershipContract('ZooKeeper', {
    abilities: { notices: true, refusesSecond: true, forgets: true },
    makeCluster: async () => {
      const chroot = freshChroot();
      const raw = await RawClient.open(zookeeper.hosts);
      const proxies = await Promise.all(Array.from({ length: 4 }, () => CuttableProxy.to(zookeeper.hosts[0]!)));
      const used = new Map<unknown, CuttableProxy>();
      return {
        makeAdapter: (onFatal) => {
          const proxy = proxies[used.size]!;
          const membership = make({ hosts: [proxy.address], chroot, onFatal });
          used.set(membership, proxy);
          return membership;
        },
        plant: async (entry) => {
          const path = `${chroot}/bitacora/servers/${entry}`;
          for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1))
            await raw.create(path.slice(0, end)).catch(() => undefined);
          await raw.create(path);
        },
        kill: async (membership) => used.get(membership)!.cut(),
        forgotten: async (membership, id) => {
          const killed = used.get(membership)!.session.id.toString('hex');
          await until(async () => (await raw.owner(`${chroot}/bitacora/servers/${id}`)) !== killed);
        },
        stop: async () => {
          await Promise.all(proxies.map((proxy) => proxy.stop()));
          await raw.close();
        },
      };
    },
  });

  describe('over a server of its own', () => {
    let raw: RawClient;
    let chroot: string;
    let lines: string[];
    let proxy: CuttableProxy;
    const watched: WatchedMember[] = [];

    beforeEach(async () => {
      chroot = freshChroot();
      lines = [];
      raw = await RawClient.open(zookeeper.hosts);
      proxy = await CuttableProxy.to(zookeeper.hosts[0]!);
    });

    afterEach(async () => {
      await Promise.all(watched.splice(0).map(({ membership }) => membership.leave()));
      await proxy.stop();
      await raw.close();
    });

    const serverOf = (id: string) => `${chroot}/bitacora/servers/${id}`;
    const complaints = () => lines.filter((line) => !line.startsWith('debug'));

    /** Joins and answers when the node is registered. */
    async function join(id: string, over: Partial<Parameters<typeof make>[0]> & { socket?: string } = {}) {
      const { socket, ...options } = over;
      const self = { id, instance: randomUUID(), ...(socket !== undefined && { socket }) };
      const member = new WatchedMember(self, (onFatal) =>
        make({ hosts: zookeeper.hosts, chroot, lines, onFatal, ...options }),
      );
      watched.push(member);
      await member.membership.join(member.self);
      return member;
    }

    it('registers host:port of HTTP and socket under the paths that others know, and takes both away', async () => {
      const member = await join(a, { socket: 'a.test:8182' });
      await until(async () => (await raw.owner(`${chroot}/bitacora/sockets/a.test:8182`)) !== undefined);
      expect(await raw.children(`${chroot}/bitacora/servers`)).to.deep.equal([a]);
      expect(await raw.read(serverOf(a))).to.equal(a);
      expect(await raw.read(`${chroot}/bitacora/sockets/a.test:8182`)).to.equal('a.test:8182');
      expect(await raw.owner(serverOf(a))).to.not.match(/^0+$/);
      expect(await raw.owner(`${chroot}/bitacora`)).to.match(/^0+$/);
      await member.membership.leave();
      expect(await raw.children(`${chroot}/bitacora/servers`)).to.deep.equal([]);
      expect(await raw.children(`${chroot}/bitacora/sockets`)).to.deep.equal([]);
      expect(complaints()).to.deep.equal([]);
    });

    it('has its nodes right under the root where there is no chroot', async () => {
      await join(a, { chroot: '' });
      await until(async () => (await raw.owner(`/bitacora/servers/${a}`)) !== undefined);
      expect(await raw.read(`/bitacora/servers/${a}`)).to.equal(a);
    });

    it('keeps the members while the server is gone, and is registered again when it is back', async () => {
      const [first, second] = [await join(a), await join(b)];
      await first.sees(b);
      await second.sees(a);
      await raw.close();
      await zookeeper.kill();
      await until(() => lines.filter((line) => line.startsWith('warn')).length === 2);
      expect(first.members).to.deep.equal([b]);
      await zookeeper.start();
      raw = await RawClient.open(zookeeper.hosts);
      await until(() => lines.filter((line) => line.startsWith('info')).length === 2);
      await first.sees(b);
      expect(first.events.filter(({ kind }) => kind === 'left')).to.deep.equal([]);
      expect(complaints().filter((line) => line.includes('does not answer'))).to.have.length(2);
      expect(complaints().filter((line) => line.includes('answers again'))).to.have.length(2);
      // Whether the server kept the sessions or not: new members are seen, and leaving works.
      await first.membership.leave();
      await second.sees();
      await until(async () => (await raw.owner(serverOf(b))) !== undefined);
    });

    it('joins at once where no server is yet, and registers when it comes', async () => {
      const late = await CuttableProxy.to(zookeeper.hosts[0]!);
      late.cut();
      const nobody = `127.0.0.1:${await freePort()}`;
      await join(a, { hosts: [nobody, late.address] });
      await until(() => complaints().length > 0);
      expect(await raw.owner(serverOf(a))).to.equal(undefined);
      late.mend();
      await until(async () => (await raw.owner(serverOf(a))) !== undefined);
      await until(() => complaints().length > 1);
      expect(complaints()[0]).to.match(/^warn: ZooKeeper at .* does not answer/);
      expect(complaints().slice(1)).to.deep.equal(['info: ZooKeeper answers again']);
      await watched[0]!.membership.leave();
      await late.stop();
    });

    it('keeps its session over the loss of a connection', async () => {
      const [first, second] = [await join(a, { hosts: [proxy.address] }), await join(b)];
      await first.sees(b);
      await second.sees(a);
      const owner = await raw.owner(serverOf(a));
      const { id } = proxy.session;
      proxy.cut();
      proxy.mend();
      await second.membership.leave();
      await first.sees();
      expect(proxy.session.id).to.deep.equal(id);
      expect(await raw.owner(serverOf(a))).to.equal(owner);
      expect(first.fatal).to.deep.equal([]);
    });

    it('registers again after the server was frozen for longer than the session', async () => {
      const [first, second] = [await join(a), await join(b)];
      await first.sees(b);
      await second.sees(a);
      zookeeper.pause();
      try {
        await until(() => lines.filter((line) => line.includes('the server is silent')).length >= 4);
        // Each of them has noticed, however often either has tried.
        await until(() => lines.filter((line) => line.includes('does not answer')).length === 2);
        expect(first.members).to.deep.equal([b]);
      } finally {
        zookeeper.resume();
      }
      await until(() => lines.filter((line) => line.includes('answers again')).length === 2);
      await until(async () => (await raw.children(`${chroot}/bitacora/servers`)).length === 2);
      await first.sees(b);
      await second.sees(a);
      expect([...first.fatal, ...second.fatal]).to.deep.equal([]);
    });

    it('registers again when its session has expired', async () => {
      const member = await join(a, { hosts: [proxy.address], socket: 'a.test:8182' });
      await until(async () => (await raw.owner(`${chroot}/bitacora/sockets/a.test:8182`)) !== undefined);
      const before = await raw.owner(serverOf(a));
      // Whoever knows a session's id and password may close it, as the server does when it expires.
      await (await RawClient.open(zookeeper.hosts, proxy.session)).close();
      await until(async () => ![undefined, before].includes(await raw.owner(serverOf(a))));
      await until(async () => ![undefined, before].includes(await raw.owner(`${chroot}/bitacora/sockets/a.test:8182`)));
      expect(complaints()).to.include('warn: The ZooKeeper session has expired: this node registers again');
      await join(b);
      await member.sees(b);
      expect(member.fatal).to.deep.equal([]);
    });

    it('registers again when somebody has removed its node, or all of them', async () => {
      const member = await join(a);
      await until(async () => (await raw.owner(serverOf(a))) !== undefined);
      await raw.remove(serverOf(a));
      await until(async () => (await raw.owner(serverOf(a))) !== undefined);
      await member.membership.leave();

      const other = await join(b);
      await until(async () => (await raw.owner(serverOf(b))) !== undefined);
      await raw.remove(serverOf(b));
      await raw.remove(`${chroot}/bitacora/servers`).catch(() => undefined);
      await until(async () => (await raw.owner(serverOf(b))) !== undefined);
      await join(a);
      await other.sees(a);
    });

    it('waits for a former process of the same id to vanish', async () => {
      const first = await join(a, { hosts: [proxy.address] });
      await until(async () => (await raw.owner(serverOf(a))) !== undefined);
      const former = await raw.owner(serverOf(a));
      proxy.cut();
      const second = await join(a);
      await until(async () => ![undefined, former].includes(await raw.owner(serverOf(a))));
      expect(complaints().filter((line) => line.includes('waiting for it to end'))).to.have.length(1);
      await first.membership.leave();
      expect(await raw.owner(serverOf(a))).to.not.equal(undefined);
      expect(second.fatal).to.deep.equal([]);
    });

    it('never removes the node of another, and takes nothing persistent for a session that ends', async () => {
      for (const path of [...pathsDownTo(chroot), ...pathsDownTo('/bitacora/servers').map((path) => chroot + path)])
        await raw.create(path).catch(() => undefined);
      await raw.create(serverOf(a), 'planted');
      const member = await join(a);
      await join(b);
      await member.sees(b);
      await until(() => member.fatal.length > 0);
      expect(await raw.read(serverOf(a))).to.equal('planted');
      await member.membership.leave();
      expect(await raw.read(serverOf(a))).to.equal('planted');
    });

    it('says once that it may not register, and goes on trying', async () => {
      for (const path of [...pathsDownTo(chroot), ...pathsDownTo('/bitacora/servers').map((path) => chroot + path)])
        await raw.create(path).catch(() => undefined);
      await raw.allow(`${chroot}/bitacora/servers`, false);
      const member = await join(a);
      await join(b);
      await until(() => complaints().length > 1);
      await raw.allow(`${chroot}/bitacora/servers`, true);
      await member.sees(b);
      expect(complaints()).to.have.members(
        [a, b].map(
          (id) => `warn: This node could not register as ${serverOf(id)} in ZooKeeper (NO_AUTH): it tries again`,
        ),
      );
      expect(member.fatal).to.deep.equal([]);
    });

    it('leaves nothing open when it leaves, connected or not', async () => {
      const member = await join(a, { hosts: [proxy.address] });
      await until(async () => (await raw.owner(serverOf(a))) !== undefined);
      await member.membership.leave();
      await until(() => proxy.connections === 0);
      expect(await raw.owner(serverOf(a))).to.equal(undefined);

      const cutOff = await join(b, { hosts: [proxy.address] });
      await until(async () => (await raw.owner(serverOf(b))) !== undefined);
      proxy.cut();
      await cutOff.membership.leave();
      proxy.mend();
      await until(async () => (await raw.owner(serverOf(b))) === undefined);
      expect(proxy.connections).to.equal(0);
    });
  });
});

function make(options: {
  hosts: readonly string[];
  chroot: string;
  onFatal: (error: FatalError) => void;
  lines?: string[];
}): ZookeeperMembership {
  const { hosts, chroot, onFatal, lines = [] } = options;
  const logger = keepingLogger(lines);
  return new ZookeeperMembership({ connect: { hosts, chroot }, sessionTimeoutMs, clock: systemClock, logger, onFatal });
}

/** `/a`, `/a/b`, ... */
function pathsDownTo(path: string): string[] {
  const names = path.split('/').slice(1);
  return names.map((_, depth) => `/${names.slice(0, depth + 1).join('/')}`);
}
