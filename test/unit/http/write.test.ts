import { expect } from 'chai';
import { type Answer, ask } from '../../support/http-client.ts';
import { HeldLog, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';

describe('PUT, POST and DELETE /rpc', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
  });
  after(() => node.stop());

  const read = (key: string): Promise<Answer> => ask(node, 'GET', `/rpc?key=${key}`);
  const end = async (): Promise<number> => (await node.log.ends())[0]!.end;

  for (const method of ['PUT', 'POST']) {
    it(`${method} sets a key to the parameter "value", and answers where the log has it`, async () => {
      const offset = await end();
      const answer = await ask(node, method, '/rpc?key=p&value=v%C3%BC+1');
      expect(answer.status).to.equal(200);
      const timestamp = node.clock.wallMs;
      expect(answer.json()).to.deep.equal({ key: 'p', partition: 0, offset, timestamp });
      expect(answer.headers).to.include({
        'content-type': 'application/json; charset=utf-8',
        'content-length': String(answer.body.length),
        'bitacora-partition': '0',
        'bitacora-offset': String(offset),
        'bitacora-timestamp': String(timestamp),
        'bitacora-position': `0:${offset + 1}`,
      });
      expect((await read('p')).json().value).to.equal('vü 1');
      expect(await end()).to.equal(offset + 1);
    });

    it(`${method} sets a key to the body, of whatever type and however it is sent`, async () => {
      const types = [undefined, 'text/plain', 'application/json', 'text/plain; charset=utf-16', 'no/such; x', '?'];
      for (const [i, type] of types.entries()) {
        const headers = { ...(type === undefined ? {} : { 'Content-Type': type }) };
        const body = `{"i": ${i}}`;
        const chunked = { ...headers, 'Transfer-Encoding': 'chunked' };
        for (const how of [headers, chunked]) {
          const answer = await ask(node, method, `/rpc?key=b${i}`, { body, headers: how });
          expect(answer.status, type).to.equal(200);
          expect((await read(`b${i}`)).json().value).to.equal(body);
        }
      }
    });

    it(`${method} takes an empty value, as the parameter or as a body that is there and empty`, async () => {
      for (const [path, headers] of [
        ['/rpc?key=e&value=', {}],
        ['/rpc?key=e&value', {}],
        ['/rpc?key=e', { 'Content-Length': '0' }],
        ['/rpc?key=e', { 'Transfer-Encoding': 'chunked' }],
      ] as const) {
        await ask(node, 'DELETE', '/rpc?key=e');
        expect((await ask(node, method, path, { headers: { ...headers } })).status).to.equal(200);
        expect((await read('e')).json().value).to.equal('');
      }
    });

    it(`${method} takes the parameter beside a body of no bytes, as some clients send it`, async () => {
      const answer = await ask(node, method, '/rpc?key=z&value=v', { headers: { 'Content-Length': '0' } });
      expect(answer.status).to.equal(200);
      expect((await read('z')).json().value).to.equal('v');
    });
  }

  it('replaces what was there, whole', async () => {
    await ask(node, 'PUT', '/rpc?key=r&ttlMs=1000', { body: 'first', headers: { 'Content-Type': 'text/x' } });
    await ask(node, 'PUT', '/rpc?key=r&value=2');
    expect((await read('r')).json())
      .to.include({ value: '2' })
      .and.not.have.any.keys('expiresAt', 'contentType');
  });

  it('deletes a key, and one that is not there just the same', async () => {
    await ask(node, 'PUT', '/rpc?key=d&value=v');
    for (const key of ['d', 'd', 'never-there']) {
      const offset = await end();
      const answer = await ask(node, 'DELETE', `/rpc?key=${key}`);
      expect(answer.status).to.equal(200);
      expect(answer.json()).to.deep.equal({ key, partition: 0, offset, timestamp: node.clock.wallMs });
      expect(answer.headers).to.include({ 'bitacora-position': `0:${offset + 1}` });
      expect((await read(key)).status).to.equal(404);
    }
  });

  it('gives a key that is not UTF-8 back in base64', async () => {
    for (const method of ['PUT', 'DELETE']) {
      const answer = await ask(node, method, `/rpc?key=%FF${method === 'PUT' ? '&value=v' : ''}`);
      expect(answer.json()).to.include({ key: '/w==', keyEncoding: 'base64' });
    }
  });

  it('keeps a value for ttlMs, and not longer', async () => {
    const answer = await ask(node, 'PUT', '/rpc?key=t&value=v&ttlMs=250');
    expect(answer.status).to.equal(200);
    const expiresAt = node.clock.wallMs + 250;
    const before = await read('t');
    expect(before.json()).to.include({ expiresAt });
    expect(before.headers['bitacora-expires-at']).to.equal(String(expiresAt));
    node.clock.wallMs = expiresAt - 1;
    expect((await read('t')).status).to.equal(200);
    node.clock.wallMs = expiresAt;
    expect((await read('t')).status).to.equal(404);
    expect((await ask(node, 'GET', '/rpc/cluster?key=t')).status).to.equal(404);
  });

  it('takes the longest ttlMs there is', async () => {
    await ask(node, 'PUT', '/rpc?key=long&value=v&ttlMs=9999999999999');
    expect((await read('long')).json().expiresAt).to.equal(node.clock.wallMs + 9_999_999_999_999);
  });

  for (const ttl of ['', '0', '-1', '1.5', '1e3', '01', '10000000000000', 'soon', '%31%00', '+1']) {
    it(`refuses ttlMs=${ttl}, and writes nothing`, async () => {
      const before = await end();
      const answer = await ask(node, 'PUT', `/rpc?key=k&value=v&ttlMs=${ttl}`);
      expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_invalid']);
      expect(await end()).to.equal(before);
    });
  }

  for (const wait of ['', 'no', 'Applied', 'logged%00']) {
    it(`refuses wait=${wait}, and writes nothing`, async () => {
      const before = await end();
      for (const [method, value] of [
        ['PUT', '&value=v'],
        ['DELETE', ''],
      ]) {
        const answer = await ask(node, method!, `/rpc?key=k&wait=${wait}${value}`);
        expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_invalid']);
      }
      expect(await end()).to.equal(before);
    });
  }
});

describe('wait', () => {
  const writes = [
    ['PUT', '/rpc?key=k&value=v'],
    ['DELETE', '/rpc?key=k'],
  ] as const;

  for (const [method, path] of writes) {
    it(`${method} answers when this node's reads see the write, and not before`, async () => {
      const node = await startReadyNode();
      try {
        node.log.holdAfter(0);
        for (const wait of ['', '&wait=applied']) {
          let answered = false;
          const pending = ask(node, method, path + wait).finally(() => {
            answered = true;
          });
          const before = (await node.log.ends())[0]!.end;
          await until(async () => (await node.log.ends())[0]!.end > before);
          await ask(node, 'GET', '/health/live');
          expect(answered).to.equal(false);
          node.log.release();
          expect((await pending).json()).not.to.have.property('applied');
          node.log.holdAfter(0);
        }
      } finally {
        await node.stop();
      }
    });

    it(`${method} with wait=logged answers when the log has the write`, async () => {
      const node = await startReadyNode();
      try {
        node.log.holdAfter(0);
        const answer = await ask(node, method, `${path}&wait=logged`);
        expect(answer.status).to.equal(200);
        expect(answer.json()).to.include({ offset: 0, applied: false });
        expect((await ask(node, 'GET', '/rpc/cluster?key=k')).headers['bitacora-position']).to.equal('0:0');
      } finally {
        await node.stop();
      }
    });

    it(`${method} has succeeded although this node does not get to it in time`, async () => {
      const node = await startReadyNode({ writeTimeoutMs: 20 });
      try {
        node.log.holdAfter(0);
        const answer = await ask(node, method, path);
        expect(answer.status).to.equal(200);
        expect(answer.json()).to.include({ offset: 0, applied: false });
      } finally {
        await node.stop();
      }
    });

    it(`${method} is taken by a node that is still catching up, which says that it has not applied it`, async () => {
      const log = new HeldLog('test');
      await log.create({ partitions: 1, maxMessageBytes: 10_000 });
      log.appendForeign(0, Buffer.from('old'), Buffer.from('v'), 1);
      log.holdAfter(0);
      const node = await startNode({ log });
      try {
        await until(() => node.database.status().state === 'catching-up');
        const answer = await ask(node, method, path);
        expect(answer.status).to.equal(200);
        expect(answer.json()).to.include({ offset: 1, applied: false });
        expect(answer.headers['bitacora-position']).to.equal('0:2');
      } finally {
        await node.stop();
      }
    });
  }
});
