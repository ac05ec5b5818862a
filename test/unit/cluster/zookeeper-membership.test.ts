import { expect } from 'chai';
import { ZookeeperMembership } from '../../../src/cluster/zookeeper/zookeeper-membership.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { until } from '../../support/membership-contract.ts';
import { keepingLogger } from '../../support/replica-rig.ts';
import {
  type Asked,
  int,
  reply,
  ScriptedServer,
  session,
  stat,
  statOwnedBy,
  text,
} from '../../support/zookeeper/scripted-server.ts';

const sessionTimeoutMs = 10_000;
const self = { id: 'a.test:8082', instance: '1' };

/** Answers as a ZooKeeper would in which this node is registered and two others are. */
function sensible({ xid, operation, socket }: Asked): void {
  if (xid === undefined) socket.write(session(sessionTimeoutMs));
  else if (operation === 3) socket.write(reply(xid, 0, statOwnedBy(7)));
  else if (operation === 12)
    socket.write(reply(xid, 0, int(3), text(self.id), text('b.test:1'), text('c.test:2'), stat));
  else if (operation === -11) socket.end(reply(xid, 0));
}

describe('ZooKeeper membership over a server that a test has in hand', () => {
  let clock: FakeClock;
  let lines: string[];
  let server: ScriptedServer;
  let membership: ZookeeperMembership | undefined;

  beforeEach(() => {
    clock = new FakeClock();
    lines = [];
  });

  afterEach(async () => {
    const left = membership?.leave();
    membership = undefined;
    await clock.pass(1_000);
    await left;
    await server.stop();
  });

  async function join(answer: (asked: Asked) => void, ...deadHosts: string[]): Promise<ZookeeperMembership> {
    server = await ScriptedServer.start(answer);
    membership = new ZookeeperMembership({
      connect: { hosts: [...deadHosts, server.address], chroot: '' },
      sessionTimeoutMs,
      clock,
      logger: keepingLogger(lines),
      onFatal: (error) => lines.push(`fatal: ${error.message}`),
    });
    await membership.join(self);
    return membership;
  }

  const lost = () => lines.filter((line) => line.includes('was lost')).length;
  const told = () => lines.filter((line) => !line.startsWith('debug'));
  const nothingLeft = async () => {
    await until(() => server.open === 0);
    await settled();
    expect(clock.pending).to.equal(0);
    const { accepted } = server;
    await clock.pass(60_000);
    expect(server.accepted).to.equal(accepted);
  };

  it('waits longer from attempt to attempt, well within a session, and complains once', async () => {
    await join(({ socket }) => socket.destroy());
    for (const [round, delayMs] of [250, 500, 1_000, 2_000, 2_500, 2_500].entries()) {
      await until(() => lost() === round + 1);
      await settled();
      await clock.pass(delayMs * 0.8 - 1);
      expect(server.accepted).to.equal(round + 1);
      await clock.pass(delayMs * 0.2 + 1);
    }
    expect(told()).to.have.length(1);
    expect(told()[0]).to.match(/^warn: ZooKeeper at 127.* does not answer \(the server closed the connection\)/);
  });

  it('takes the next server at once, and does not complain', async () => {
    const nobody = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    // Which server is tried first is left to chance.
    for (let round = 0; round < 6; round += 1) {
      const joined = await join(sensible, ...nobody);
      await until(() => joined.members().size === 2);
      await joined.leave();
      await server.stop();
    }
    expect(told()).to.deep.equal([]);
    server = await ScriptedServer.start(sensible);
  });

  it('keeps the members, and waits longer, while connections break as soon as they have worked', async () => {
    const joined = await join((asked) => {
      sensible(asked);
      if (asked.operation === 12) setTimeout(() => asked.socket.destroy(), 20);
    });
    for (const [round, delayMs] of [250, 500, 1_000].entries()) {
      await until(() => lost() === round + 1);
      await settled();
      expect([...joined.members()]).to.deep.equal(['b.test:1', 'c.test:2']);
      await clock.pass(delayMs * 0.8 - 1);
      expect(server.accepted).to.equal(round + 1);
      await clock.pass(delayMs * 0.2 + 1);
    }
    expect(told()).to.deep.equal([]);
  });

  it('starts afresh where a connection ended within an answer', async () => {
    const joined = await join((asked) => {
      if (asked.connection > 1 || asked.xid === undefined) sensible(asked);
      else asked.socket.end(reply(asked.xid, 0, int(3), text('x.test:1')).subarray(0, 30));
    });
    await until(() => lost() === 1);
    await settled();
    await clock.pass(250);
    await until(() => joined.members().size === 2);
    expect(told().at(-1)).to.equal('info: ZooKeeper answers again');
  });

  it('survives a server that answers everything with nonsense', async () => {
    const joined = await join(({ xid, socket }) => socket.write(xid === undefined ? session(9_000) : int(0x7fffffff)));
    for (let round = 1; round < 4; round += 1) {
      await until(() => lost() === round);
      await settled();
      await clock.pass(2_500);
    }
    expect(told()).to.have.length(1);
    expect([...joined.members()]).to.deep.equal([]);
  });

  /** Lets one and a half times the session pass at a server where another session holds this node's name. */
  async function holdName(owner: number, expireFirst: boolean): Promise<void> {
    let looks = 0;
    let latest: Asked | undefined;
    const joined = await join((asked) => {
      const { xid, operation, socket, connection } = asked;
      latest = asked;
      if (expireFirst && connection === 1) {
        if (operation === 12) socket.destroy();
        else sensible(asked);
      } else if (xid === undefined) {
        socket.write(session(connection === 2 && expireFirst ? 0 : sessionTimeoutMs, 8));
      } else if (operation === 3) {
        looks += 1;
        socket.write(reply(xid, 0, statOwnedBy(owner)));
      } else {
        sensible(asked);
      }
    });
    if (expireFirst) {
      await until(() => lost() === 1);
      await settled();
      await clock.pass(250);
    }
    await until(() => looks === 1 && joined.members().size === 2);
    const change = async () => {
      const before = looks;
      latest!.socket.write(reply(-1, 0, int(3), int(3), text(`/bitacora/servers/${self.id}`)));
      await until(() => looks > before);
      await settled();
    };
    // The answer to the first look was read before the change.
    await change();
    for (let passedMs = 0; passedMs < 14_000; passedMs += 3_500) {
      expect(told().filter((line) => line.startsWith('fatal'))).to.deep.equal([]);
      await clock.pass(3_500);
      await change();
    }
    await clock.pass(1_001);
    await settled();
  }

  it('holds another session to be that of a second node after one and a half times its timeout', async () => {
    await holdName(3, false);
    await until(() => told().some((line) => line.startsWith('fatal')));
    expect(told()).to.deep.equal([
      `info: Another session holds /bitacora/servers/${self.id} in ZooKeeper: waiting for it to end`,
      `fatal: another node is registered in ZooKeeper as ${self.id}: give this one a NODENAME or an API_PORT of its own`,
    ]);
  });

  it('waits without end for a session that was its own', async () => {
    await holdName(7, true);
    await clock.pass(3_500);
    expect(told()).to.include('warn: The ZooKeeper session has expired: this node registers again');
    expect(told().filter((line) => /fatal|waiting/.test(line))).to.deep.equal([]);
  });

  it('says once that it may not register, however often it tries', async () => {
    let tries = 0;
    await join((asked) => {
      const { xid, operation, socket } = asked;
      if (operation === 1) tries += 1;
      if (xid !== undefined && operation === 1) socket.write(reply(xid, -102));
      else if (xid !== undefined && operation === 3) socket.write(reply(xid, -101));
      else sensible(asked);
    });
    for (let round = 1; round < 4; round += 1) {
      await until(() => tries === round);
      // The answer is read a little later, and the delay begins then.
      for (let turn = 0; turn < 10; turn += 1) await settled();
      await clock.pass(250 * 2 ** (round - 1));
    }
    await until(() => tries === 4);
    expect(told()).to.have.length(1);
    expect(told()[0]).to.match(/^warn: This node could not register as .* \(NO_AUTH\)/);
  });

  it('closes its session when it leaves, and leaves nothing behind', async () => {
    const operations: unknown[] = [];
    const joined = await join((asked) => {
      operations.push(asked.operation);
      sensible(asked);
    });
    await until(() => joined.members().size === 2);
    await joined.leave();
    expect(operations.at(-1)).to.equal(-11);
    await nothingLeft();
  });

  it('waits for a second, and no longer, for a server that does not let it go', async () => {
    const joined = await join((asked) => {
      if (asked.operation !== -11) sensible(asked);
    });
    await until(() => joined.members().size === 2);
    let left = false;
    const leaving = joined.leave().then(() => {
      left = true;
    });
    await clock.pass(999);
    expect(left).to.equal(false);
    await clock.pass(1);
    await leaving;
    await nothingLeft();
  });

  it('leaves at once before it is connected', async () => {
    const joined = await join(() => undefined);
    await joined.leave();
    await nothingLeft();
  });

  it('leaves at once while a server keeps it waiting for a session', async () => {
    const joined = await join(() => undefined);
    await until(() => server.accepted === 1);
    await joined.leave();
    await nothingLeft();
  });

  it('leaves at once between two attempts', async () => {
    const joined = await join(({ socket }) => socket.destroy());
    await until(() => lost() === 1);
    await settled();
    await joined.leave();
    await nothingLeft();
  });

  it('does nothing when it is asked to join after it has left', async () => {
    const joined = await join(({ socket }) => socket.destroy());
    await joined.leave();
    const { accepted } = server;
    await joined.join(self);
    await settled();
    expect(server.accepted).to.equal(accepted);
    await nothingLeft();
  });
});
