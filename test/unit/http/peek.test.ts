import { expect } from 'chai';
import { ask } from '../../support/http-client.ts';
import { HeldLog, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';

describe('GET /rpc/cluster', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
    await ask(node, 'PUT', '/rpc?key=k&value=v');
  });
  after(() => node.stop());

  it('answers what this node has, as /rpc does, and by what to weigh it', async () => {
    const [peek, read] = [await ask(node, 'GET', '/rpc/cluster?key=k'), await ask(node, 'GET', '/rpc?key=k')];
    expect(peek.status).to.equal(200);
    expect(peek.json()).to.deep.equal(read.json());
    const weight = { 'bitacora-caught-up': 'true', 'bitacora-topic': '-/test' };
    expect({ ...peek.headers, date: '' }).to.deep.equal({ ...read.headers, ...weight, date: '' });
    expect(peek.headers).to.include({ 'bitacora-partition': '0', 'bitacora-offset': '0', 'bitacora-position': '0:1' });
  });

  it('answers 404 with the position too, by which the asking node weighs it', async () => {
    const peek = await ask(node, 'GET', '/rpc/cluster?key=none');
    expect([peek.status, peek.json().code]).to.deep.equal([404, 'key_not_found']);
    expect(peek.headers).to.include({ 'bitacora-partition': '0', 'bitacora-position': '0:1' });
  });

  for (const key of ['k', 'none']) {
    it(`answers HEAD with the headers of GET (${key})`, async () => {
      const path = `/rpc/cluster?key=${key}`;
      const [full, head] = [await ask(node, 'GET', path), await ask(node, 'HEAD', path)];
      expect([head.status, head.body.length]).to.deep.equal([full.status, 0]);
      expect({ ...head.headers, date: '' }).to.deep.equal({ ...full.headers, date: '' });
    });
  }

  it('gives the raw bytes, and 304, as /rpc does', async () => {
    const headers = { Accept: 'application/octet-stream' };
    const peek = await ask(node, 'GET', '/rpc/cluster?key=k', { headers });
    expect(peek.text).to.equal('v');
    const again = { ...headers, 'If-None-Match': peek.headers.etag! };
    expect((await ask(node, 'GET', '/rpc/cluster?key=k', { headers: again })).status).to.equal(304);
  });

  it('takes no consistency: it never waits', async () => {
    const answer = await ask(node, 'GET', '/rpc/cluster?key=k&consistency=local');
    expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_unknown']);
  });

  it('asks nobody: not the log either', async () => {
    let asked = 0;
    const ends = () => {
      asked += 1;
      return Promise.resolve([{ partition: 0, earliest: 0, end: 0 }]);
    };
    const quiet = await startReadyNode();
    try {
      quiet.log.endsInstead = ends;
      await ask(quiet, 'GET', '/rpc/cluster?key=none');
      expect(asked).to.equal(0);
      await ask(quiet, 'GET', '/rpc?key=none&consistency=linearizable');
      expect(asked).to.equal(1);
    } finally {
      quiet.log.endsInstead = undefined;
      await quiet.stop();
    }
  });

  it('answers from what has been read while the node catches up, where /rpc does not know yet', async () => {
    const log = new HeldLog('test');
    await log.create({ partitions: 1, maxMessageBytes: 10_000 });
    for (const key of ['a', 'b']) log.appendForeign(0, Buffer.from(key), Buffer.from('v'), 1);
    log.holdAfter(1);
    const late = await startNode({ log });
    try {
      await until(() => late.replica.position(0) === 1);
      const [here, there] = [
        await ask(late, 'GET', '/rpc/cluster?key=a'),
        await ask(late, 'GET', '/rpc/cluster?key=b'),
      ];
      expect([here.status, here.headers['bitacora-position']]).to.deep.equal([200, '0:1']);
      expect([there.status, there.headers['bitacora-position']]).to.deep.equal([404, '0:1']);

      expect((await ask(late, 'GET', '/rpc?key=a')).status).to.equal(200);
      const unknown = await ask(late, 'GET', '/rpc?key=b');
      expect([unknown.status, unknown.json().code]).to.deep.equal([503, 'not_caught_up']);
      expect(unknown.headers['retry-after']).to.equal('1');

      log.release();
      await until(() => late.replica.isCaughtUp(0));
      expect((await ask(late, 'GET', '/rpc?key=b')).status).to.equal(200);
      expect((await ask(late, 'GET', '/rpc?key=c')).status).to.equal(404);
    } finally {
      await late.stop();
    }
  });
});
