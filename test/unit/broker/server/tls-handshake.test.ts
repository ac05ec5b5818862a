import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { BrokerServer, type TlsMaterial } from '../../../../src/broker/server/broker-server.ts';
import { Faults } from '../../../../src/broker/server/faults.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';

async function selfSigned(): Promise<TlsMaterial> {
  const folder = await mkdtemp(join(tmpdir(), 'bitacora-tls-'));
  try {
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    await promisify(execFile)('openssl', ['req', ...kind, '-subj', '/CN=localhost', '-keyout', key, '-out', cert]);
    return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('a client of a TLS listener that says nothing', function () {
  this.timeout(30_000);
  const logger = createLogger('silent', { terminal: false });
  let tls: TlsMaterial;
  let server: BrokerServer;
  let port: number;
  const sockets: Socket[] = [];

  before(async function () {
    const made = await selfSigned().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      // There is no openssl to make a certificate with.
      return undefined;
    });
    if (made === undefined) return this.skip();
    tls = made;
  });

  beforeEach(async () => {
    server = new BrokerServer({
      ...{ handlers: new Map(), connectionsMax: 2, requestBytesMax: 1_000 },
      ...{ faults: new Faults(logger), clock: systemClock, logger },
    });
    const address = { hosts: ['127.0.0.1'], port: 0, advertisedHost: 'localhost' };
    port = (await server.listen({ ...address, tls, requiresLogin: false })).advertisedPort;
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await server?.close();
  });

  async function dial(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }

  async function untilThereAre(connections: number): Promise<void> {
    while (server.connections !== connections) await new Promise((resolve) => setImmediate(resolve));
  }

  it('counts as one that is connected: others are turned away, and the server stops in spite of it', async () => {
    const silent = [await dial(), await dial()];
    await untilThereAre(2);
    const ends = silent.map((socket) => once(socket, 'close'));
    await once(await dial(), 'close');
    expect(server.connections).to.equal(2);
    await server.close();
    await Promise.all(ends);
  });

  it('is cut off when the time for its handshake is over', async () => {
    await once(await dial(), 'close');
    await untilThereAre(0);
    expect(server.stats.refused).to.equal(1);
  });

  it('is one connection with what follows its handshake, and is no longer counted once it has gone', async () => {
    const socket = connectTls({ port, host: '127.0.0.1', ca: tls.cert, checkServerIdentity: () => undefined });
    await once(socket, 'secureConnect');
    await untilThereAre(1);
    socket.end();
    await untilThereAre(0);
    expect(server.stats.refused).to.equal(0);
  });
});
