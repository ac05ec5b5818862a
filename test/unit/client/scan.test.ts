import { expect } from 'chai';
import { type Client, connect, DatabaseError, type ScanRange } from '../../../src/client/client.ts';
import { faultOf } from './fault.ts';
import { type ScriptedCall, ScriptedNode } from './scripted-node.ts';

/** Longer than any test. */
const timeoutMs = 120_000;

describe('a client that scans', () => {
  const nodes: ScriptedNode[] = [];
  const clients: Client[] = [];

  afterEach(async () => {
    const closing = clients.splice(0).map((client) => client.close());
    for (const node of nodes) node.onCall = (call) => void call.socket.destroy();
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
    await Promise.all(closing);
  });

  async function start(): Promise<ScriptedNode> {
    const node = await ScriptedNode.start();
    nodes.push(node);
    return node;
  }

  async function connected(...to: readonly ScriptedNode[]): Promise<Client> {
    const client = await connect({ nodes: to.map(({ address }) => address), timeoutMs });
    clients.push(client);
    return client;
  }

  const entry = (key: string, value: string | null = `of ${key}`) => ({
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    partition: 1,
    offset: 7,
    timestampMs: 5,
    expiresAtMs: null,
    contentType: null,
  });

  function answerPage(call: ScriptedCall, keys: readonly string[], after: string | null, position = 9): void {
    call.answer({
      entries: keys.map((key) => entry(key, call.parameters.keysOnly ? null : undefined)),
      after: after === null ? null : Buffer.from(after),
      positions: [{ partition: 1, position }],
    });
  }

  /** Has these keys, and gives them in pages of two. */
  const holding =
    (...keys: readonly string[]) =>
    (call: ScriptedCall) => {
      const after = call.parameters.after?.toString() ?? '';
      const limit = Math.min(call.parameters.limit, 2);
      const page = keys.filter((key) => key > after).slice(0, limit);
      answerPage(call, page, page.length < limit ? null : page.at(-1)!);
    };

  async function keysOf(client: Client, range: ScanRange = {}): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key, value } of client.scan(range)) {
      expect(value.toString()).to.equal(`of ${key}`);
      keys.push(key.toString());
    }
    return keys;
  }

  it('reads page after page to the end, with its bounds', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = holding('a', 'b', 'c', 'd', 'e');
    expect(await keysOf(client, { prefix: 'p', from: Buffer.from('f'), to: 't' })).to.deep.equal([
      'a',
      'b',
      'c',
      'd',
      'e',
    ]);
    expect(node.calls.map(({ parameters }) => parameters.after?.toString())).to.deep.equal([undefined, 'b', 'd']);
    for (const { message, parameters } of node.calls) {
      expect(message).to.equal('scan');
      const { prefix, fromKey, toKey, keysOnly, consistency, limit } = parameters;
      expect([prefix, fromKey, toKey].map(String)).to.deep.equal(['p', 'f', 't']);
      expect([keysOnly, consistency, limit]).to.deep.equal([false, 'SESSION', 1_000]);
    }
  });

  it('has no bounds when none are given, and begins behind a key', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = holding('a', 'b', 'c');
    expect(await keysOf(client)).to.deep.equal(['a', 'b', 'c']);
    expect(node.calls[0]!.parameters).to.include({ fromKey: null, toKey: null, after: null });
    expect(node.calls[0]!.parameters.prefix).to.have.length(0);
    expect(await keysOf(client, { after: 'b' })).to.deep.equal(['c']);
  });

  it('asks for no more entries than are wanted, of all pages together', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = holding('a', 'b', 'c', 'd', 'e');
    expect(await keysOf(client, { limit: 3 })).to.deep.equal(['a', 'b', 'c']);
    expect(node.calls.map(({ parameters }) => parameters.limit)).to.deep.equal([3, 1]);
  });

  it('goes past pages that are empty', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = (call) => {
      const after = call.parameters.after?.toString();
      if (after === undefined) answerPage(call, [], 'k');
      else if (after === 'k') answerPage(call, [], 'l');
      else answerPage(call, ['m'], null);
    };
    expect(await keysOf(client)).to.deep.equal(['m']);
  });

  it('reads the next page when the one before has been taken, and none that is not wanted', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = holding('a', 'b', 'c', 'd', 'e');
    for await (const { key } of client.scan()) {
      expect(node.calls.length).to.equal(1);
      if (key.toString() === 'b') break;
    }
    await client.ping();
    expect(node.calls.length).to.equal(1);
  });

  it('has keys without values when only those are asked for, with their versions', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = holding('a');
    for await (const scanned of client.scan({ keysOnly: true })) {
      expect(scanned).to.deep.equal({
        key: Buffer.from('a'),
        partition: 1,
        offset: 7,
        timestampMs: 5,
        expiresAtMs: undefined,
        contentType: undefined,
      });
    }
    expect(node.calls[0]!.parameters.keysOnly).to.equal(true);
  });

  it('goes on at another node behind what it has, at the positions that it has seen', async () => {
    const [first, second] = [await start(), await start()];
    const client = await connected(first, second);
    first.onCall = (call) => {
      if (call.parameters.after === null) answerPage(call, ['a', 'b'], 'b', 42);
      else first.drop();
    };
    second.onCall = holding('a', 'b', 'c', 'd', 'e');
    expect(await keysOf(client)).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    const [taken] = second.calls;
    expect(taken!.parameters.after.toString()).to.equal('b');
    expect({ ...taken!.parameters.positions[0] }).to.deep.equal({ partition: 1, position: 42 });
  });

  it('asks the next node when one cannot scan yet', async () => {
    const [first, second] = [await start(), await start()];
    const client = await connected(first, second);
    first.onCall = (call) => call.fail('scan_not_ready', 503);
    second.onCall = holding('a');
    expect(await keysOf(client)).to.deep.equal(['a']);
  });

  it('ends with the error of a page, and what came before has been had', async () => {
    const node = await start();
    const client = await connected(node);
    node.onCall = (call) => {
      if (call.parameters.after === null) answerPage(call, ['a', 'b'], 'b');
      else call.fail('scan_disabled', 501);
    };
    const seen: string[] = [];
    const scan = async () => {
      for await (const { key } of client.scan()) seen.push(key.toString());
    };
    expect(await faultOf(scan())).to.include({ code: 'scan_disabled', status: 501 });
    expect(seen).to.deep.equal(['a', 'b']);
  });

  it('goes round in no circle with a node that does not go forward, and takes no answer to another question', async () => {
    const page = (keys: readonly string[], after: string | null) => (call: ScriptedCall) =>
      answerPage(call, keys, after);
    for (const [answer, range] of [
      [page([], 'b'), { after: 'b' }],
      [page([], 'a'), { after: 'b' }],
      [page(['c', 'd'], 'c'), {}],
      [page(['c', 'd'], null), { limit: 1 }],
      [(call: ScriptedCall) => call.answer({ entries: [entry('a', null)], after: null, positions: [] }), {}],
    ] as const) {
      const node = await start();
      const client = await connected(node);
      node.onCall = answer;
      const fault = await faultOf(client.scan(range).next());
      expect(fault).to.be.instanceOf(DatabaseError).and.include({ code: 'internal', status: 500 });
      expect(node.calls.length).to.equal(1);
    }
  });

  it('refuses arguments that make no sense', async () => {
    const node = await start();
    const client = await connected(node);
    for (const range of [
      { prefix: 1 },
      { from: null },
      { to: {} },
      { after: [] },
      { limit: 0 },
      { limit: 1.5 },
      { limit: '3' },
      { keysOnly: 'yes' },
      { consistency: 'strong' },
    ]) {
      const scan = client.scan(range as unknown as ScanRange);
      const fault = await scan.next().then(String, (error: unknown) => error);
      expect(fault, JSON.stringify(range)).to.be.instanceOf(TypeError);
    }
    expect(node.calls.length).to.equal(0);
  });
});
