import { expect } from 'chai';
import { ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

const valueBytesMax = 1000;

describe('the limit of values', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode({ valueBytesMax });
  });
  after(() => node.stop());

  const chunked = { 'Transfer-Encoding': 'chunked' };

  for (const [how, headers] of [
    ['its length announced', {}],
    ['its length not announced', chunked],
  ] as const) {
    it(`a body may have as many bytes, and not one more (${how})`, async () => {
      const most = Buffer.alloc(valueBytesMax, 'x');
      expect((await ask(node, 'PUT', '/rpc?key=most', { body: most, headers: { ...headers } })).status).to.equal(200);
      expect((await ask(node, 'GET', '/rpc?key=most')).json().value).to.equal(most.toString());

      const before = node.log.appends;
      const over = Buffer.alloc(valueBytesMax + 1, 'x');
      const answer = await ask(node, 'PUT', '/rpc?key=over', { body: over, headers: { ...headers } });
      expect([answer.status, answer.json().code]).to.deep.equal([413, 'value_too_large']);
      expect(answer.json().detail).to.include(String(valueBytesMax));
      expect(answer.headers).to.include({ 'content-type': 'application/problem+json', connection: 'close' });
      expect(node.log.appends).to.equal(before);
      expect((await ask(node, 'GET', '/rpc?key=over')).status).to.equal(404);
    });
  }

  it('an answer to one that has more ends the connection, which holds the rest of it', async () => {
    const over = 'x'.repeat(valueBytesMax + 1);
    for (const rest of [
      `Content-Length: ${over.length}\r\n\r\n${over}`,
      `Transfer-Encoding: chunked\r\n\r\n${over.length.toString(16)}\r\n${over}\r\n0\r\n\r\n`,
    ]) {
      const socket = await HttpSocket.open(node);
      socket.send(`PUT /rpc?key=over HTTP/1.1\r\nHost: x\r\n${rest}`);
      const { status, headers } = await socket.answer();
      expect([status, headers.connection]).to.deep.equal([413, 'close']);
      await socket.closed();
      expect(socket.rest).to.have.length(0);
    }
  });

  const put = 'PUT /rpc?key=k HTTP/1.1\r\nHost: x\r\n';
  const chunkOver = `${(valueBytesMax + 1).toString(16)}\r\n${'x'.repeat(valueBytesMax + 1)}\r\n`;
  for (const [what, bytes] of [
    ['announced, and nothing of it sent', `${put}Content-Length: 100000000\r\n\r\n`],
    ['announced, and a little of it sent', `${put}Content-Length: 100000000\r\n\r\nabc`],
    ['not announced, and not at its end', `${put}Transfer-Encoding: chunked\r\n\r\n${chunkOver}`],
  ] as const) {
    it(`one that has more is not read to its end (${what})`, async () => {
      const socket = await HttpSocket.open(node);
      socket.send(bytes);
      const { status, headers, body } = await socket.answer();
      expect([status, JSON.parse(body).code]).to.deep.equal([413, 'value_too_large']);
      expect(headers.connection).to.equal('close');
      await socket.closed();
      expect(socket.rest).to.have.length(0);
    });
  }

  it('the parameter may have as many bytes, and not one more', async () => {
    expect((await ask(node, 'PUT', `/rpc?key=p&value=${'%00'.repeat(valueBytesMax)}`)).status).to.equal(200);
    const before = node.log.appends;
    const answer = await ask(node, 'PUT', `/rpc?key=p&value=${'x'.repeat(valueBytesMax + 1)}`);
    expect([answer.status, answer.json().code]).to.deep.equal([413, 'value_too_large']);
    expect(node.log.appends).to.equal(before);
  });

  describe('Expect: 100-continue', () => {
    const put = (length: number): string =>
      `PUT /rpc?key=asked HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;

    it('is told to go on with a value that may be taken', async () => {
      const socket = await HttpSocket.open(node);
      socket.send(put(3));
      expect((await socket.answer()).status).to.equal(100);
      socket.send('abc');
      expect((await socket.answer()).status).to.equal(200);
      expect((await ask(node, 'GET', '/rpc?key=asked')).json().value).to.equal('abc');
      socket.destroy();
    });

    it('is told to stop before the body of one that is too large', async () => {
      const socket = await HttpSocket.open(node);
      socket.send(put(valueBytesMax + 1));
      const { status, headers, body } = await socket.answer();
      expect([status, JSON.parse(body).code]).to.deep.equal([413, 'value_too_large']);
      expect(headers.connection).to.equal('close');
      await socket.closed();
      expect(socket.rest).to.have.length(0);
    });

    it('holds for a value of just the limit', async () => {
      const socket = await HttpSocket.open(node);
      socket.send(put(valueBytesMax));
      expect((await socket.answer()).status).to.equal(100);
      socket.destroy();
    });
  });

  for (const encoding of ['gzip', 'br', 'deflate', 'zstd', 'gzip, identity', 'no-such']) {
    it(`no body is unpacked (Content-Encoding: ${encoding}), and the connection goes on`, async () => {
      const before = node.log.appends;
      const socket = await HttpSocket.open(node);
      socket.send(
        `PUT /rpc?key=e HTTP/1.1\r\nHost: x\r\nContent-Encoding: ${encoding}\r\nContent-Length: 3\r\n\r\nabc` +
          'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n',
      );
      const { status, headers, body } = await socket.answer();
      expect([status, JSON.parse(body).code]).to.deep.equal([415, 'content_encoding_unsupported']);
      expect(headers['content-type']).to.equal('application/problem+json');
      expect((await socket.answer()).status).to.equal(200);
      expect(node.log.appends).to.equal(before);
      socket.destroy();
    });
  }

  it('Content-Encoding: identity says nothing', async () => {
    const headers = { 'Content-Encoding': 'Identity' };
    expect((await ask(node, 'PUT', '/rpc?key=i', { body: 'v', headers })).status).to.equal(200);
  });

  it('a body that ends before its length is no value', async () => {
    const before = node.log.appends;
    const socket = await HttpSocket.open(node);
    socket.send('PUT /rpc?key=cut HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
    socket.end();
    await socket.closed();
    await ask(node, 'GET', '/health/live');
    expect(node.log.appends).to.equal(before);
    expect((await ask(node, 'GET', '/rpc?key=cut')).status).to.equal(404);
  });
});
