import { expect } from 'chai';
import { ask } from '../../support/http-client.ts';
import { HeldLog, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { notFoundAnswer, ScriptedPeer, valueAnswer } from '../../support/scripted-peer.ts';

describe('a read that a peer answers', () => {
  let peer: ScriptedPeer;
  let node: TestNode;

  beforeEach(async () => {
    peer = await ScriptedPeer.start();
    const log = await logOf(['a', 'k', 'b']);
    log.holdAfter(1);
    node = await startNode({ log, peers: [peer.id] });
    await until(() => node.replica.position(0) === 1);
    const headers = { 'Bitacora-Content-Type': 'text/x' };
    const text = valueAnswer('v', { position: 3, offset: 1, expiresAtMs: 4_000_000_000_000, headers });
    peer.onRequest = ({ socket }) => void socket.write(text);
  });

  afterEach(async () => {
    await node.stop();
    await peer.stop();
  });

  it('says so, and has the peer’s position and the version', async () => {
    const answer = await ask(node, 'GET', '/rpc?key=k');
    expect(answer.status).to.equal(200);
    const version = { partition: 0, offset: 1, timestamp: 1, expiresAt: 4_000_000_000_000, contentType: 'text/x' };
    expect(answer.json()).to.deep.equal({ key: 'k', value: 'v', ...version, source: 'peer' });
    expect(answer.headers).to.include({
      'bitacora-source': 'peer',
      'bitacora-position': '0:3',
      'bitacora-partition': '0',
      'bitacora-offset': '1',
      'bitacora-timestamp': '1',
      'bitacora-expires-at': '4000000000000',
      'bitacora-content-type': 'text/x',
      etag: '"0-1-1-json-peer"',
      'content-length': String(answer.body.length),
    });
  });

  it('answers HEAD with the headers of GET and no body', async () => {
    const [full, head] = [await ask(node, 'GET', '/rpc?key=k'), await ask(node, 'HEAD', '/rpc?key=k')];
    expect([head.status, head.body.length]).to.deep.equal([200, 0]);
    expect({ ...head.headers, date: '' }).to.deep.equal({ ...full.headers, date: '' });
  });

  for (const [accept, etag] of [
    ['application/octet-stream', '"0-1-1-bytes"'],
    ['text/plain', '"0-1-1-text"'],
  ] as const) {
    it(`gives the raw value as ${accept}`, async () => {
      const answer = await ask(node, 'GET', '/rpc?key=k', { headers: { Accept: accept } });
      expect([answer.status, answer.text, answer.headers['content-type']]).to.deep.equal([200, 'v', accept]);
      expect(answer.headers).to.include({ etag, 'bitacora-source': 'peer', 'bitacora-position': '0:3' });
      const again = { Accept: accept, 'If-None-Match': etag };
      expect((await ask(node, 'GET', '/rpc?key=k', { headers: again })).status).to.equal(304);
    });
  }

  it('gives bytes that are no text as they are', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    peer.onRequest = ({ socket }) => {
      const [head] = valueAnswer('', { position: 3, offset: 1, headers: { 'Content-Length': '256' } }).split(
        '\r\n\r\n',
      );
      socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), bytes]));
    };
    const raw = await ask(node, 'GET', '/rpc?key=%00%ff', { headers: { Accept: 'application/octet-stream' } });
    expect(raw.body).to.deep.equal(bytes);
    expect((await ask(node, 'GET', '/rpc?key=%00%ff')).json()).to.include({
      encoding: 'base64',
      value: bytes.toString('base64'),
    });
  });

  it('gives back the position, with which a session reads on', async () => {
    const { headers } = await ask(node, 'GET', '/rpc?key=k');
    const position = String(headers['bitacora-position']);
    const next = ask(node, 'GET', '/rpc?key=b&consistency=session', { headers: { 'Bitacora-Position': position } });
    node.log.release();
    expect((await next).json()).to.include({ value: 'b', source: 'log' });
  });

  it('is 404 with the peer’s position when the peer has nothing', async () => {
    peer.onRequest = ({ socket }) => void socket.write(notFoundAnswer({ position: 3 }));
    const answer = await ask(node, 'GET', '/rpc?key=none');
    expect([answer.status, answer.json().code]).to.deep.equal([404, 'key_not_found']);
    expect(answer.headers).to.include({ 'bitacora-position': '0:3', 'bitacora-partition': '0' });
  });

  it('is 503 when the peer cannot tell', async () => {
    peer.onRequest = ({ socket }) => void socket.write('HTTP/1.1 503 S\r\nContent-Length: 0\r\n\r\n');
    const answer = await ask(node, 'GET', '/rpc?key=none');
    expect([answer.status, answer.json().code, answer.headers['retry-after']]).to.deep.equal([
      503,
      'not_caught_up',
      '1',
    ]);
  });

  it('does not let a peer write headers of its own', async () => {
    const headers = { 'Bitacora-Content-Type': 'x\x01\xe9', 'Set-Cookie': 'a=b', 'Bitacora-Source': 'log' };
    const text = valueAnswer('v', {
      position: 3,
      offset: 1,
      headers: { ...headers, 'Bitacora-Content-Type': 'x\xe9' },
    });
    peer.onRequest = ({ socket }) => void socket.write(text, 'latin1');
    const answer = await ask(node, 'GET', '/rpc?key=k');
    expect(answer.headers).to.include({ 'bitacora-content-type': 'x?', 'bitacora-source': 'peer' });
    expect(answer.headers).to.not.have.property('set-cookie');
  });

  it('does not happen at /rpc/cluster, which asks nobody and says how far this node is', async () => {
    for (const [key, status] of [
      ['a', 200],
      ['k', 404],
      ['none', 404],
    ] as const) {
      for (const method of ['GET', 'HEAD']) {
        const { headers, ...answer } = await ask(node, method, `/rpc/cluster?key=${key}`);
        expect(answer.status).to.equal(status);
        expect(headers).to.include({
          'bitacora-caught-up': 'false',
          'bitacora-topic': '-/test',
          'bitacora-position': '0:1',
        });
      }
    }
    node.log.release();
    await until(() => node.replica.isCaughtUp(0));
    const { headers } = await ask(node, 'GET', '/rpc/cluster?key=none');
    expect(headers).to.include({ 'bitacora-caught-up': 'true', 'bitacora-position': '0:3' });
    expect(peer.requests).to.have.length(0);
  });
});

describe('two nodes of one log', () => {
  const keys = Array.from({ length: 50 }, (_, i) => `key ${i} ü%/+`);
  let ahead: TestNode;
  let behind: TestNode;

  beforeEach(async () => {
    const [log, held] = [await logOf(keys), await logOf(keys)];
    for (const copy of [log, held]) copy.appendForeign(0, Buffer.from(keys[0]!), null, 2);
    ahead = await startReadyNode({ log });
    held.holdAfter(10);
    behind = await startNode({ log: held, peers: [`127.0.0.1:${ahead.port}`] });
    await until(() => behind.replica.position(0) === 10);
  });

  afterEach(async () => {
    await behind.stop();
    await ahead.stop();
  });

  const pathOf = (key: string) => `/rpc?key=${encodeURIComponent(key)}`;

  it('answer alike, though one has read a fifth of it', async () => {
    for (const key of keys.slice(1)) {
      const [here, there] = await Promise.all([ask(behind, 'GET', pathOf(key)), ask(ahead, 'GET', pathOf(key))]);
      const source = keys.indexOf(key) < 10 ? 'log' : 'peer';
      expect(here.json()).to.deep.equal({ ...there.json(), source });
      // A strong validator is the same exactly where the body is.
      expect(here.headers.etag === there.headers.etag).to.equal(here.text === there.text);
      const raw = { headers: { Accept: 'application/octet-stream' } };
      const [bytes, same] = [await ask(behind, 'GET', pathOf(key), raw), await ask(ahead, 'GET', pathOf(key), raw)];
      expect([bytes.text, bytes.headers.etag]).to.deep.equal([same.text, same.headers.etag]);
    }
    const none = await ask(behind, 'GET', '/rpc?key=none');
    expect([none.status, none.headers['bitacora-position']]).to.deep.equal([404, `0:${keys.length + 1}`]);
  });

  it('answer alike in what the log has once both have read it', async () => {
    expect((await ask(behind, 'GET', pathOf(keys[20]!))).json().source).to.equal('peer');
    behind.log.release();
    await until(() => behind.replica.isCaughtUp(0));
    expect((await ask(behind, 'GET', pathOf(keys[20]!))).json().source).to.equal('log');
    expect((await ask(behind, 'GET', pathOf(keys[0]!))).status).to.equal(404);
  });

  it('do not ask each other in circles', async () => {
    const both = await startNode({ log: await logOf([]), peers: [`127.0.0.1:${behind.port}`] });
    try {
      await until(() => both.replica.isCaughtUp(0));
      const requests = async (node: TestNode) =>
        /^bitacora_peer_requests_total\{outcome="answered"\} (\d+)$/m.exec(await node.metrics.text())?.[1];
      const answer = await ask(both, 'GET', pathOf(keys[20]!));
      expect(answer.status).to.equal(404);
      expect([await requests(both), await requests(behind)]).to.deep.equal(['1', '0']);
    } finally {
      await both.stop();
    }
  });

  it('say 503 of what one has not read when the other is gone', async () => {
    await ahead.stop();
    const answer = await ask(behind, 'GET', pathOf(keys[20]!));
    expect([answer.status, answer.json().code]).to.deep.equal([503, 'not_caught_up']);
    expect((await ask(behind, 'GET', pathOf(keys[5]!))).status).to.equal(200);
  });
});

/** A log whose records are the keys, each with itself as its value. */
async function logOf(keys: readonly string[]): Promise<HeldLog> {
  const log = new HeldLog('test');
  await log.create({ partitions: 1, maxMessageBytes: 10_000 });
  for (const key of keys) log.appendForeign(0, Buffer.from(key), Buffer.from(key), 1);
  return log;
}
