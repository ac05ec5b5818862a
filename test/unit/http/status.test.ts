import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { FatalError } from '../../../src/kernel/errors.ts';
import { ask } from '../../support/http-client.ts';
import { HeldLog, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';
import { self } from '../../support/peers.ts';

describe('/health, /cluster and /metrics', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode({ partitions: 2 });
  });
  after(() => node.stop());

  it('/health/live says that the process answers', async () => {
    const answer = await ask(node, 'GET', '/health/live');
    expect([answer.status, answer.json()]).to.deep.equal([200, { status: 'live' }]);
    expect(answer.headers['content-type']).to.equal('application/json; charset=utf-8');
  });

  it('/health/ready is 200 once the node has caught up, and says where it stands', async () => {
    const answer = await ask(node, 'GET', '/health/ready');
    expect(answer.status).to.equal(200);
    expect(answer.headers).not.to.have.property('retry-after');
    const at = { position: 0, end: 0, lag: 0 };
    expect(answer.json()).to.deep.equal({
      status: 'ready',
      node: self.id,
      instance: self.instance,
      state: 'serving',
      lagMs: 0,
      logAnswers: true,
      partitions: [
        { partition: 0, ...at },
        { partition: 1, ...at },
      ],
    });
  });

  it('/cluster has this node, by its name and its URL, with its positions', async () => {
    const partition = node.partitioner(Buffer.from('k'), 2);
    await ask(node, 'PUT', '/rpc?key=k&value=v');
    const { members } = (await ask(node, 'GET', '/cluster')).json() as { members: Record<string, unknown>[] };
    expect(members).to.have.length(1);
    expect(members[0]).to.deep.include({
      id: self.id,
      url: `http://${self.id}`,
      self: true,
      state: 'serving',
      ready: true,
    });
    const partitions = members[0]!.partitions as { position: number }[];
    expect(partitions.map(({ position }) => position)).to.deep.equal([0, 1].map((p) => Number(p === partition)));
  });

  it('/metrics is Prometheus text: every line parses, every family is described once', async () => {
    const answer = await ask(node, 'GET', '/metrics');
    expect(answer.status).to.equal(200);
    expect(answer.headers['content-type']).to.equal('text/plain; version=0.0.4; charset=utf-8');
    const sample = /^[a-zA-Z_:][\w:]*(\{(\w+="([^"\\\n]|\\.)*",?)*\})? (-?[\d.]+(e[+-]?\d+)?|NaN|[+-]?Inf)$/i;
    const described = new Map<string, string>();
    for (const line of answer.text.split('\n')) {
      if (line === '') continue;
      const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line) ?? [];
      if (name !== undefined) {
        expect(described).not.to.have.key(name);
        described.set(name, type!);
      } else if (!/^# HELP \S+ .+$/.test(line)) {
        expect(line).to.match(sample);
        const family = line.replace(/[{ ].*/, '');
        const known = [...described.keys()].some((n) => family === n || family.startsWith(`${n}_`));
        expect(known, line).to.equal(true);
      }
    }
    expect(described.get('bitacora_http_requests_total')).to.equal('counter');
    expect(described.get('bitacora_position')).to.equal('gauge');
    expect(answer.text).to.include('\nbitacora_ready 1\n').and.include('\nprocess_cpu_seconds_total ');
  });
});

describe('bitacora_http_requests_total', () => {
  let node: TestNode;
  beforeEach(async () => {
    node = await startReadyNode();
  });
  afterEach(() => node.stop());

  const counts = async (): Promise<Record<string, number>> => {
    const lines = (await node.metrics.text()).matchAll(/^bitacora_http_requests_total\{(.*)\} (\d+)$/gm);
    return Object.fromEntries(
      [...lines].map(([, labels, value]) => {
        const of = Object.fromEntries([...labels!.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, text]) => [name, text]));
        return [`${of.method} ${of.route} ${of.status}`, Number(value)];
      }),
    );
  };

  it('counts every answer once, by route, method and status', async () => {
    const requests: readonly (readonly [
      method: string,
      path: string,
      counted: string,
      headers?: Record<string, string>,
    ])[] = [
      ['PUT', '/rpc?key=k&value=v', 'PUT /rpc 200'],
      ['POST', '/rpc?key=k&value=v', 'POST /rpc 200'],
      ['PUT', '/rpc?value=v', 'PUT /rpc 400'],
      ['GET', '/rpc?key=k', 'GET /rpc 200'],
      ['GET', '/rpc?key=k', 'GET /rpc 200'],
      ['GET', '/rpc?key=k&consistency=linearizable', 'GET /rpc 200'],
      ['HEAD', '/rpc?key=k', 'HEAD /rpc 200'],
      ['GET', '/rpc?key=none', 'GET /rpc 404'],
      ['GET', '/rpc', 'GET /rpc 400'],
      ['GET', '/rpc/cluster?key=k', 'GET /rpc/cluster 200'],
      ['DELETE', '/rpc?key=k', 'DELETE /rpc 200'],
      ['PATCH', '/rpc', 'other /rpc 405'],
      ['GET', '/health/ready', 'GET /health/ready 200'],
      ['HEAD', '/metrics', 'HEAD /metrics 200'],
      ['GET', '/nowhere', 'GET other 404'],
      ['PROPFIND', '/nowhere/else', 'other other 404'],
      ['GET', `/${'x'.repeat(213_000)}`, 'GET other 414'],
      ['GET', '/rpc?key=k', 'GET /rpc 417', { Expect: 'tea' }],
      ['PUT', '/rpc?key=k', 'PUT other 417', { Expect: 'tea' }],
      ['POST', '/rpc/batch', 'POST /rpc/batch 413', { Expect: '100-continue', 'Content-Length': '1048577' }],
    ];
    const expected: Record<string, number> = {};
    for (const [method, path, counted, headers] of requests) {
      await ask(node, method, path, headers === undefined ? {} : { headers });
      expected[counted] = (expected[counted] ?? 0) + 1;
    }
    expect(await counts()).to.deep.equal(expected);
  });

  it('does not grow by what clients make up', async () => {
    for (let i = 0; i < 50; i += 1) await ask(node, i % 2 === 0 ? 'GET' : 'PURGE', `/made-up-${i}?key=${i}`);
    expect(await counts()).to.deep.equal({ 'GET other 404': 25, 'other other 404': 25 });
  });
});

describe('/health/ready while the node catches up', () => {
  it('is 503 with the progress, and 200 when everything was read; liveness stays as it is', async () => {
    const log = new HeldLog('test');
    await log.create({ partitions: 1, maxMessageBytes: 10_000 });
    for (let i = 0; i < 8; i += 1) log.appendForeign(0, Buffer.from(`k${i}`), Buffer.from('v'), 1);
    log.holdAfter(2);
    const node = await startNode({ log });
    try {
      await until(() => node.replica.position(0) === 2);
      const answer = await ask(node, 'GET', '/health/ready');
      expect(answer.status).to.equal(503);
      expect(answer.headers['retry-after']).to.equal('1');
      const { progress, ...rest } = answer.json();
      expect(rest).to.include({ status: 'not ready', state: 'catching-up', logAnswers: true });
      expect(rest.reason).to.be.a('string').and.not.equal('');
      expect(rest.partitions).to.deep.equal([{ partition: 0, position: 2, end: 8, lag: 6 }]);
      expect(progress).to.include({ offsetsDone: 2, offsetsTotal: 8, percent: 25 });
      expect(progress).to.have.property('offsetsPerSecond').that.is.a('number');
      const head = await ask(node, 'HEAD', '/health/ready');
      expect([head.status, head.body.length]).to.deep.equal([503, 0]);
      expect((await ask(node, 'GET', '/health/live')).status).to.equal(200);

      log.release();
      await until(async () => (await ask(node, 'GET', '/health/ready')).status === 200);
      expect((await ask(node, 'GET', '/health/ready')).json()).not.to.have.property('progress');
    } finally {
      await node.stop();
    }
  });
});

describe('a server that goes down', () => {
  let node: TestNode;
  beforeEach(async () => {
    node = await startReadyNode();
  });
  afterEach(() => node.stop());

  it('answers what is in flight, closes what is idle, and takes no more', async () => {
    await ask(node, 'PUT', '/rpc?key=k&value=old');
    const idle = await HttpSocket.open(node);
    idle.send('GET /rpc?key=k HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await idle.answer()).headers.connection).to.equal('keep-alive');

    node.log.holdAfter(0);
    const busy = await HttpSocket.open(node);
    busy.send('PUT /rpc?key=k&value=new HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(async () => (await node.log.ends())[0]!.end === 2);
    let drained = false;
    const draining = node.http.drain().then(() => {
      drained = true;
    });

    await idle.closed();
    expect(idle.rest).to.have.length(0);
    const refusal = await ask(node, 'GET', '/health/live').catch((error: NodeJS.ErrnoException) => error.code);
    expect(refusal).to.equal('ECONNREFUSED');
    expect(drained).to.equal(false);

    node.log.release();
    const { status, body } = await busy.answer();
    expect([status, JSON.parse(body).offset]).to.deep.equal([200, 1]);
    await busy.closed();
    await draining;
  });

  it('lets a client that is slow to read have its answers whole', async () => {
    const valueBytes = 8 * 1024 * 1024;
    const requests = 6;
    const roomy = await startReadyNode({ valueBytesMax: valueBytes });
    await ask(roomy, 'PUT', '/rpc?key=k', { body: Buffer.alloc(valueBytes, 'w') });
    const client = connect({ host: '127.0.0.1', port: roomy.port });
    await once(client, 'connect');
    client.pause();
    const request = 'GET /rpc?key=k HTTP/1.1\r\nHost: x\r\nAccept: application/octet-stream\r\n\r\n';
    client.write(request.repeat(requests));
    const counted = `bitacora_http_requests_total{route="/rpc",method="GET",status="200"} ${requests}\n`;
    await until(async () => (await roomy.metrics.text()).includes(counted));
    const draining = roomy.http.drain();
    const value = 'w'.charCodeAt(0);
    let bodyBytes = 0;
    client.on('data', (chunk: Buffer) => {
      // No header of an answer has a "w".
      for (const byte of chunk) if (byte === value) bodyBytes += 1;
    });
    client.resume();
    await once(client, 'close');
    expect(bodyBytes).to.equal(requests * valueBytes);
    await draining;
    await roomy.stop();
  });

  it('does not wait for a connection on which nothing was ever sent', async () => {
    const silent = await HttpSocket.open(node);
    await ask(node, 'GET', '/health/live');
    const draining = node.http.drain();
    await silent.closed();
    // A 408 would mean that it was kept until its headers were late.
    expect(silent.rest.toString()).to.equal('');
    await draining;
  });

  it('says on an open connection that it goes down, and that it is not ready', async () => {
    node.log.holdAfter(0);
    const socket = await HttpSocket.open(node);
    socket.send('PUT /rpc?key=k&value=v HTTP/1.1\r\nHost: x\r\n\r\nGET /health/ready HTTP/1.1\r\nHo');
    await until(async () => (await node.log.ends())[0]!.end === 1);
    const draining = node.http.drain();
    socket.send('st: x\r\n\r\n');
    node.log.release();
    expect((await socket.answer()).status).to.equal(200);
    const { status, headers, body } = await socket.answer();
    expect(status).to.equal(503);
    expect(headers.connection).to.equal('close');
    expect(JSON.parse(body)).to.include({ status: 'not ready', state: 'draining' });
    await socket.closed();
    await draining;
  });

  it('says that it is about to go as soon as it is told so, and takes requests as before', async () => {
    node.http.retire();
    const ready = await ask(node, 'GET', '/health/ready');
    expect(ready.status).to.equal(503);
    expect(JSON.parse(ready.body.toString())).to.include({ status: 'not ready', state: 'draining' });
    const { members } = JSON.parse((await ask(node, 'GET', '/cluster')).body.toString());
    expect(members[0]).to.include({ self: true, state: 'draining', ready: false });
    expect((await ask(node, 'PUT', '/rpc?key=k&value=v')).status).to.equal(200);
  });

  it('lets go of a connection that never ends its request', async () => {
    const socket = await HttpSocket.open(node);
    socket.send('PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na');
    await ask(node, 'GET', '/health/live');
    await node.http.stop();
    await socket.closed();
  });
});

describe('a server that cannot listen', () => {
  it('says in one line that the port is in use, and which option changes it', async () => {
    const node = await startReadyNode();
    try {
      const taken = await startNode({ port: node.port }).catch((error: unknown) => error);
      expect(taken).to.be.instanceOf(FatalError);
      expect((taken as FatalError).message).to.match(/^port \d+ is in use: set API_PORT to another one$/);
    } finally {
      await node.stop();
    }
  });

  it('says in one line that the address is not its own', async () => {
    const error = await startNode({ host: '192.0.2.1' }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(FatalError);
    expect((error as FatalError).message).to.match(
      /^cannot listen on 192\.0\.2\.1:0 \(.+\): set API_HOST or API_PORT$/,
    );
  });
});
