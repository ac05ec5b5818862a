import { once } from 'node:events';
import { expect } from 'chai';
import fc from 'fast-check';
import { Connection, ZookeeperError } from '../../../src/cluster/zookeeper/connection.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until } from '../../support/membership-contract.ts';
import {
  type Asked,
  int,
  message,
  reply,
  ScriptedServer,
  session,
  stat,
  text,
} from '../../support/zookeeper/scripted-server.ts';

const sessionTimeoutMs = 9_000;
const openTimeoutMs = 2_000;
const granted = session(sessionTimeoutMs);
const ignore = () => undefined;

describe('a connection to a ZooKeeper', () => {
  let server: ScriptedServer;
  let clock: FakeClock;
  let giveUp: AbortController;
  const connections: Connection[] = [];

  beforeEach(() => {
    clock = new FakeClock();
    giveUp = new AbortController();
  });

  afterEach(async () => {
    giveUp.abort();
    await Promise.all(connections.splice(0).map((connection) => connection.destroy()));
    await server.stop();
  });

  const open = async (former?: Parameters<typeof Connection.open>[0]['session']) => {
    const { signal } = giveUp;
    const options = { server: server.address, sessionTimeoutMs, openTimeoutMs, session: former, clock, signal };
    const connection = await Connection.open(options);
    if (connection) connections.push(connection);
    return connection;
  };

  /** Opens a connection to a server that grants the session, and then answers each request with what `answer` returns. */
  const opened = async (answer: (asked: Asked & { xid: number }) => Buffer | undefined) => {
    server = await ScriptedServer.start((asked) => {
      const { xid, socket } = asked;
      const bytes = xid === undefined ? granted : answer({ ...asked, xid });
      if (bytes !== undefined) socket.write(bytes);
    });
    return (await open())!;
  };

  const failureOf = async (promise: Promise<unknown>): Promise<Error> => {
    const error = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(Error);
    return error as Error;
  };

  it('opens with the session that the server grants, and closes it', async () => {
    const operations: unknown[] = [];
    const connection = await opened(({ operation, xid, socket }) => {
      operations.push(operation);
      if (operation === -11) socket.end(reply(xid, 0));
      return undefined;
    });
    expect(connection.session).to.deep.include({ id: Buffer.alloc(8, 7), timeoutMs: sessionTimeoutMs });
    expect(connection.over.aborted).to.equal(false);
    const closed = connection.closeSession();
    expect(connection.over.aborted).to.equal(true);
    await closed;
    expect(operations).to.deep.equal([-11]);
    expect(clock.pending).to.equal(0);
  });

  it('reads answers that come in any pieces', async () => {
    const connection = await opened(({ xid, socket }) => {
      for (const byte of reply(xid, 0, int(2), text('a'), text('b'), stat)) socket.write(Buffer.from([byte]));
      return undefined;
    });
    expect(await connection.children('/x', ignore)).to.deep.equal(['a', 'b']);
  });

  it('reads many answers that come at once', async () => {
    const waiting: Buffer[] = [];
    const connection = await opened(({ xid }) => {
      waiting.push(reply(xid, 0, int(1), text(`n${xid}`), stat));
      return waiting.length === 500 ? Buffer.concat(waiting) : undefined;
    });
    const names = await Promise.all(Array.from({ length: 500 }, () => connection.children('/x', ignore)));
    expect(names.flat()).to.deep.equal(Array.from({ length: 500 }, (_, i) => `n${i}`));
  });

  it('says that a session has expired, and fails where a new one is refused', async () => {
    server = await ScriptedServer.start(({ socket }) => socket.write(session(0)));
    const former = { id: Buffer.alloc(8, 3), password: Buffer.alloc(16), timeoutMs: 1 };
    expect(await open(former)).to.equal(undefined);
    expect((await failureOf(open())).message).to.include('no session');
    await until(() => server.open === 0);
  });

  it('gives up on a server that accepts and says nothing', async () => {
    server = await ScriptedServer.start(ignore);
    const failure = failureOf(open());
    await until(() => server.accepted === 1);
    await clock.pass(openTimeoutMs);
    expect((await failure).message).to.include('silent');
    await until(() => server.open === 0);
    expect(clock.pending).to.equal(0);
  });

  it('ends when the server falls silent for two thirds of the session', async () => {
    const connection = await opened(ignore);
    const failure = failureOf(connection.children('/x', ignore));
    await clock.pass(sessionTimeoutMs * (2 / 3) - 1);
    expect(connection.over.aborted).to.equal(false);
    await clock.pass(1);
    expect((await failure).message).to.include('silent');
    await until(() => server.open === 0);
    expect(clock.pending).to.equal(0);
  });

  it('lives as long as anything is heard', async () => {
    const connection = await opened(({ operation, xid }) => (operation === 3 ? reply(xid, -101) : undefined));
    for (let round = 0; round < 5; round += 1) {
      await clock.pass(sessionTimeoutMs / 2);
      expect(await connection.stat('/x', ignore)).to.equal(undefined);
    }
    expect(connection.over.aborted).to.equal(false);
  });

  it('may be given up while it opens', async () => {
    server = await ScriptedServer.start(ignore);
    const failure = failureOf(open());
    await until(() => server.accepted === 1);
    giveUp.abort();
    await failure;
    await until(() => server.open === 0);
    expect(clock.pending).to.equal(0);
  });

  it('ends, and tells whoever waits or watches, when the server closes it', async () => {
    let asked = 0;
    const connection = await opened(({ xid, socket }) => {
      asked += 1;
      if (asked === 1) return reply(xid, 0, int(0), stat);
      socket.destroy();
      return undefined;
    });
    let changes = 0;
    await connection.children('/x', () => {
      changes += 1;
    });
    await failureOf(connection.stat('/y', ignore));
    expect(changes).to.equal(1);
    expect(connection.over.aborted).to.equal(true);
    await failureOf(connection.stat('/y', ignore));
  });

  it('calls back once at a change, however often it was asked to', async () => {
    let count = 0;
    const connection = await opened(({ xid }) => {
      count += 1;
      const answer = reply(xid, 0, stat);
      if (count < 30) return answer;
      const changed = reply(-1, 0, int(3), int(3), text('/x'));
      return Buffer.concat([answer, changed, changed]);
    });
    let warnings = 0;
    const onWarning = () => {
      warnings += 1;
    };
    process.on('warning', onWarning);
    const changes: number[] = [];
    for (let i = 0; i < 30; i += 1) await connection.stat('/x', () => changes.push(i));
    await until(() => changes.length > 0);
    process.off('warning', onWarning);
    await connection.destroy();
    expect(changes).to.deep.equal([29]);
    expect(warnings).to.equal(0);
  });

  it('rejects a request that the server refuses, and goes on, whatever the reason is called', async () => {
    let error = 0;
    const connection = await opened(({ xid }) => reply(xid, error));
    for (error of [-102, -101, -110, -124, -127, 77]) {
      const failure = await failureOf(connection.createPersistent('/x'));
      expect(failure).to.be.instanceOf(ZookeeperError).and.to.have.property('code', error);
    }
    expect((await failureOf(connection.createPersistent('/x'))).message).to.equal('error 77');
    expect(connection.over.aborted).to.equal(false);
  });

  it('ends when the server says that the session is over or elsewhere', async () => {
    for (const error of [-112, -118]) {
      const connection = await opened(({ xid }) => reply(xid, error));
      await failureOf(connection.createPersistent('/x'));
      expect(connection.over.aborted).to.equal(true);
      await server.stop();
    }
    server = await ScriptedServer.start(ignore);
  });

  const listOfNothings = message(int(0), Buffer.alloc(8), int(0), int(0x7fffffff), ...Array(64).fill(int(-4)), stat);
  const senseless: Readonly<Record<string, (xid: number) => Buffer>> = {
    'a huge length': () => int(0x7fffffff),
    'a length just too large': () => int(4 * 1024 * 1024 + 1),
    'a negative length': () => int(-1),
    'a length too short for any answer': () => message(int(1)),
    'a reply to another request': (xid) => reply(xid + 1, 0, int(0), stat),
    'a reply without its fields': (xid) => reply(xid, 0),
    'a list that is longer than the message': (xid) => reply(xid, 0, int(1_000), text('a'), stat),
    'a list of texts of negative length': (xid) => {
      const bytes = Buffer.from(listOfNothings);
      bytes.writeInt32BE(xid, 4);
      return bytes;
    },
    'a change of no known kind': () => reply(-1, 0, int(99), int(3), text('/x')),
    'a change of a path that does not fit': () => reply(-1, 0, int(3), int(3), int(1_000)),
  };

  for (const [what, bytesFor] of Object.entries(senseless)) {
    it(`ends at ${what}`, async () => {
      const connection = await opened(({ xid }) => bytesFor(xid));
      const failure = await failureOf(connection.children('/x', ignore));
      expect(failure.message).to.equal('the server sent what is not understood');
      await until(() => server.open === 0);
      expect(clock.pending).to.equal(0);
    });
  }

  it('fails to open at an answer that gives no password, or one that takes gigabytes', async () => {
    for (const length of [-1, 0, 0x7fffffff]) {
      server = await ScriptedServer.start(({ socket }) =>
        socket.write(message(int(0), int(9_000), Buffer.alloc(8, 7), int(length), Buffer.alloc(16))),
      );
      expect((await failureOf(open())).message).to.include('not understood');
      await server.stop();
    }
    server = await ScriptedServer.start(ignore);
  });

  it('survives any bytes at all', async function () {
    this.timeout(30_000);
    let bytes: Buffer = Buffer.alloc(0);
    let early = false;
    server = await ScriptedServer.start(({ xid, socket }) => {
      if (xid === undefined && !early) socket.write(granted);
      else socket.end(bytes);
    });
    const words = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((some) => Buffer.from(some)),
      fc.constantFrom(-1, -2, -4, 0, 1, 2, 16, 20, 40, 0x7fffffff).map(int),
    );
    const junk = fc.array(words, { maxLength: 20 }).map((parts) => Buffer.concat(parts));
    await fc.assert(
      fc.asyncProperty(junk, fc.boolean(), fc.boolean(), async (some, whole, first) => {
        bytes = whole ? message(some) : some;
        early = first;
        const connection = await open().catch(ignore);
        if (connection === undefined) return;
        const asked = connection.children('/x', ignore).catch(ignore);
        if (!connection.over.aborted) await once(connection.over, 'abort');
        await asked;
      }),
      { numRuns: 300 },
    );
    await until(() => server.open === 0);
  });
});
