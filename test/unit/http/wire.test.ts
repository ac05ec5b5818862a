import { expect } from 'chai';
import { errorTable } from '../../../src/kernel/errors.ts';
import { ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { HttpSocket, type RawAnswer } from '../../support/http-socket.ts';

/** As the server has them: a key of the greatest length percent-encoded, with room for the rest. */
const targetBytesMax = 65_536 * 3 + 16 * 1024;
const headerBytesMax = targetBytesMax + 16 * 1024;

describe('the HTTP connection', () => {
  let node: TestNode;
  let socket: HttpSocket;
  before(async () => {
    node = await startReadyNode();
    await ask(node, 'PUT', '/rpc?key=k&value=v');
  });
  after(() => node.stop());
  beforeEach(async () => {
    socket = await HttpSocket.open(node);
  });
  afterEach(() => socket.destroy());

  const exchange = async (bytes: string | Uint8Array): Promise<RawAnswer> => {
    socket.send(bytes);
    return socket.answer();
  };
  const get = (target: string, fields = ''): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
  const problem = ({ status, headers, body }: RawAnswer, code: keyof typeof errorTable): void => {
    expect(headers['content-type']).to.equal('application/problem+json');
    expect(headers['content-length']).to.equal(String(Buffer.byteLength(body)));
    expect(JSON.parse(body)).to.include({ type: 'about:blank', code, status, title: errorTable[code].title });
    expect(status).to.equal(errorTable[code].status);
  };

  const malformed: Readonly<Record<string, string | Uint8Array>> = {
    'no HTTP': 'hello\r\n\r\n',
    'another version': 'GET /rpc?key=k HTTP/9.9\r\nHost: x\r\n\r\n',
    'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a TLS greeting': Buffer.from('16030100a5010000a10303', 'hex'),
    'an unknown method': 'FETCH /rpc?key=k HTTP/1.1\r\nHost: x\r\n\r\n',
    'a method in small letters': 'get /rpc?key=k HTTP/1.1\r\nHost: x\r\n\r\n',
    'a space in the target': get('/rpc?key=a b'),
    'a null in the target': get('/rpc?key=a\0'),
    'a fragment, which a client keeps to itself': get('/rpc?key=k#f'),
    'a fragment behind the path': get('/rpc#k'),
    'no host': 'GET /rpc?key=k HTTP/1.1\r\n\r\n',
    'a target that is no path': get('rpc?key=k'),
    'a field without a colon': get('/rpc?key=k', 'nonsense\r\n'),
    'a field with a space before its colon': get('/rpc?key=k', 'Accept : text/plain\r\n'),
    'a null in a field': get('/rpc?key=k', 'Accept: a\0b\r\n'),
    'a body of two lengths': 'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'a body of no length': 'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n',
    'a body of negative length': 'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    'a body both chunked and of a length':
      'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
    'a bad chunk': 'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    'an unknown transfer encoding': 'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\nabc',
  };
  for (const [what, bytes] of Object.entries(malformed)) {
    it(`answers ${what} with 400, and does nothing else`, async () => {
      const before = node.log.appends;
      socket.send(bytes);
      socket.end();
      problem(await socket.answer(), 'request_malformed');
      await socket.closed();
      expect(socket.rest.toString()).to.equal('');
      expect(node.log.appends).to.equal(before);
      expect((await ask(node, 'GET', '/rpc?key=k')).json().value).to.equal('v');
    });
  }

  it('is closed after what cannot be parsed, because nobody knows where the next request begins', async () => {
    const answer = await exchange(`hello\r\n\r\n${get('/rpc?key=k')}`);
    problem(answer, 'request_malformed');
    expect(answer.headers.connection).to.equal('close');
    await socket.closed();
    expect(socket.rest.toString()).to.equal('');
  });

  it('says 100 Continue to a request behind another one in its turn, and never inside of its answer', async () => {
    const late = get('/rpc?key=k&consistency=linearizable');
    const keys = '{"keys":["k"]}';
    const fields = 'Host: x\r\nAccept: text/plain\r\nExpect: 100-continue\r\n';
    for (const [head, sent, body] of [
      ['GET /rpc?key=k HTTP/1.1\r\n', '', 'v'],
      [`POST /rpc/batch HTTP/1.1\r\nContent-Length: ${keys.length}\r\n`, keys, '"value":"v"'],
      ['PUT /rpc?key=other HTTP/1.1\r\nContent-Length: 1\r\n', 'w', '"key":"other"'],
    ] as const) {
      socket.send(`${late}${head}${fields}\r\n`);
      expect((await socket.answer()).status).to.equal(200);
      expect((await socket.answer()).status).to.equal(100);
      socket.send(sent);
      const answer = await socket.answer();
      expect(answer).to.deep.include({ status: 200 });
      expect(answer.body).to.include(body);
    }
    const many = 5_000;
    socket.send(late + `GET /rpc?key=k HTTP/1.1\r\n${fields}\r\n`.repeat(many));
    expect((await socket.answer()).status).to.equal(200);
    for (let i = 0; i < many; i += 1) {
      expect((await socket.answer()).status).to.equal(100);
      expect((await socket.answer()).body).to.equal('v');
    }
  });

  it('answers an expectation that is not known with 417, and carries nothing out', async () => {
    const before = node.log.appends;
    problem(
      await exchange('PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx'),
      'expectation_unknown',
    );
    expect(node.log.appends).to.equal(before);
  });

  it('never answers a write under way with the error of what was sent behind it', async () => {
    let settle: (() => void) | undefined;
    node.log.appendInstead = ({ timestampMs }) =>
      new Promise((resolve) => {
        settle = () => resolve({ partition: 0, offset: 0, timestampMs });
      });
    try {
      socket.send('PUT /rpc?key=k&value=v HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n');
      await until(() => settle !== undefined);
      await ask(node, 'GET', '/health/live');
    } finally {
      settle?.();
      node.log.appendInstead = undefined;
    }
    // No answer at all is as good: the client then knows that it does not know.
    const first = await socket.answer().catch(() => undefined);
    expect(first?.status ?? 'closed').to.be.oneOf([200, 'closed']);
  });

  it('takes a target in absolute form for the same in origin form (RFC 9112, 3.2.2)', async () => {
    for (const origin of ['http://x', 'HTTP://x:80', 'https://user@x']) {
      expect(JSON.parse((await exchange(get(`${origin}/rpc?key=k`))).body).value).to.equal('v');
      expect((await exchange(get(`${origin}/health/live`))).status).to.equal(200);
      problem(await exchange(get(`${origin}//rpc?key=k`)), 'path_not_found');
      problem(await exchange(get(origin)), 'path_not_found');
      const written = await exchange(`PUT ${origin}/rpc?key=absolute&value=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(written.status).to.equal(200);
    }
  });

  it('takes a target as long as the longest key needs, and not one byte more', async () => {
    const fill = targetBytesMax - '/rpc?key='.length;
    problem(await exchange(get(`/rpc?key=${'k'.repeat(fill)}`)), 'key_too_long');
    problem(await exchange(get(`/rpc?key=${'k'.repeat(fill + 1)}`)), 'uri_too_long');
    expect((await exchange(get('/rpc?key=k'))).status).to.equal(200);
  });

  it('takes a target that is too long on no path and for no method', async () => {
    const long = 'x'.repeat(targetBytesMax);
    for (const request of ['PUT /rpc?key=', 'GET /metrics?', 'GET /', 'DELETE /rpc?key=']) {
      problem(await exchange(`${request}${long} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`), 'uri_too_long');
    }
  });

  for (const [what, request] of [
    ['target', get(`/${'x'.repeat(headerBytesMax)}`)],
    ['field', get('/rpc?key=k', `Accept: ${'x'.repeat(headerBytesMax)}\r\n`)],
    ['fields together', get('/rpc?key=k', 'A: xxxxxxxxxxxxxxxx\r\n'.repeat(headerBytesMax / 16))],
  ] as const) {
    it(`answers 431 to headers that are too large (${what}), and closes`, async () => {
      const answer = await exchange(request);
      problem(answer, 'headers_too_large');
      expect(answer.headers.connection).to.equal('close');
      await socket.closed();
    });
  }

  it('is kept for the next request, after an error too', async () => {
    expect((await exchange(get('/rpc?key=k'))).headers.connection).not.to.equal('close');
    problem(await exchange(get('/rpc')), 'key_missing');
    problem(await exchange(get('/nowhere')), 'path_not_found');
    problem(await exchange('PATCH /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab'), 'method_not_allowed');
    expect((await exchange(get('/rpc?key=k'))).status).to.equal(200);
  });

  it('is closed when the client says so', async () => {
    expect((await exchange(get('/rpc?key=k', 'Connection: close\r\n'))).headers.connection).to.equal('close');
    await socket.closed();
  });

  it('answers pipelined requests in their order, however they are cut', async () => {
    const requests = Buffer.from(
      get('/rpc?key=k') +
        'PUT /rpc?key=p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none' +
        get('/rpc?key=p&consistency=linearizable') +
        'PUT /rpc?key=p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n' +
        get('/health/live') +
        'DELETE /rpc?key=never HTTP/1.1\r\nHost: x\r\n\r\n' +
        get('/nowhere'),
    );
    for (const size of [requests.length, 100, 7]) {
      const pipe = await HttpSocket.open(node);
      for (let at = 0; at < requests.length; at += size) {
        pipe.send(requests.subarray(at, at + size));
        await ask(node, 'GET', '/health/live');
      }
      const answers: RawAnswer[] = [];
      for (let i = 0; i < 7; i += 1) answers.push(await pipe.answer());
      expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200, 200, 200, 404]);
      const bodies = answers.map(({ body }) => JSON.parse(body));
      expect(bodies[0]).to.include({ key: 'k', value: 'v' });
      expect(bodies[1]).to.include({ key: 'p' }).and.not.have.property('value');
      expect(bodies[2]).to.include({ key: 'p' }).and.have.property('value');
      expect(bodies[4]).to.deep.equal({ status: 'live' });
      expect(bodies[5]).to.include({ key: 'never' });
      expect((await ask(node, 'GET', '/rpc?key=p')).json().value).to.equal('two');
      pipe.destroy();
    }
  });

  it('answers a pipelined request whose predecessor failed', async () => {
    socket.send(get('/rpc?key=') + get('/rpc?key=k'));
    problem(await socket.answer(), 'key_empty');
    expect((await socket.answer()).status).to.equal(200);
  });

  it('answers HEAD on every path that GET is answered on, without a body', async () => {
    const paths = ['/rpc?key=k', '/rpc?key=none', '/rpc', '/rpc/cluster?key=k', '/rpc/cluster?key=none'];
    const pages = ['/health/live', '/health/ready', '/metrics', '/cluster', '/openapi.json', '/nowhere'];
    for (const path of [...paths, ...pages]) {
      const { status, headers } = await ask(node, 'GET', path);
      socket.send(`HEAD ${path} HTTP/1.1\r\nHost: x\r\n\r\n${get('/health/live')}`);
      const head = await socket.answer({ toHead: true });
      expect(head.status, path).to.equal(status);
      expect(head.headers['content-type'], path).to.equal(headers['content-type']);
      expect(JSON.parse((await socket.answer()).body)).to.deep.equal({ status: 'live' });
    }
  });

  it('serves HTTP/1.0, which names no host', async () => {
    const answer = await exchange('GET /rpc?key=k HTTP/1.0\r\n\r\n');
    expect(answer.status).to.equal(200);
    await socket.closed();
  });

  it('is closed without an answer when it would have to be a tunnel', async () => {
    socket.send('CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await socket.closed();
    expect(socket.rest).to.have.length(0);
  });

  it('stays HTTP/1.1 for who asks for an upgrade', async () => {
    const answer = await exchange(get('/rpc?key=k', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'));
    expect(answer.status).to.equal(200);
  });
});
