import { expect } from 'chai';
import { type Client, connect, DatabaseError } from '../../../src/client/client.ts';
import { faultOf } from './fault.ts';
import { ScriptedNode } from './scripted-node.ts';

const timeoutMs = 20_000;

describe('the client', () => {
  let node: ScriptedNode;
  let client: Client;

  beforeEach(async () => {
    node = await ScriptedNode.start();
    client = await connect({ nodes: [node.address], timeoutMs });
  });

  afterEach(async () => {
    node.drop();
    await client.close();
    await node.stop();
  });

  it('gives what a node has under a key, and undefined where there is nothing', async () => {
    node.onCall = (call) => call.reading(call.key === 'there' ? 'here' : null);
    expect(await client.get('there')).to.deep.equal({
      value: Buffer.from('here'),
      partition: 0,
      offset: 0,
      timestampMs: 1,
      expiresAtMs: undefined,
      contentType: undefined,
      source: 'log',
    });
    expect(await client.get('elsewhere')).to.equal(undefined);
  });

  it('sends strings as UTF-8 and bytes as they are, of whatever array they are a part', async () => {
    node.onCall = (call) => call.written();
    const bytes = Uint8Array.from([9, 0xff, 0x00, 9]).subarray(1, 3);
    await client.put('clave ñ', bytes);
    await client.put(bytes, '');
    await client.delete(bytes);
    expect(
      node.calls.map(({ message, parameters: { key, value } }) => [message, key.toString('latin1'), value]),
    ).to.deep.equal([
      ['put', Buffer.from('clave ñ').toString('latin1'), Buffer.from([0xff, 0x00])],
      ['put', '\xff\0', Buffer.alloc(0)],
      ['remove', '\xff\0', undefined],
    ]);
  });

  it('sends what a write is to have, and waits for its application unless told otherwise', async () => {
    node.onCall = (call) => (call.message === 'multiPut' ? call.answer([]) : call.written());
    await client.put('k', 'v');
    await client.put('k', 'v', { wait: 'logged', ttlMs: 5, contentType: 'text/plain' });
    await client.delete('k', { wait: 'logged' });
    const bare = { ttlMs: null, contentType: null };
    const kv = { key: Buffer.from('k'), value: Buffer.from('v') };
    expect(node.calls.map(({ parameters }) => ({ ...parameters }))).to.deep.equal([
      { ...kv, ...bare, wait: 'APPLIED' },
      { ...kv, wait: 'LOGGED', ttlMs: 5, contentType: 'text/plain' },
      { key: kv.key, wait: 'LOGGED' },
    ]);
  });

  it('gives each of several reads and writes its own outcome, in their order', async () => {
    const failure = { 'bitacora.rpc.Failure': { code: 'key_empty', status: 400, detail: 'a key has a byte' } };
    const written = { partition: 2, offset: 7, timestampMs: 3, applied: false };
    node.onCall = (call) =>
      call.message === 'multiPut'
        ? call.answer([failure, { 'bitacora.rpc.Written': written }])
        : call.answer([
            { 'bitacora.rpc.Reading': { found: null, source: 'PEER', partition: 2, position: 8 } },
            failure,
          ]);
    const [refused, done] = await client.putMany([
      { key: '', value: 'v' },
      { key: 'k', value: null },
    ]);
    expect(refused).to.deep.include({ status: 'rejected' });
    expect((refused as PromiseRejectedResult).reason)
      .to.be.instanceOf(DatabaseError)
      .and.include({ code: 'key_empty', status: 400 });
    expect(done).to.deep.equal({ status: 'fulfilled', value: written });
    expect(
      node.calls[0]!.parameters.writes.map(({ value }: { value: Buffer | null }) => value?.toString() ?? null),
    ).to.deep.equal(['v', null]);

    const [absent, failed] = await client.getMany(['k', '']);
    expect(absent).to.deep.equal({ status: 'fulfilled', value: undefined });
    expect((failed as PromiseRejectedResult).reason).to.include({ code: 'key_empty', detail: 'a key has a byte' });
  });

  it('does not guess whose answers are whose when their number is wrong', async () => {
    node.onCall = (call) => call.answer([]);
    expect(await faultOf(client.getMany(['a']))).to.include({ code: 'internal', status: 500 });
    expect(await faultOf(client.putMany([{ key: 'a', value: 'v' }]))).to.include({
      code: 'write_outcome_unknown',
      status: 504,
    });
  });

  it('rejects with the code, status and detail that the node gave', async () => {
    node.onCall = (call) => call.fail('value_too_large', 413, 'a byte too many');
    const error = await faultOf(client.put('k', 'v'));
    expect(error).to.include({
      code: 'value_too_large',
      status: 413,
      detail: 'a byte too many',
      name: 'DatabaseError',
    });
    expect(error.message).to.equal('value_too_large: a byte too many');
    // What no message declares comes as a string.
    node.onCall = (call) => call.failWith('message_unknown: what is that');
    expect(await faultOf(client.get('k'))).to.include({ code: 'message_unknown', status: 404, detail: 'what is that' });
    node.onCall = (call) => call.failWith('java.lang.NullPointerException');
    expect(await faultOf(client.get('k'))).to.include({
      code: 'internal',
      status: 500,
      detail: 'java.lang.NullPointerException',
    });
  });

  it('takes no arguments that make no sense, and sends nothing of them', async () => {
    // biome-ignore lint/suspicious/noExplicitAny: what a compiler would not let through.
    const loose = client as any;
    const calls = [
      loose.get(1),
      loose.get(),
      loose.get('k', { consistency: 'strong' }),
      loose.get('k', { consistency: 'constructor' }),
      loose.getMany('k'),
      loose.getMany([null]),
      loose.put('k', undefined),
      loose.put('k', null),
      loose.put('k', { length: 3 }),
      loose.put('k', 'v', { wait: 'never' }),
      loose.put('k', 'v', { ttlMs: 1.5 }),
      loose.put('k', 'v', { ttlMs: Number.NaN }),
      loose.put('k', 'v', { ttlMs: '5' }),
      loose.put('k', 'v', { contentType: 7 }),
      loose.delete([1]),
      loose.putMany({ key: 'k', value: 'v' }),
      loose.putMany([{ key: 'k' }]),
    ];
    for (const [index, outcome] of (await Promise.allSettled(calls)).entries()) {
      expect((outcome as PromiseRejectedResult).reason, `call ${index}`).to.be.instanceOf(TypeError);
    }
    node.onCall = (call) => call.reading(null);
    await client.get('last');
    expect(node.calls.map(({ key }) => key)).to.deep.equal(['last']);
  });

  it('takes no options that make no sense', async () => {
    const { address } = node;
    const options = [
      { nodes: [] },
      { nodes: ['127.0.0.1'] },
      { nodes: ['127.0.0.1:0'] },
      { nodes: ['http://127.0.0.1:1'] },
      { nodes: [address, '::1:8182'] },
      { nodes: address },
      { nodes: [address], timeoutMs: 0 },
      { nodes: [address], timeoutMs: Number.POSITIVE_INFINITY },
      { nodes: [address], timeoutMs: 2 ** 31 },
      {},
    ];
    for (const each of options) {
      // biome-ignore lint/suspicious/noExplicitAny: what a compiler would not let through.
      const outcome = await connect(each as any).then(
        () => undefined,
        (error) => error,
      );
      expect(outcome, JSON.stringify(each)).to.be.instanceOf(TypeError);
    }
  });

  it('finds nodes by name and by IPv6 address', async function () {
    const six = await ScriptedNode.start('::1').catch(() => this.skip());
    try {
      for (const nodes of [[`localhost:${node.port}`], [`[::1]:${six.port}`]]) {
        const other = await connect({ nodes, timeoutMs });
        await other.close();
      }
    } finally {
      await six.stop();
    }
  });

  describe('in a session', () => {
    const sent = () =>
      node.calls.map(({ parameters: { consistency, positions } }) => [consistency, positions?.map(Object.values)]);

    it('sends back with each read the furthest positions that it has seen and written', async () => {
      node.onCall = (call) =>
        call.message === 'put' ? call.written(9, 3) : call.reading(null, { partition: 1, position: 4 });
      await client.get('a');
      await client.put('b', 'v');
      await client.get('a');
      node.onCall = (call) => call.reading(null, { partition: 1, position: 2 });
      await client.get('a');
      await client.get('a');
      expect(sent().filter((_, index) => index !== 1)).to.deep.equal([
        ['SESSION', []],
        [
          'SESSION',
          [
            [1, 4],
            [3, 10],
          ],
        ],
        [
          'SESSION',
          [
            [1, 4],
            [3, 10],
          ],
        ],
        [
          'SESSION',
          [
            [1, 4],
            [3, 10],
          ],
        ],
      ]);
    });

    it('counts what came of several reads and writes', async () => {
      node.onCall = (call) => {
        if (call.message === 'multiPut')
          call.answer([{ 'bitacora.rpc.Written': { partition: 5, offset: 1, timestampMs: 1, applied: false } }]);
        else if (call.message === 'multiGet')
          call.answer([{ 'bitacora.rpc.Reading': { found: null, source: 'LOG', partition: 6, position: 3 } }]);
        else call.reading(null);
      };
      await client.putMany([{ key: 'a', value: 'v' }]);
      await client.getMany(['b']);
      await client.get('c');
      expect(node.calls[1]!.parameters.positions.map(Object.values)).to.deep.equal([[5, 2]]);
      expect(node.calls[2]!.parameters.positions.map(Object.values)).to.deep.equal([
        [5, 2],
        [6, 3],
      ]);
    });

    it('sends none with local and linearizable reads', async () => {
      node.onCall = (call) => call.reading(null, { position: 4 });
      await client.get('a');
      await client.get('a', { consistency: 'local' });
      await client.get('a', { consistency: 'linearizable' });
      expect(sent().slice(1)).to.deep.equal([
        ['LOCAL', []],
        ['LINEARIZABLE', []],
      ]);
    });

    it('keeps no positions that no node would take', async () => {
      for (const [partition, position] of [
        [-1, 5],
        [3, -5],
        [4, 0],
      ] as const) {
        node.onCall = (call) => call.reading(null, { partition, position });
        await client.get('a');
      }
      await client.get('a');
      expect(sent().at(-1)).to.deep.equal(['SESSION', []]);
    });

    it('ends in an error where a node makes up partitions without end, rather than in older reads', async () => {
      let partition = 0;
      node.onCall = (call) => {
        const readings = call.parameters.keys.map(() => ({
          'bitacora.rpc.Reading': { found: null, source: 'LOG', partition: partition++, position: 1 },
        }));
        call.answer(readings);
      };
      await client.getMany(Array.from({ length: 4_097 }, (_, i) => `k${i}`));
      expect(await faultOf(client.getMany(['k']))).to.include({ code: 'parameter_invalid', status: 400 });
      await client.getMany(['k'], { consistency: 'local' });
    });
  });
});
