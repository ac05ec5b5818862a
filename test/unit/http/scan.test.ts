import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { openApi } from '../../../src/http/openapi.ts';
import { type Answer, ask, encodeBytes } from '../../support/http-client.ts';
import { HeldLog, type NodeOptions, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';

interface Page {
  readonly entries: readonly Record<string, unknown>[];
  readonly after?: string;
  readonly afterEncoding?: string;
  readonly position: string;
}

describe('GET /rpc/scan', () => {
  let node: TestNode;
  afterEach(() => node.stop());

  /** A node that may be scanned. */
  async function start(options: NodeOptions = {}): Promise<void> {
    node = await startReadyNode(options);
    await until(() => node.store.isOrdered);
  }

  const put = (key: string, value: string | Buffer = 'v', headers = {}) =>
    ask(node, 'PUT', `/rpc?key=${key}`, { body: value, headers });
  const scan = (query = '', headers = {}): Promise<Answer> => ask(node, 'GET', `/rpc/scan${query}`, { headers });
  const pageOf = (answer: Answer): Page => {
    expect(answer.status, answer.text).to.equal(200);
    return answer.json() as unknown as Page;
  };
  const keys = (answer: Answer) => pageOf(answer).entries.map(({ key }) => key);

  it('answers entries in byte order of their keys, each as a read of it has it, and the positions of all partitions', async () => {
    await start({ partitions: 3 });
    for (const key of ['b', 'a', '%C3%BC', '%FF', 'A', 'a%22']) await put(key, `of ${key}`);
    await put('binary', Buffer.from([0xff, 0x00]), { 'Content-Type': 'image/x' });
    await ask(node, 'PUT', '/rpc?key=short&ttlMs=5000', { body: '' });
    const answer = await scan();
    expect(answer.headers['content-type']).to.equal('application/json; charset=utf-8');
    expect(answer.headers['content-length']).to.equal(String(answer.body.length));
    const page = pageOf(answer);
    expect(keys(answer)).to.deep.equal(['A', 'a', 'a"', 'b', 'binary', 'short', 'ü', '/w==']);
    expect(page).to.have.keys(['entries', 'position']);
    for (const entry of page.entries) {
      const bytes = Buffer.from(String(entry.key), entry.keyEncoding === 'base64' ? 'base64' : 'utf8');
      const { source, ...read } = (await ask(node, 'GET', `/rpc?key=${encodeBytes(bytes)}`)).json();
      expect(entry).to.deep.equal(read);
      expect(source).to.equal('log');
    }
    const positions = page.position.split(',').map((text) => text.split(':').map(Number));
    expect(positions.map(([partition]) => partition)).to.deep.equal([0, 1, 2]);
    expect(positions.reduce((sum, [, position]) => sum + position!, 0)).to.equal(8);
    expect(answer.headers['bitacora-position']).to.equal(page.position);
  });

  it('keeps within prefix, from, to and after, which are bytes', async () => {
    await start();
    for (const key of ['a', 'b', 'b%00', 'b1', 'b%FF', 'c', '%F0', '%F0%00', '%FF']) await put(key);
    for (const [query, expected] of [
      ['prefix=b', ['b', 'b\0', 'b1', 'Yv8=']],
      ['prefix=%F0', ['8A==', '8AA=']],
      ['from=b1', ['b1', 'Yv8=', 'c', '8A==', '8AA=', '/w==']],
      ['to=b1', ['a', 'b', 'b\0']],
      ['from=b&to=b1', ['b', 'b\0']],
      ['after=b', ['b\0', 'b1', 'Yv8=', 'c', '8A==', '8AA=', '/w==']],
      ['prefix=b&from=b%00&to=b%FF&after=b%00', ['b1']],
      ['prefix=b&after=a', ['b', 'b\0', 'b1', 'Yv8=']],
      ['from=z&to=b', []],
      ['prefix=nothing', []],
      ['prefix=&limit=1', ['a']],
    ] as const) {
      expect(keys(await scan(`?${query}`)), query).to.deep.equal(expected);
    }
  });

  it('goes on where an answer ended, also behind a key that is not text', async () => {
    await start();
    for (const key of ['a', 'b', '%FE', '%FF']) await put(key);
    const first = pageOf(await scan('?limit=2'));
    expect([first.entries.length, first.after, first.afterEncoding]).to.deep.equal([2, 'b', undefined]);
    const second = pageOf(await scan('?limit=1&after=b'));
    expect([second.entries[0]?.key, second.after, second.afterEncoding]).to.deep.equal(['/g==', '/g==', 'base64']);
    const after = encodeBytes(Buffer.from(second.after!, 'base64'));
    expect(keys(await scan(`?limit=2&after=${after}`))).to.deep.equal(['/w==']);
  });

  it('has 100 entries unless it is told otherwise, up to 10,000, and an answer of several pieces is one document', async () => {
    const log = new HeldLog('test');
    await log.create({ partitions: 1, maxMessageBytes: 1_000_000 });
    const names = Array.from({ length: 10_500 }, (_, i) => `key-${String(i).padStart(6, '0')}`);
    for (const key of names) log.appendForeign(0, Buffer.from(key), Buffer.from('v'), 0);
    await start({ log });
    expect(keys(await scan())).to.deep.equal(names.slice(0, 100));
    const page = pageOf(await scan('?limit=10000'));
    expect(page.entries.map(({ key }) => key)).to.deep.equal(names.slice(0, 10_000));
    expect(page.after).to.equal(names[9_999]);
    expect(keys(await scan(`?limit=10000&after=${page.after}`))).to.deep.equal(names.slice(10_000));
  });

  it('ends an answer where its values become many bytes', async () => {
    await start({ valueBytesMax: 500_000 });
    for (const key of ['a', 'b', 'c', 'd']) await put(key, 'v'.repeat(400_000));
    const first = pageOf(await scan());
    expect([first.entries.length, first.after]).to.deep.equal([3, 'c']);
    expect(keys(await scan('?after=c'))).to.deep.equal(['d']);
    expect(keys(await scan('?keysOnly=true'))).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('leaves values out when only keys are asked for', async () => {
    await start();
    await put('text', 'a value', { 'Content-Type': 'text/plain' });
    await put('binary', Buffer.from([0xff]));
    const [binary, text] = pageOf(await scan('?keysOnly=true')).entries;
    expect(binary).to.have.keys(['key', 'partition', 'offset', 'timestamp']);
    expect(text).to.include({ key: 'text', contentType: 'text/plain' }).and.not.have.property('value');
    expect(pageOf(await scan('?keysOnly=false')).entries[1]).to.include({ value: 'a value' });
  });

  it('answers HEAD with the same headers and no body', async () => {
    await start();
    await put('k');
    const [get, head] = [await scan(), await ask(node, 'HEAD', '/rpc/scan')];
    const { date: _, ...headers } = get.headers;
    expect(head.status).to.equal(200);
    expect(head.headers).to.include(headers);
    expect(head.body).to.have.length(0);
  });

  it('leaves the header out where it would be long, and says the positions in the body', async () => {
    await start({ partitions: 1_500 });
    const answer = await scan();
    expect(answer.headers).not.to.have.property('bitacora-position');
    expect(pageOf(answer).position.split(',')).to.have.length(1_500);
  });

  it('waits, with session and linearizable, for what this node has not applied', async () => {
    await start();
    await put('a');
    node.log.holdAfter(0);
    const written = await ask(node, 'PUT', '/rpc?key=b&value=v&wait=logged');
    const position = String(written.headers['bitacora-position']);
    expect(keys(await scan('?consistency=local'))).to.deep.equal(['a']);
    let answered = 0;
    const waiting = [
      scan('?consistency=session', { 'Bitacora-Position': position }),
      scan('?consistency=linearizable'),
    ].map((pending) => pending.finally(() => (answered += 1)));
    await ask(node, 'GET', '/rpc?key=a');
    expect(answered).to.equal(0);
    node.log.release();
    for (const pending of waiting) expect(keys(await pending)).to.deep.equal(['a', 'b']);
  });

  it('refuses parameters that it cannot use', async () => {
    await start();
    for (const [query, code] of [
      ['?limit=0', 'parameter_invalid'],
      ['?limit=10001', 'parameter_invalid'],
      ['?limit=99999', 'parameter_invalid'],
      ['?limit=-1', 'parameter_invalid'],
      ['?limit=1.5', 'parameter_invalid'],
      ['?limit=', 'parameter_invalid'],
      ['?limit=ten', 'parameter_invalid'],
      ['?keysOnly=yes', 'parameter_invalid'],
      ['?keysOnly', 'parameter_invalid'],
      ['?prefix=%', 'parameter_invalid'],
      ['?after=%GG', 'parameter_invalid'],
      ['?consistency=strong', 'parameter_invalid'],
      ['?consistency=session', 'parameter_invalid'],
      ['?key=a', 'parameter_unknown'],
      ['?keysonly=true', 'parameter_unknown'],
      ['?limit=1&limit=2', 'parameter_repeated'],
    ] as const) {
      const answer = await scan(query);
      expect([answer.status, answer.json().code], query).to.deep.equal([400, code]);
    }
  });

  it('takes no other method', async () => {
    await start();
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
      const answer = await ask(node, method, '/rpc/scan');
      expect([answer.status, answer.headers.allow, answer.json().code]).to.deep.equal([
        405,
        'GET, HEAD',
        'method_not_allowed',
      ]);
    }
  });

  it('is 503 while the node has not read everything, never a part of the whole', async () => {
    const log = new HeldLog('test');
    await log.create({ partitions: 1, maxMessageBytes: 1_000_000 });
    for (const key of ['a', 'b']) log.appendForeign(0, Buffer.from(key), Buffer.from('v'), 0);
    log.holdAfter(1);
    node = await startNode({ log });
    await until(() => node.replica.position(0) === 1);
    const answer = await scan();
    expect([answer.status, answer.json().code, answer.headers['retry-after']]).to.deep.equal([
      503,
      'not_caught_up',
      '1',
    ]);
  });

  it('is 503 while its keys are not in order, and 501 where they never are', async () => {
    node = await startReadyNode({ orderedIndex: 'unfinished' });
    const early = await scan();
    expect([early.status, early.json().code, early.headers['retry-after']]).to.deep.equal([503, 'scan_not_ready', '1']);
    await node.stop();
    node = await startReadyNode({ orderedIndex: 'off' });
    const never = await scan();
    expect([never.status, never.json().code]).to.deep.equal([501, 'scan_disabled']);
    expect(never.json().detail).to.include('ORDERED_INDEX=on');
  });

  it('answers as it is described', async () => {
    await start();
    await put('text', 'a value', { 'Content-Type': 'text/plain' });
    await ask(node, 'PUT', '/rpc?key=%FF&ttlMs=100000', { body: Buffer.from([0xff]) });
    const { components } = openApi('0', 1) as {
      components: { schemas: { ScanPage: { properties: { entries: { items: object } } } } };
    };
    const schema = structuredClone(components.schemas.ScanPage);
    Object.assign(schema, { additionalProperties: false });
    Object.assign(schema.properties.entries.items, { additionalProperties: false });
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    for (const query of ['', '?keysOnly=true', '?limit=2']) {
      ajv.validate(schema, (await scan(query)).json());
      expect(ajv.errors).to.equal(null);
    }
    const { paths } = openApi('0', 1) as {
      paths: Record<string, { get: { parameters: { name: string; in: string }[] } }>;
    };
    const described = paths['/rpc/scan']!.get.parameters.filter((parameter) => parameter.in === 'query');
    const taken = (await scan('?nonsense')).json().detail;
    for (const { name } of described) expect(taken).to.match(new RegExp(`\\b${name}\\b`));
    expect(described).to.have.length(String(taken).split('known: ')[1]!.split(', ').length);
  });

  it('counts its answers', async () => {
    await start();
    await scan();
    expect((await ask(node, 'GET', '/metrics')).text).to.match(
      /bitacora_http_requests_total\{route="\/rpc\/scan",method="GET",status="200"\} 1/,
    );
  });
});
