import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import type { RawAnswer } from '../../../src/cluster/peer-answer.ts';
import { PeerHttp, PeerRequestError } from '../../../src/cluster/peer-http.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';
import { answerText, ScriptedPeer } from '../../support/scripted-peer.ts';

const timeoutMs = 250;
const bodyBytesMax = 1_000;
const connectionsMax = 32;
const waitingMax = 2_048;

describe('requests to a peer', () => {
  let peer: ScriptedPeer;
  let clock: FakeClock;
  let http: PeerHttp;

  beforeEach(async () => {
    peer = await ScriptedPeer.start();
    clock = new FakeClock();
    http = new PeerHttp(peer.id, 30_000, clock);
  });

  afterEach(async () => {
    await http.close();
    await peer.stop();
  });

  const get = (path = '/') => http.get({ path, accept: 'x/y', timeoutMs, bodyBytesMax });

  /** Status and body, or how the request went wrong. */
  const told = (answer: Promise<RawAnswer>): Promise<string> =>
    answer.then(
      ({ status, body }) => `${status} ${body.toString('latin1')}`,
      (error: unknown) => {
        expect(error).to.be.instanceOf(PeerRequestError);
        return (error as PeerRequestError).fault;
      },
    );

  const answerAll = (text: string) => {
    peer.onRequest = ({ socket }) => void socket.write(text, 'latin1');
  };

  /** Whether every connection on which there was a request has ended. */
  const areEnded = () => peer.requests.every(({ socket }) => socket.destroyed);

  /** The pool is as good as new: as many requests as ever go through at once. */
  async function checkUsable(): Promise<void> {
    answerAll(answerText(200, {}, 'well'));
    const answers = await Promise.all(Array.from({ length: 2 * connectionsMax }, () => told(get())));
    expect(new Set(answers)).to.deep.equal(new Set(['200 well']));
    expect(clock.pending).to.equal(0);
  }

  it('send the target as it is, ask for what is wanted, and hand over what came', async () => {
    answerAll(answerText(404, { 'X-Y': 'a', 'x-y': 'b', Z: 'é' }, Buffer.from([0, 255])));
    const { status, headers, body } = await get('/rpc/cluster?key=%00+');
    expect(status).to.equal(404);
    expect(headers).to.deep.include({ 'x-y': ['a', 'b'], z: 'é' });
    expect(body).to.deep.equal(Buffer.from([0, 255]));
    expect(peer.requests[0]?.target).to.equal('/rpc/cluster?key=%00+');
    expect(peer.requests[0]?.headers).to.include({ accept: 'x/y', host: peer.id });
  });

  it('use one connection for a hundred of them in turn', async () => {
    answerAll(answerText(200, {}, 'a'));
    for (let i = 0; i < 100; i += 1) {
      expect(await told(get())).to.equal('200 a');
      // A connection rests for a turn of the event loop after each answer.
      await settled();
    }
    expect([peer.requests.length, peer.connections]).to.deep.equal([100, 1]);
  });

  for (const [what, text, answer] of [
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n', '200 abc'],
    ['after 103 and 100 answers', `HTTP/1.1 103 E\r\nLink: x\r\n\r\n${answerText(200, {}, 'a')}`, '200 a'],
    ['without a body', answerText(404, {}, ''), '404 '],
    [
      'with headers that are called like members of objects',
      answerText(200, { constructor: 'x', ['__proto__']: 'y' }, 'a'),
      '200 a',
    ],
    [
      'of exactly as many bytes as it may have',
      answerText(200, {}, 'x'.repeat(bodyBytesMax)),
      `200 ${'x'.repeat(bodyBytesMax)}`,
    ],
  ] as const) {
    it(`take an answer ${what}`, async () => {
      answerAll(text);
      expect(await told(get())).to.equal(answer);
      await settled();
      expect(await told(get())).to.equal(answer);
      expect(peer.connections).to.equal(1);
    });
  }

  it('take an answer that is cut up into single bytes', async () => {
    peer.onRequest = async ({ socket }) => {
      for (const byte of Buffer.from(answerText(200, { A: 'b' }, 'abc'))) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    expect(await told(get())).to.equal('200 abc');
  });

  it('take an answer of HTTP/1.0 that ends with its connection', async () => {
    peer.onRequest = ({ socket }) => void socket.end('HTTP/1.0 200 OK\r\n\r\nabc');
    expect(await told(get())).to.equal('200 abc');
    expect(await told(get())).to.equal('200 abc');
    expect(peer.connections).to.equal(2);
  });

  it('do not follow a redirect', async () => {
    const target = await ScriptedPeer.start();
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        answerAll(answerText(status, { Location: `http://${target.id}/rpc/cluster?key=a` }, ''));
        expect(await told(get())).to.equal(`${status} `);
      }
      expect([target.connections, peer.requests.length]).to.deep.equal([0, 5]);
    } finally {
      await target.stop();
    }
  });

  describe('fail', () => {
    for (const [what, onRequest] of [
      ['resets the connection', (socket: Socket) => socket.resetAndDestroy()],
      ['ends the connection', (socket: Socket) => socket.end()],
      [
        'resets the connection within the headers',
        (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nContent-', () => socket.resetAndDestroy()),
      ],
      [
        'resets the connection within the body',
        (socket: Socket) =>
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab', () => socket.resetAndDestroy()),
      ],
      [
        'ends the connection within the body',
        (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab'),
      ],
      [
        'ends the connection within a chunk',
        (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab'),
      ],
      [
        'sends garbage',
        (socket: Socket) => socket.write(Buffer.from('\x00\xff\x16\x03\x01 not http\r\n\r\n', 'latin1')),
      ],
      [
        'sends a length that is none',
        (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'),
      ],
      [
        'sends two lengths',
        (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
      ],
      [
        'sends a length and chunks',
        (socket: Socket) =>
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n'),
      ],
      [
        'sends a chunk whose length is none',
        (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'),
      ],
      [
        'wants to speak something else',
        (socket: Socket) => socket.write('HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
      ],
      ['says 100 without having been asked', (socket: Socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n')],
      [
        'sends a header that is too long',
        (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(17 * 1024)}\r\n\r\n`),
      ],
    ] as const) {
      it(`when the peer ${what}`, async () => {
        peer.onRequest = ({ socket }) => void onRequest(socket);
        expect(await told(get())).to.equal('failed');
        await until(areEnded);
        await checkUsable();
      });
    }

    for (const [what, text] of [
      ['sends one byte too many', answerText(200, { 'X-Y': 'a' }, 'x'.repeat(bodyBytesMax + 1))],
      [
        'sends more than it said',
        `${answerText(200, { 'X-Y': 'a', 'Content-Length': '2000' }, 'x'.repeat(2_000))}more`,
      ],
    ] as const) {
      it(`when the peer ${what}, and what came first can be told`, async () => {
        answerAll(text);
        const error = await get().catch((caught: unknown) => caught);
        expect(error).to.be.instanceOf(PeerRequestError);
        const { fault, head } = error as PeerRequestError;
        expect([fault, head?.status, head?.headers['x-y']]).to.deep.equal(['too_large', 200, 'a']);
        await until(areEnded);
        await checkUsable();
      });
    }

    it('when the peer ends each connection at once', async () => {
      peer.onConnection = (socket) => socket.destroy();
      expect(await told(get())).to.equal('failed');
      peer.onConnection = () => {};
      await checkUsable();
    });

    it('when nobody listens there', async () => {
      const gone = await ScriptedPeer.start();
      const nobody = new PeerHttp(gone.id, 30_000, clock);
      await gone.stop();
      try {
        const ask = () => told(nobody.get({ path: '/', accept: '*/*', timeoutMs, bodyBytesMax }));
        const answers = await Promise.all(Array.from({ length: 100 }, ask));
        expect(new Set(answers)).to.deep.equal(new Set(['failed']));
        expect(clock.pending).to.equal(0);
      } finally {
        await nobody.close();
      }
    });

    for (const [what, head, more, fault] of [
      ['body', 'HTTP/1.1 200 OK\r\n\r\n', 'x'.repeat(100), 'too_large'],
      ['body in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '3\r\nabc\r\n', 'too_large'],
      ['list of headers', 'HTTP/1.1 200 OK\r\n', 'a: b\r\n', 'failed'],
      ['header', 'HTTP/1.1 200 OK\r\na: ', 'x'.repeat(100), 'failed'],
    ] as const) {
      it(`when the peer sends an endless ${what}, and then it is no longer listened to`, async () => {
        peer.onRequest = ({ socket }) => {
          socket.write(head);
          const go = () => {
            while (!socket.destroyed && socket.write(more));
          };
          socket.on('drain', go);
          go();
        };
        expect(await told(get())).to.equal(fault);
        await until(areEnded);
        await checkUsable();
      });
    }
  });

  describe('time out', () => {
    for (const [what, text] of [
      ['nothing', ''],
      ['half a status line', 'HTTP/1.'],
      ['headers without an end', 'HTTP/1.1 200 OK\r\nA: b\r\n'],
      ['less than it said', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab'],
      ['chunks without an end', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n'],
      ['103 and nothing more', 'HTTP/1.1 103 Early\r\n\r\n'],
    ] as const) {
      it(`when the peer sends ${what}`, async () => {
        peer.onRequest = ({ socket }) => void socket.write(text);
        const answer = told(get());
        await until(() => peer.requests.length === 1);
        await clock.pass(timeoutMs);
        expect(await answer).to.equal('timeout');
        // Whatever comes late must not be taken for the answer to another request.
        await until(areEnded);
        await checkUsable();
      });
    }

    it('when the answer only trickles in', async () => {
      let trickling: Socket | undefined;
      peer.onRequest = ({ socket }) => {
        trickling = socket;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n');
      };
      const answer = told(get());
      await until(() => trickling !== undefined);
      for (let i = 0; i < 10; i += 1) {
        trickling!.write('x');
        await clock.pass(timeoutMs / 10);
      }
      expect(await answer).to.equal('timeout');
      await until(areEnded);
      await checkUsable();
    });

    it('not before their time', async () => {
      const answer = told(get());
      await until(() => peer.requests.length === 1);
      await clock.pass(timeoutMs - 1);
      peer.requests[0]!.socket.write(answerText(200, {}, 'late'));
      expect(await answer).to.equal('200 late');
      expect(clock.pending).to.equal(0);
    });

    it('while they wait for their turn, and then are not sent', async () => {
      const sent = Array.from({ length: connectionsMax }, () => told(get('/sent')));
      const request = { path: '/waits', accept: '*/*', timeoutMs: timeoutMs / 2, bodyBytesMax };
      const waiting = Array.from({ length: 10 }, () => told(http.get(request)));
      await until(() => peer.requests.length === connectionsMax);
      await clock.pass(timeoutMs / 2);
      expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(['overloaded']));
      await clock.pass(timeoutMs / 2);
      expect(new Set(await Promise.all(sent))).to.deep.equal(new Set(['timeout']));
      await until(areEnded);
      await checkUsable();
      expect(peer.requests.filter(({ target }) => target === '/waits')).to.have.length(0);
    });
  });

  it('are not sent when their time was up before there was a connection', async () => {
    let timeIsUp: () => void = () => {};
    const after = (_delayMs: number, callback: () => void) => {
      timeIsUp = callback;
      return () => {};
    };
    const hurried = new PeerHttp(peer.id, 30_000, { nowMs: () => 0, monotonicMs: () => 0, after });
    try {
      answerAll(answerText(200, {}, 'a'));
      const request = { accept: '*/*', timeoutMs, bodyBytesMax };
      const late = told(hurried.get({ ...request, path: '/late' }));
      timeIsUp();
      expect(await late).to.equal('timeout');
      await until(() => peer.connections > 0);
      const next = Array.from({ length: connectionsMax }, () => told(hurried.get({ ...request, path: '/next' })));
      expect(new Set(await Promise.all(next))).to.deep.equal(new Set(['200 a']));
      expect(peer.requests.filter(({ target }) => target === '/late')).to.have.length(0);
    } finally {
      await hurried.close();
    }
  });

  describe('to a machine that takes no more connections', () => {
    let child: ChildProcess;
    let port: number;
    const fillers: Socket[] = [];

    // A process that listens and is stopped: the kernel takes connections for it until the queue is full.
    beforeEach(async () => {
      const program =
        "const s=require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},()=>console.log(s.address().port))";
      child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [line] = (await once(child.stdout!, 'data')) as [Buffer];
      port = Number(line.toString());
      child.kill('SIGSTOP');
    });

    afterEach(async () => {
      for (const filler of fillers.splice(0)) filler.destroy();
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });

    it('time out, those that got a connection that nobody accepts and those that got none', async () => {
      const stuck = new PeerHttp(`127.0.0.1:${port}`, 30_000, clock);
      try {
        const all = Array.from({ length: connectionsMax + 10 }, () =>
          told(stuck.get({ path: '/', accept: '*/*', timeoutMs, bodyBytesMax })),
        );
        await clock.pass(timeoutMs);
        expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['timeout', 'overloaded']));
        expect(clock.pending).to.equal(0);
      } finally {
        await stuck.close();
      }
    });

    it('do not keep their places once there is a connection again', async () => {
      const stuck = new PeerHttp(`127.0.0.1:${port}`, 30_000, clock);
      try {
        const ask = () => told(stuck.get({ path: '/', accept: '*/*', timeoutMs, bodyBytesMax }));
        for (let i = 0; i < 4; i += 1) fillers.push(connect({ port, host: '127.0.0.1' }).on('error', () => {}));
        const all = Array.from({ length: connectionsMax }, ask);
        await clock.pass(timeoutMs);
        expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['timeout']));
        child.kill('SIGKILL');
        await once(child, 'exit');
        // Whether refused or reset: something came of it, so that it was its turn.
        expect(await ask()).to.equal('failed');
      } finally {
        await stuck.close();
      }
    });
  });

  describe('at one time', () => {
    it(`are no more than ${connectionsMax}; the rest wait, and are answered in turn`, async () => {
      const all = Array.from({ length: 1_000 }, (_, i) => told(get(`/${i}`)));
      await until(() => peer.requests.length === connectionsMax);
      for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(peer.requests.length).to.equal(connectionsMax);
      const answer = ({ socket, target }: { socket: Socket; target: string }) =>
        void socket.write(answerText(200, {}, target));
      peer.onRequest = answer;
      for (const request of peer.requests) answer(request);
      expect(await Promise.all(all)).to.deep.equal(all.map((_, i) => `200 /${i}`));
      expect(peer.connections).to.equal(connectionsMax);
      expect(clock.pending).to.equal(0);
    });

    it('do not wait for a place that those hold whose time is up', async () => {
      const sent = Array.from({ length: connectionsMax }, () => told(get()));
      const request = { path: '/', accept: '*/*', timeoutMs: timeoutMs / 2, bodyBytesMax };
      const waiting = Array.from({ length: waitingMax }, () => told(http.get(request)));
      await until(() => peer.requests.length === connectionsMax);
      await clock.pass(timeoutMs / 2);
      expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(['overloaded']));
      const next = told(get());
      answerAll(answerText(200, {}, 'a'));
      for (const { socket } of peer.requests.slice()) socket.write(answerText(200, {}, 'a'));
      expect(await next).to.equal('200 a');
      await Promise.all(sent);
    });

    it(`may be ${waitingMax} more; whoever comes then is told at once`, async () => {
      const all = Array.from({ length: connectionsMax + waitingMax }, () => told(get()));
      expect(await told(get())).to.equal('overloaded');
      answerAll(answerText(200, {}, 'a'));
      await until(() => peer.requests.length >= connectionsMax);
      for (const { socket } of peer.requests.slice(0, connectionsMax)) socket.write(answerText(200, {}, 'a'));
      expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['200 a']));
      expect(await told(get())).to.equal('200 a');
    });
  });

  describe('when the connections are closed', () => {
    it('fail, those under way and those that wait, and nothing is left', async () => {
      const all = Array.from({ length: connectionsMax + 100 }, () => told(get()));
      await until(() => peer.requests.length === connectionsMax);
      await http.close();
      expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['failed']));
      await until(() => peer.open === 0);
      expect(clock.pending).to.equal(0);
    });

    it('fail at once', async () => {
      await http.close();
      expect(await told(get())).to.equal('failed');
      expect(peer.connections).to.equal(0);
    });

    it('leave no idle connection, and closing again does nothing', async () => {
      answerAll(answerText(200, {}, 'a'));
      await Promise.all(Array.from({ length: 10 }, () => get()));
      expect(peer.open).to.be.greaterThan(0);
      await Promise.all([http.close(), http.close()]);
      await until(() => peer.open === 0);
    });
  });
});
