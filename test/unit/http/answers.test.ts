import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { Answers } from '../../../src/http/answers.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

const keepAliveTimeoutMs = 65_000;

/** A server of node:http alone, on which nothing but `Answers` answers. */
interface Rig {
  readonly server: Server;
  readonly port: number;
  readonly answers: Answers;
  readonly sockets: Socket[];
  stop(): Promise<void>;
}

async function startRig(
  answer: (answers: Answers, request: IncomingMessage, response: ServerResponse) => void,
  timeoutMs = keepAliveTimeoutMs,
): Promise<Rig> {
  const answers = new Answers({ clock: systemClock, keepAliveTimeoutMs: timeoutMs });
  const server = createServer({ keepAliveTimeout: timeoutMs, noDelay: true });
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  server.on('request', (request, response) => answer(answers, request, response));
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return { server, port: (server.address() as AddressInfo).port, answers, sockets, stop };
}

const get = (target: string, fields = ''): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;

describe('an answer in one write', () => {
  let rig: Rig;
  afterEach(() => rig.stop());

  it('is handed to the connection whole, where node:http hands over pieces', async () => {
    rig = await startRig((answers, request, response) => answers.send(request, response, 200, 'A: b\r\n', 'body'));
    const socket = await HttpSocket.open(rig);
    const writes: unknown[] = [];
    const server = rig.sockets[0]!;
    const write = server.write;
    server.write = (...args: unknown[]) => {
      writes.push(args[0]);
      return Reflect.apply(write, server, args);
    };
    socket.send(get('/'));
    expect(await socket.answer()).to.deep.include({ status: 200, body: 'body' });
    expect(writes).to.have.length(1);
    expect(writes[0]).to.match(/^HTTP\/1\.1 200 OK\r\nA: b\r\nContent-Length: 4\r\nDate: .*\r\n\r\nbody$/s);
    socket.destroy();
  });

  it('leaves the connection to time out when nothing more comes', async () => {
    rig = await startRig((answers, request, response) => answers.send(request, response, 200, '', 'x'), 1);
    const socket = await HttpSocket.open(rig);
    socket.send(get('/'));
    expect((await socket.answer()).headers['keep-alive']).to.equal('timeout=0');
    await socket.closed();
  });

  it('is over for who listens to the response, and for node:http', async () => {
    const events: string[] = [];
    rig = await startRig((answers, request, response) => {
      for (const name of ['finish', 'close']) response.on(name, () => events.push(name));
      answers.send(request, response, 200, '', 'x');
      expect(response.socket).to.equal(null);
    });
    const socket = await HttpSocket.open(rig);
    for (let round = 1; round <= 3; round += 1) {
      socket.send(get('/'));
      await socket.answer();
      expect(events).to.have.length(2 * round);
    }
    rig.server.closeIdleConnections();
    await socket.closed();
  });

  it('takes its turn behind answers that are not ready, and before those of later requests', async () => {
    const later: (() => void)[] = [];
    rig = await startRig((answers, request, response) => {
      const path = request.url!;
      const send = () => answers.send(request, response, 200, '', path);
      if (path.startsWith('/late')) later.push(send);
      else send();
    });
    const socket = await HttpSocket.open(rig);
    const order = ['/a', '/late/1', '/b', '/late/2', '/c', '/d'];
    socket.send(order.map((path) => get(path)).join(''));
    expect((await socket.answer()).body).to.equal('/a');
    while (later.length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    later[1]!();
    later[0]!();
    for (const path of order.slice(1)) expect((await socket.answer()).body).to.equal(path);
    socket.destroy();
  });

  it('comes whole and in order to a client that is slow to read, and does not end before it was taken', async () => {
    const count = 4_000;
    const body = 'v'.repeat(16_000);
    let waited = 0;
    const early: string[] = [];
    rig = await startRig((answers, request, response) => {
      const { socket } = request;
      // Before node:http hears of it, which then sends what comes next.
      response.prependOnceListener('finish', () => {
        if (socket.writableLength > 0) early.push(request.url!);
      });
      answers.send(request, response, 200, `Path: ${request.url}\r\n`, body);
      if (!response.headersSent && socket.writableLength > 0) waited += 1;
    });
    const client = connect({ host: '127.0.0.1', port: rig.port });
    await once(client, 'connect');
    client.pause();
    client.write(Array.from({ length: count }, (_, i) => get(`/${i}`)).join(''));
    while (waited === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    let answered = 0;
    let text = '';
    const all = new Promise<void>((resolve) => {
      client.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        for (;;) {
          const end = text.indexOf('\r\n\r\n') + 4 + body.length;
          if (end < 4 + body.length || text.length < end) return;
          expect(/^HTTP\/1\.1 200 OK\r\nPath: \/(\d+)\r\n/.exec(text)?.[1]).to.equal(String(answered));
          expect(text.slice(end - body.length, end)).to.equal(body);
          text = text.slice(end);
          answered += 1;
          if (answered === count) resolve();
        }
      });
    });
    client.resume();
    await all;
    expect(early).to.deep.equal([]);
    client.destroy();
  });

  it('is no trouble when the client has gone', async () => {
    let gone: Promise<void> | undefined;
    rig = await startRig((answers, request, response) => {
      gone = once(response, 'close').then(() => answers.send(request, response, 200, '', 'too late'));
    });
    const socket = await HttpSocket.open(rig);
    socket.send(get('/'));
    while (gone === undefined) await new Promise((resolve) => setTimeout(resolve, 2));
    socket.destroy();
    await gone;
  });
});

describe('answers to reads', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode({ valueBytesMax: 100_000 });
    const plain = { 'Content-Type': 'text/plain' };
    await ask(node, 'PUT', '/rpc?key=k', { body: 'v', headers: plain });
    await ask(node, 'PUT', '/rpc?key=text', { body: 'žluťoučký "kůň"\n', headers: { 'Content-Type': 'tëxt/plain' } });
    await ask(node, 'PUT', '/rpc?key=bytes&ttlMs=1000000', { body: Buffer.from([0, 0xff, 0x80]), headers: plain });
    await ask(node, 'PUT', '/rpc?key=%C5%BE%0D%0A', { body: 'crlf' });
    await ask(node, 'PUT', '/rpc?key=long', { body: 'l'.repeat(50_000) });
    await ask(node, 'DELETE', '/rpc?key=deleted');
  });
  after(() => node.stop());

  /** Everything that one request is answered, to the byte, but the time. */
  const bytesOf = async (request: string): Promise<string> => {
    const socket = await HttpSocket.open(node);
    socket.send(request + get('/end', 'Connection: close\r\n'));
    await socket.closed();
    const all = socket.rest.toString('latin1');
    expect(all.match(/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$/gm)).to.have.length(2);
    return all.slice(0, all.lastIndexOf('HTTP/1.1 404 ')).replace(/^Date: .*\r$/gm, 'Date: \r');
  };

  const keys = ['k', 'text', 'bytes', '%C5%BE%0D%0A', 'long', 'deleted', 'none'];
  for (const path of ['/rpc', '/rpc/cluster']) {
    it(`${path} answers the same bytes in one write as by node:http`, async () => {
      for (const key of keys) {
        for (const method of ['GET', 'HEAD']) {
          for (const fields of [
            '',
            'Accept: application/octet-stream\r\n',
            'Accept: text/plain\r\n',
            'If-None-Match: *\r\n',
          ]) {
            const head = `${method} ${path}?key=${key} HTTP/1.1\r\nHost: x\r\n${fields}`;
            // A request that says how long its body is is left to node:http, which may have to read one.
            const byNode = await bytesOf(`${head}Content-Length: 0\r\n\r\n`);
            expect(await bytesOf(`${head}\r\n`), head).to.equal(byNode);
            expect(byNode).to.match(/^HTTP\/1\.1 (200 OK|304 Not Modified|404 Not Found)\r\n/);
          }
        }
      }
    });
  }

  it('end the connection of HTTP/1.0 where they have no length, also when it was to be kept', async () => {
    const socket = await HttpSocket.open(node);
    const request = 'GET /rpc?key=k HTTP/1.0\r\nConnection: keep-alive\r\n';
    socket.send(`${request}\r\n`);
    expect((await socket.answer()).headers.connection).to.equal('keep-alive');
    socket.send(`${request}If-None-Match: *\r\n\r\n`);
    expect(await socket.answer()).to.have.nested.include({ status: 304, 'headers.connection': 'close' });
    await socket.closed();
  });

  it('end the connection of a server that goes down', async () => {
    const leaving = await startReadyNode();
    const socket = await HttpSocket.open(leaving);
    socket.send('GET /rpc?key=k HTTP/1.1\r\nHo');
    await ask(leaving, 'GET', '/health/live');
    const draining = leaving.http.drain();
    socket.send('st: x\r\n\r\n');
    expect((await socket.answer()).headers.connection).to.equal('close');
    await socket.closed();
    await draining;
    await leaving.stop();
  });

  it('are dated by the second in which they are given', async () => {
    const socket = await HttpSocket.open(node);
    const dateOf = async () => {
      socket.send(get('/rpc?key=k'));
      return Date.parse((await socket.answer()).headers.date!);
    };
    const { wallMs } = node.clock;
    try {
      node.clock.wallMs = 1_800_000_000_999;
      expect(await dateOf()).to.equal(1_800_000_000_000);
      node.clock.wallMs += 1;
      expect(await dateOf()).to.equal(1_800_000_001_000);
    } finally {
      node.clock.wallMs = wallMs;
      socket.destroy();
    }
  });
});
