import { expect } from 'chai';
import { Database } from '../../../src/database/database.ts';
import { batchKeysMax, batchValueBytesMax } from '../../../src/http/batch-handler.ts';
import { BitacoraError } from '../../../src/kernel/errors.ts';
import { type Answer, ask } from '../../support/http-client.ts';
import { HeldLog, startNode, startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

interface Batch {
  readonly values: readonly Record<string, unknown>[];
  readonly position: string;
}

const json = { 'Content-Type': 'application/json' };

function post(node: { readonly port: number }, body: unknown, headers = {}, query = ''): Promise<Answer> {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  return ask(node, 'POST', `/rpc/batch${query}`, { body: text, headers: { ...json, ...headers } });
}

async function valuesOf(node: TestNode, body: unknown): Promise<Batch['values']> {
  const answer = await post(node, body);
  expect(answer.status).to.equal(200);
  return (answer.json() as unknown as Batch).values;
}

describe('POST /rpc/batch', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode({ partitions: 3, valueBytesMax: 2 * 1024 * 1024 });
    const plain = { 'Content-Type': 'text/plain' };
    await ask(node, 'PUT', '/rpc?key=a', { body: 'one', headers: plain });
    await ask(node, 'PUT', '/rpc?key=b&ttlMs=1000000', { body: Buffer.from([0xff, 0]) });
    await ask(node, 'PUT', '/rpc?key=%C5%BE', { body: 'kůň "x"\n' });
    await ask(node, 'PUT', '/rpc?key=%FF', { body: 'bytes' });
    await ask(node, 'PUT', '/rpc?key=empty', { body: '' });
    await ask(node, 'PUT', '/rpc?key=deleted&value=x');
    await ask(node, 'DELETE', '/rpc?key=deleted');
  });
  after(() => node.stop());

  it('answers each key as GET does, in the order asked', async () => {
    const keys = ['ž', 'a', 'empty', 'b', 'a'];
    const single = await Promise.all(
      keys.map(async (key) => (await ask(node, 'GET', `/rpc?key=${encodeURIComponent(key)}`)).json()),
    );
    expect(await valuesOf(node, { keys })).to.deep.equal(single);
  });

  it('answers keys without a value each with the status, code and detail of its error', async () => {
    const values = await valuesOf(node, { keys: ['none', 'a', 'deleted', '', 'k'.repeat(65_537)] });
    expect(values.map(({ status, code }) => [status, code])).to.deep.equal([
      [404, 'key_not_found'],
      [undefined, undefined],
      [404, 'key_not_found'],
      [400, 'key_empty'],
      [400, 'key_too_long'],
    ]);
    expect(values.map(({ key }) => key)).to.deep.equal(['none', 'a', 'deleted', '', 'k'.repeat(65_537)]);
    for (const value of values.filter(({ code }) => code !== undefined)) {
      expect(value).to.have.keys(['key', 'status', 'code', 'detail']);
    }
  });

  it('takes keys of any bytes in base64', async () => {
    const keys = [Buffer.from([0xff]), Buffer.from('a'), Buffer.from([0xfe])].map((key) => key.toString('base64'));
    const [bytes, text, absent] = await valuesOf(node, { keys, keyEncoding: 'base64' });
    expect(bytes).to.include({ key: '/w==', keyEncoding: 'base64', value: 'bytes' });
    expect(text).to.include({ key: 'a', value: 'one' }).and.not.have.property('keyEncoding');
    expect(absent).to.include({ key: '/g==', keyEncoding: 'base64', code: 'key_not_found' });
  });

  it('tells the position of every partition that it looked into, and of no other, in header and body', async () => {
    const positions = (answer: Answer): string => {
      const { position } = answer.json();
      expect(answer.headers['bitacora-position']).to.equal(position === '' ? undefined : position);
      return String(position);
    };
    const all = Array.from({ length: 60 }, (_, i) => `key-${i}`);
    const expected = [0, 1, 2].map((partition) => `${partition}:${node.replica.position(partition)}`);
    expect(positions(await post(node, { keys: all }))).to.equal(expected.join());
    const home = node.partitioner(Buffer.from('a'), 3);
    expect(positions(await post(node, { keys: ['a', 'a'] }))).to.equal(expected[home]);
  });

  it('answers no keys with no values', async () => {
    const answer = await post(node, { keys: [] });
    expect([answer.status, answer.json()]).to.deep.equal([200, { values: [], position: '' }]);
  });

  it(`takes ${batchKeysMax} keys and not one more`, async () => {
    const keys = Array.from({ length: batchKeysMax }, (_, i) => (i % 2 === 0 ? 'a' : `none-${i}`));
    const values = await valuesOf(node, { keys });
    expect(values.map(({ key }) => key)).to.deep.equal(keys);
    expect(values.every((value, i) => (i % 2 === 0 ? value.value === 'one' : value.status === 404))).to.equal(true);
    const answer = await post(node, { keys: [...keys, 'a'] });
    expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_invalid']);
  });

  it('sends values of 4 MiB together and answers the keys behind with answer_too_large', async () => {
    const half = batchValueBytesMax / 4;
    for (const key of ['large-1', 'large-2'])
      await ask(node, 'PUT', `/rpc?key=${key}`, { body: Buffer.alloc(half, key) });
    const keys = ['a', 'large-1', 'large-2', 'large-1', 'large-2', 'a', 'none'];
    const many = [...keys, ...Array.from({ length: 200 }, () => 'a')];
    const values = await valuesOf(node, { keys: many });
    expect(values.slice(0, 4).map(({ value }) => String(value).length)).to.deep.equal([3, half, half, half]);
    expect(values).to.have.length(many.length);
    const behind = new Set(values.slice(4).map(({ status, code }) => `${status} ${code}`));
    expect([...behind]).to.deep.equal(['413 answer_too_large']);
    const again = await valuesOf(node, { keys: many.slice(4) });
    expect(again.slice(0, 3).map(({ code }) => code)).to.deep.equal([undefined, undefined, 'key_not_found']);
  });

  it('waits for the positions of a session, and for the log where a linearizable read is asked for', async () => {
    const home = node.partitioner(Buffer.from('a'), 3);
    const written = await ask(node, 'PUT', '/rpc?key=a&value=two&wait=logged');
    const position = written.headers['bitacora-position'] as string;
    const session = await post(node, { keys: ['a'] }, { 'Bitacora-Position': position }, '?consistency=session');
    expect((session.json() as unknown as Batch).values[0]).to.include({ value: 'two', partition: home });
    node.log.holdAfter(0);
    await ask(node, 'PUT', '/rpc?key=a&value=one&wait=logged');
    let answered = false;
    const strict = post(node, { keys: ['a', 'none'] }, {}, '?consistency=linearizable').finally(() => {
      answered = true;
    });
    expect((await valuesOf(node, { keys: ['a'] }))[0]).to.include({ value: 'two' });
    expect(answered).to.equal(false);
    node.log.release();
    expect(((await strict).json() as unknown as Batch).values[0]).to.include({ value: 'one' });
  });

  it('lets others have their turn between its keys, the more often the larger their values are', async () => {
    await ask(node, 'PUT', '/rpc?key=some', { body: Buffer.alloc(2_048, 'v') });
    let turn = 0;
    const count = (): void => {
      turn += 1;
      immediate = setImmediate(count);
    };
    let immediate = setImmediate(count);
    const begun: number[] = [];
    const { database } = node;
    database.manyReader = (consistency) => {
      const read = Database.prototype.manyReader.call(database, consistency);
      return (keys) => {
        begun.push(turn);
        return read(keys);
      };
    };
    try {
      for (const [key, turns] of [
        ['none', 1],
        ['some', 4],
      ] as const) {
        begun.splice(0);
        await valuesOf(node, { keys: Array(batchKeysMax).fill(key) });
        expect(begun).to.have.length.above(5);
        for (const [i, each] of begun.slice(1).entries()) expect(each - begun[i]!).to.be.at.least(turns);
      }
    } finally {
      clearImmediate(immediate);
      Reflect.deleteProperty(database, 'manyReader');
    }
  });

  it('waits once for the log, however many keys there are', async () => {
    const keys = Array.from({ length: batchKeysMax }, (_, i) => `key-${i}`);
    const own = await startReadyNode({ partitions: 3 });
    let asked = 0;
    own.log.endsInstead = () => {
      asked += 1;
      return Promise.reject(new BitacoraError('log_unavailable', 'The log is away.'));
    };
    const answer = await post(own, { keys }, {}, '?consistency=linearizable');
    const codes = new Set((answer.json() as unknown as Batch).values.map(({ code }) => code));
    expect([...codes]).to.deep.equal(['log_unavailable']);
    // The first of the partitions has the first question for itself, the others share the next one.
    expect(asked).to.equal(2);
    await own.stop();
  });

  const refusals: readonly (readonly [what: string, body: string | Uint8Array, status: number, code: string])[] = [
    ['no body', '', 400, 'request_malformed'],
    ['what is not JSON', '{"keys":["a"]', 400, 'request_malformed'],
    ['what is not UTF-8', Buffer.from('{"keys":["\xff"]}', 'latin1'), 400, 'request_malformed'],
    ['an array', '["a"]', 400, 'request_malformed'],
    ['null', 'null', 400, 'request_malformed'],
    ['a text', '"a"', 400, 'request_malformed'],
    ['JSON nested without end', '['.repeat(500_000), 400, 'request_malformed'],
    ['far more values than keys', `{"keys":[${'[],'.repeat(4_000)}"a"]}`, 400, 'request_malformed'],
    ['more keys than that', JSON.stringify({ keys: Array(4_000).fill('k') }), 400, 'request_malformed'],
    ['more keys than there may be', JSON.stringify({ keys: Array(3_998).fill('k') }), 400, 'parameter_invalid'],
    ['no keys', '{}', 400, 'key_missing'],
    ['one key that is no array', '{"keys":"a"}', 400, 'parameter_invalid'],
    ['a key that is a number', '{"keys":["a",1]}', 400, 'parameter_invalid'],
    ['a key that is null', '{"keys":[null]}', 400, 'parameter_invalid'],
    ['a key that is half a character', '{"keys":["\\ud83d"]}', 400, 'parameter_invalid'],
    ['another encoding', '{"keys":["61"],"keyEncoding":"hex"}', 400, 'parameter_invalid'],
    ['an encoding that is null', '{"keys":["61"],"keyEncoding":null}', 400, 'parameter_invalid'],
    ['what is not base64', '{"keys":["YQ="],"keyEncoding":"base64"}', 400, 'parameter_invalid'],
    ['base64 of URLs', '{"keys":["_w=="],"keyEncoding":"base64"}', 400, 'parameter_invalid'],
    ['another member', '{"keys":[],"consistency":"session"}', 400, 'parameter_unknown'],
    ['a member of the prototype', '{"keys":[],"__proto__":{}}', 400, 'parameter_unknown'],
    ['too large a body', JSON.stringify({ keys: Array(17).fill('k'.repeat(65_000)) }), 413, 'body_too_large'],
  ];
  for (const [what, body, status, code] of refusals) {
    it(`refuses ${what}, whole`, async () => {
      const answer = await post(node, body);
      expect([answer.status, answer.json().code]).to.deep.equal([status, code]);
      expect(answer.headers['content-type']).to.equal('application/problem+json');
    });
  }

  it('takes whatever characters are in keys', async () => {
    const keys = ['"[{,'.repeat(5_000), '\\'.repeat(5_001), '\\"'.repeat(5_000), '[,'.repeat(10_000)];
    const values = await valuesOf(node, { keys });
    expect(values.map(({ key, code }) => [key, code])).to.deep.equal(keys.map((key) => [key, 'key_not_found']));
  });

  it('takes JSON by its name or without one, and no other type', async () => {
    const status = async (headers: Record<string, string>): Promise<number> => {
      const body = '{"keys":["a"]}';
      return (await ask(node, 'POST', '/rpc/batch', { body, headers })).status;
    };
    expect(await status({})).to.equal(200);
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;x']) {
      expect(await status({ 'Content-Type': type }), type).to.equal(200);
    }
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonl', 'json', '']) {
      expect(await status({ 'Content-Type': type }), type).to.equal(415);
    }
    expect((await post(node, '{"keys":[]}', { 'Content-Encoding': 'gzip' })).status).to.equal(415);
  });

  it('refuses parameters that it does not have, and keys in the target', async () => {
    for (const query of ['?key=a', '?x=1', '?consistency=no', '?consistency=local&consistency=local']) {
      expect((await post(node, { keys: ['a'] }, {}, query)).status, query).to.equal(400);
    }
  });

  it('takes no other method', async () => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await ask(node, method, '/rpc/batch');
      expect([answer.status, answer.headers.allow], method).to.deep.equal([405, 'POST']);
    }
  });

  it('is told of a body that is too large before it is sent, where the client asks', async () => {
    const socket = await HttpSocket.open(node);
    socket.send('POST /rpc/batch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n');
    expect((await socket.answer()).status).to.equal(413);
    await socket.closed();
    const other = await HttpSocket.open(node);
    other.send('POST /rpc/batch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n');
    expect((await other.answer()).status).to.equal(100);
    other.send('{"keys":["a"]}');
    expect((await other.answer()).status).to.equal(200);
    other.destroy();
  });

  it('is counted by its route', async () => {
    const own = await startReadyNode();
    await post(own, { keys: ['a', 'b'] });
    await post(own, '{');
    const text = await own.metrics.text();
    expect(text).to.include('bitacora_http_requests_total{route="/rpc/batch",method="POST",status="200"} 1\n');
    expect(text).to.include('bitacora_http_requests_total{route="/rpc/batch",method="POST",status="400"} 1\n');
    await own.stop();
  });
});

describe('POST /rpc/batch at a node that is still reading the log', () => {
  it('answers what it has, and not_caught_up for the rest', async () => {
    const log = new HeldLog('test');
    await log.create({ partitions: 1, maxMessageBytes: 10_000 });
    for (const key of ['early', 'late']) log.appendForeign(0, Buffer.from(key), Buffer.from('v'), 1);
    log.holdAfter(1);
    const node = await startNode({ log });
    try {
      await until(() => node.replica.position(0) === 1);
      const [early, late] = await valuesOf(node, { keys: ['early', 'late'] });
      expect(early).to.include({ value: 'v', offset: 0 });
      expect(late).to.include({ key: 'late', status: 503, code: 'not_caught_up' });
    } finally {
      await node.stop();
    }
  });
});
