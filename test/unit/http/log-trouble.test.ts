import { expect } from 'chai';
import { BitacoraError, type ErrorCode, errorTable } from '../../../src/kernel/errors.ts';
import { type Answer, ask } from '../../support/http-client.ts';
import { HeldLog, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

describe('a request that the log fails', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
    await ask(node, 'PUT', '/rpc?key=k&value=v');
  });
  after(() => node.stop());

  const write = (method: string): Promise<Answer> =>
    ask(node, method, '/rpc?key=k', method === 'DELETE' ? {} : { body: 'w' });
  const failWith = (error: Error): void => {
    node.log.appendInstead = () => Promise.reject(error);
  };
  afterEach(() => {
    node.log.appendInstead = undefined;
  });

  const codes: readonly ErrorCode[] = [
    'log_unavailable',
    'log_rejected',
    'overloaded',
    'shutting_down',
    'write_outcome_unknown',
  ];
  for (const code of codes) {
    for (const method of ['PUT', 'POST', 'DELETE']) {
      it(`${method}: ${code} is ${errorTable[code].status}`, async () => {
        failWith(new BitacoraError(code, 'What happened.'));
        const answer = await write(method);
        const { status, title } = errorTable[code];
        expect(answer.status).to.equal(status);
        expect(answer.headers['content-type']).to.equal('application/problem+json');
        expect(answer.json()).to.deep.equal({ type: 'about:blank', title, status, code, detail: 'What happened.' });
      });
    }
  }

  it('says when to try again where nothing was written, and does not where that is not known', async () => {
    for (const code of codes) {
      failWith(new BitacoraError(code, 'What happened.'));
      const { headers } = await write('PUT');
      expect(headers['retry-after'], code).to.equal(code === 'write_outcome_unknown' ? undefined : '1');
    }
  });

  it('leaves reads as they were', async () => {
    failWith(new BitacoraError('log_unavailable', 'What happened.'));
    await write('DELETE');
    expect((await ask(node, 'GET', '/rpc?key=k')).json().value).to.equal('v');
  });

  it('is 413 where the topic takes less than VALUE_BYTES_MAX', async () => {
    failWith(new BitacoraError('value_too_large', 'The topic takes less.'));
    const answer = await write('PUT');
    expect(answer.json()).to.include({ status: 413, code: 'value_too_large', detail: 'The topic takes less.' });
  });

  it('is 500 without a word of the cause where the fault is ours, which the node logs', async () => {
    for (const method of ['PUT', 'DELETE']) {
      node.complaints.length = 0;
      failWith(new TypeError('secret of the house'));
      const answer = await write(method);
      expect(answer.status).to.equal(500);
      expect(answer.json()).to.include({ code: 'internal', detail: 'See the log of the node.' });
      expect(answer.text).not.to.include('secret');
      expect(node.complaints.join('\n')).to.include('secret of the house');
    }
  });

  it('is logged in a read that waits, too', async () => {
    node.complaints.length = 0;
    node.log.endsInstead = () => Promise.reject(new TypeError('secret of the house'));
    try {
      const answer = await ask(node, 'GET', '/rpc?key=k&consistency=linearizable');
      expect([answer.status, answer.json().code]).to.deep.equal([500, 'internal']);
      expect(answer.text).not.to.include('secret');
      expect(node.complaints.join('\n')).to.match(/secret of the house.*a request failed/);
    } finally {
      node.log.endsInstead = undefined;
    }
  });

  it('is not logged where the fault is the environment’s or the client’s', async () => {
    node.complaints.length = 0;
    failWith(new BitacoraError('log_unavailable', 'What happened.'));
    await write('PUT');
    await ask(node, 'PUT', '/rpc?value=v');
    await ask(node, 'GET', '/nowhere');
    expect(node.complaints).to.deep.equal([]);
  });

  it('breaks nothing when the client has gone before the answer', async () => {
    let settle: (() => void) | undefined;
    node.log.appendInstead = () =>
      new Promise((resolve) => {
        settle = () => resolve({ partition: 0, offset: 0, timestampMs: 1 });
      });
    const socket = await HttpSocket.open(node);
    socket.send('PUT /rpc?key=k&value=v HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => settle !== undefined);
    socket.destroy();
    await ask(node, 'GET', '/health/live');
    settle!();
    node.log.appendInstead = undefined;
    expect((await write('PUT')).status).to.equal(200);
  });
});

describe('a node whose log has not answered yet', () => {
  let node: TestNode;
  before(async () => {
    const log = new HeldLog('test');
    log.describe = () => Promise.reject(new BitacoraError('log_unavailable', 'No broker.'));
    node = await startNode({ log });
  });
  after(() => node.stop());

  it('is alive, and not ready', async () => {
    expect((await ask(node, 'GET', '/health/live')).status).to.equal(200);
    const ready = await ask(node, 'GET', '/health/ready');
    expect(ready.status).to.equal(503);
    expect(ready.headers['retry-after']).to.equal('1');
    expect(ready.json()).to.include({ status: 'not ready', state: 'connecting', logAnswers: false });
    expect(ready.json().reason).to.be.a('string').and.not.equal('');
  });

  it('knows of no key whether it is there', async () => {
    for (const path of ['/rpc?key=k', '/rpc/cluster?key=k', '/rpc?key=k&consistency=linearizable']) {
      const answer = await ask(node, 'GET', path);
      expect([answer.status, answer.json().code], path).to.deep.equal([503, 'not_caught_up']);
      expect(answer.headers['retry-after']).to.equal('1');
    }
  });

  it('takes no writes', async () => {
    for (const method of ['PUT', 'DELETE']) {
      const answer = await ask(node, method, `/rpc?key=k${method === 'PUT' ? '&value=v' : ''}`);
      expect([answer.status, answer.json().code]).to.deep.equal([503, 'log_unavailable']);
      expect(answer.headers['retry-after']).to.equal('1');
    }
  });

  it('still tells the client of its own mistakes first', async () => {
    expect((await ask(node, 'GET', '/rpc')).status).to.equal(400);
    expect((await ask(node, 'GET', '/rpc?key=')).status).to.equal(400);
    expect((await ask(node, 'GET', '/metrics')).text).to.include('bitacora_ready 0\n');
    expect((await ask(node, 'GET', '/cluster')).status).to.equal(200);
  });
});
