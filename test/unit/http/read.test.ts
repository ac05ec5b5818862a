import { expect } from 'chai';
import { type Answer, ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode } from '../../support/http-node.ts';

const notText = Buffer.from([0x00, 0xff, 0xfe, 0x80, 0x0a]);

describe('GET /rpc', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
  });
  after(() => node.stop());

  const set = async (key: string, value: string | Uint8Array, type?: string): Promise<Record<string, unknown>> => {
    const headers = type === undefined ? {} : { 'Content-Type': type };
    const answer = await ask(node, 'PUT', `/rpc?key=${key}`, { body: value, headers });
    expect(answer.status).to.equal(200);
    return answer.json();
  };
  const get = (key: string, accept?: string): Promise<Answer> =>
    ask(node, 'GET', `/rpc?key=${key}`, { headers: accept === undefined ? {} : { Accept: accept } });

  it('answers JSON, and says the version in the headers too', async () => {
    node.clock.wallMs += 7;
    const { offset } = await set('json', 'grün\n"x"');
    const answer = await get('json');
    expect(answer.status).to.equal(200);
    expect(answer.json()).to.deep.equal({
      key: 'json',
      value: 'grün\n"x"',
      partition: 0,
      offset,
      timestamp: node.clock.wallMs,
      source: 'log',
    });
    expect(answer.headers).to.include({
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(answer.body.length),
      'bitacora-partition': '0',
      'bitacora-offset': String(offset),
      'bitacora-timestamp': String(node.clock.wallMs),
      'bitacora-source': 'log',
      'bitacora-position': `0:${Number(offset) + 1}`,
      vary: 'Accept',
    });
    expect(answer.headers).not.to.have.any.keys('bitacora-expires-at', 'bitacora-content-type');
  });

  it('answers in base64 what is not UTF-8, and says so', async () => {
    await set('bytes', notText);
    expect((await get('bytes')).json()).to.include({ value: notText.toString('base64'), encoding: 'base64' });
  });

  it('answers an empty value as a value', async () => {
    await set('empty', '');
    expect((await get('empty')).json())
      .to.include({ value: '' })
      .and.not.have.property('encoding');
    const raw = await get('empty', 'application/octet-stream');
    expect([raw.status, raw.body.length, raw.headers['content-length']]).to.deep.equal([200, 0, '0']);
  });

  for (const [accept, type] of [
    ['application/octet-stream', 'application/octet-stream'],
    ['text/plain', 'text/plain'],
    ['text/*', 'text/plain'],
    ['application/json;q=0.1, application/octet-stream', 'application/octet-stream'],
  ] as const) {
    it(`answers the raw bytes to Accept: ${accept}, of a type that no browser runs`, async () => {
      await set('raw', notText, 'text/html');
      const answer = await get('raw', accept);
      expect(answer.body).to.deep.equal(notText);
      expect(answer.headers).to.include({
        'content-type': type,
        'x-content-type-options': 'nosniff',
        'content-length': String(notText.length),
        'bitacora-content-type': 'text/html',
      });
    });
  }

  for (const accept of ['application/json', '*/*', 'image/png', 'text/html, */*;q=0.8', 'application/*', '']) {
    it(`answers JSON to Accept: ${accept}`, async () => {
      await set('any', 'v');
      expect((await get('any', accept)).json()).to.include({ value: 'v' });
    });
  }

  it('answers JSON to an Accept that is longer than anybody needs, which would hold up others', async () => {
    await set('any', 'v');
    const accept = (length: number) => `application/octet-stream, ${'a/b,'.repeat(length)}`.slice(0, length);
    expect((await get('any', accept(1_024))).text).to.equal('v');
    expect((await get('any', accept(1_025))).json()).to.include({ value: 'v' });
  });

  it('gives back the content type that the value came with', async () => {
    await set('typed', '{}', 'application/vnd.x+json; charset="ü"');
    const answer = await get('typed');
    expect(answer.json().contentType).to.equal('application/vnd.x+json; charset="ü"');
    expect(answer.headers['bitacora-content-type']).to.equal('application/vnd.x+json; charset="?"');
  });

  it('keeps no content type of which curl says by itself that it is a form', async () => {
    await set('form', 'v', 'application/x-www-form-urlencoded');
    expect((await get('form')).json()).not.to.have.property('contentType');
  });

  it('answers 404 with the partition and the position when there is no value', async () => {
    const { offset } = await set('other', 'v');
    const answer = await get('never');
    expect(answer.status).to.equal(404);
    expect(answer.json()).to.include({ status: 404, code: 'key_not_found', type: 'about:blank' });
    expect(answer.headers).to.include({
      'content-type': 'application/problem+json',
      'bitacora-partition': '0',
      'bitacora-position': `0:${Number(offset) + 1}`,
    });
    expect(answer.headers).not.to.have.any.keys('etag', 'bitacora-offset', 'bitacora-source');
  });

  it('answers 404 once the key is deleted', async () => {
    await set('gone', 'v');
    await ask(node, 'DELETE', '/rpc?key=gone');
    expect((await get('gone')).status).to.equal(404);
  });

  for (const accept of ['application/json', 'application/octet-stream', 'text/plain']) {
    it(`answers HEAD with the headers of GET and no body (${accept})`, async () => {
      await set('head', 'value');
      const headers = { Accept: accept };
      const [full, head] = [await get('head', accept), await ask(node, 'HEAD', '/rpc?key=head', { headers })];
      expect(head.status).to.equal(200);
      expect(head.body).to.have.length(0);
      expect({ ...head.headers, date: '' }).to.deep.equal({ ...full.headers, date: '' });
    });
  }

  it('answers HEAD of what is not there with 404 and the same headers', async () => {
    const [full, head] = [await get('never'), await ask(node, 'HEAD', '/rpc?key=never')];
    expect([head.status, head.body.length]).to.deep.equal([404, 0]);
    expect({ ...head.headers, date: '' }).to.deep.equal({ ...full.headers, date: '' });
  });

  it('spreads keys over the partitions as the partitioner has it', async () => {
    const wide = await startReadyNode({ partitions: 3 });
    try {
      const seen = new Set<number>();
      for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
        const partition = wide.partitioner(Buffer.from(key), 3);
        await ask(wide, 'PUT', `/rpc?key=${key}&value=v`);
        const answer = await ask(wide, 'GET', `/rpc?key=${key}`);
        expect(answer.json().partition).to.equal(partition);
        expect(answer.headers['bitacora-position']).to.match(new RegExp(`^${partition}:\\d+$`));
        seen.add(partition);
      }
      expect(seen.size).to.equal(3);
    } finally {
      await wide.stop();
    }
  });
});

describe('ETag and If-None-Match', () => {
  let node: TestNode;
  const tags = new Map<string, string>();
  const accepts = ['application/json', 'application/octet-stream', 'text/plain'];
  const read = (accept: string, condition: string, method = 'GET'): Promise<Answer> =>
    ask(node, method, '/rpc?key=k', { headers: { Accept: accept, 'If-None-Match': condition } });

  before(async () => {
    node = await startReadyNode();
    await ask(node, 'PUT', '/rpc?key=k&value=one');
    for (const accept of accepts) tags.set(accept, (await read(accept, '"none"')).headers.etag!);
  });
  after(() => node.stop());

  it('has another tag for each representation, all of them strong', () => {
    expect(new Set(tags.values()).size).to.equal(3);
    for (const tag of tags.values()) expect(tag).to.match(/^"[\x21\x23-\x7e]+"$/);
  });

  for (const accept of accepts) {
    it(`answers 304 to who has that representation (${accept}), without a body`, async () => {
      const tag = tags.get(accept)!;
      for (const condition of [tag, `W/${tag}`, `"x", ${tag}`, `${tag},"x"`, '*']) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await read(accept, condition, method);
          expect([answer.status, answer.body.length], condition).to.deep.equal([304, 0]);
          expect(answer.headers).to.include({ etag: tag, vary: 'Accept', 'bitacora-position': '0:1' });
          expect(answer.headers).not.to.have.any.keys('content-type', 'content-length');
        }
      }
    });

    it(`answers 200 to who has another (${accept})`, async () => {
      const others = accepts.filter((other) => other !== accept).map((other) => tags.get(other)!);
      for (const condition of [...others, others.join(', '), tags.get(accept)!.slice(1, -1), '""', '']) {
        expect((await read(accept, condition)).status, condition).to.equal(200);
      }
    });
  }

  it('answers 404, not 304, where there is nothing', async () => {
    const answer = await ask(node, 'GET', '/rpc?key=none', { headers: { 'If-None-Match': '*' } });
    expect(answer.status).to.equal(404);
  });

  it('has another tag once the value was written again, even with the same bytes', async () => {
    await ask(node, 'PUT', '/rpc?key=k&value=one');
    for (const accept of accepts) {
      const answer = await read(accept, tags.get(accept)!);
      expect(answer.status).to.equal(200);
      expect(answer.headers.etag).not.to.equal(tags.get(accept));
    }
  });
});
