import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { pino } from 'pino';
import { HttpServer } from '../../../src/http/http-server.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode, until, version } from '../../support/http-node.ts';
import { self } from '../../support/peers.ts';

const valueBytes = 1024 * 1024;
/** More than the system takes for a client that does not read. */
const requests = 64;

describe('a client that stops reading', () => {
  let node: TestNode;
  let clock: FakeClock;
  let http: HttpServer;
  const sockets: Socket[] = [];
  before(async () => {
    node = await startReadyNode({ valueBytesMax: valueBytes });
    await ask(node, 'PUT', '/rpc?key=large', { body: Buffer.alloc(valueBytes, 'v') });
  });
  after(() => node.stop());
  beforeEach(async () => {
    clock = new FakeClock();
    http = new HttpServer({
      database: node.database,
      host: '127.0.0.1',
      port: 0,
      identity: self,
      version,
      clock,
      logger: pino({ level: 'silent' }),
      metrics: new Metrics({ process: false }),
    });
    await http.run();
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await http.stop();
  });

  /** A connection, and whether it has ended. Of what is asked on it, nothing is read yet. */
  const open = async (request: string): Promise<{ socket: Socket; ended: () => boolean }> => {
    const socket = connect({ host: '127.0.0.1', port: http.port });
    let hasEnded = false;
    socket.on('error', () => {});
    socket.on('close', () => {
      hasEnded = true;
    });
    sockets.push(socket);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.pause();
    socket.write(request);
    return { socket, ended: () => hasEnded };
  };
  const large = 'GET /rpc?key=large HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(requests);
  /** What was sent before has been read by the server. */
  const settle = () => ask(http, 'GET', '/health/live');

  it('is let go when it has taken nothing for a minute', async () => {
    const { socket, ended } = await open(large);
    for (let seconds = 0; seconds < 300; seconds += 10) {
      await settle();
      await clock.pass(10_000);
    }
    // It learns of the end behind what the system has for it.
    socket.resume();
    await until(ended);
    expect(socket.bytesRead).to.be.lessThan(requests * valueBytes);
  });

  it('is given more time each time that it takes something', async () => {
    const { socket } = await open(large);
    await settle();
    for (let minute = 0; minute < 5; minute += 1) {
      await clock.pass(50_000);
      const before = socket.bytesRead;
      socket.resume();
      await until(() => socket.bytesRead > before + 8 * valueBytes);
      socket.pause();
      await settle();
    }
    socket.resume();
    await until(() => socket.bytesRead > requests * valueBytes);
  });

  it('is not one that has taken everything, or waits for its answer', async () => {
    const idle = await open('GET /rpc?key=none HTTP/1.1\r\nHost: x\r\n\r\n');
    node.log.endsInstead = () => new Promise(() => {});
    const waiting = await open('GET /rpc?key=none&consistency=linearizable HTTP/1.1\r\nHost: x\r\n\r\n');
    for (const { socket } of [idle, waiting]) socket.resume();
    await settle();
    await clock.pass(200_000);
    await settle();
    expect([idle.ended(), waiting.ended()]).to.deep.equal([false, false]);
    node.log.endsInstead = undefined;
  });
});
