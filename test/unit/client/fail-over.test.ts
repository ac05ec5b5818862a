import { once } from 'node:events';
import { expect } from 'chai';
import { Client, connect, DatabaseError } from '../../../src/client/client.ts';
import { until } from '../../support/http-node.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { faultOf } from './fault.ts';
import { type ScriptedCall, ScriptedNode } from './scripted-node.ts';

/** Longer than any test. */
const patientMs = 120_000;

describe('a client whose nodes fail', () => {
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

  async function connected(timeoutMs: number, ...to: readonly { readonly address: string }[]): Promise<Client> {
    const client = await connect({ nodes: to.map(({ address }) => address), timeoutMs });
    clients.push(client);
    return client;
  }

  const refuse = (code: string) => (call: ScriptedCall) => call.fail(code, 503);
  const read = (value: string) => (call: ScriptedCall) => call.reading(value);
  const value = async (reading: ReturnType<Client['get']>) => (await reading)?.value.toString();

  describe('when a connection ends', () => {
    it('asks reads again elsewhere, and says of writes that their outcome is unknown', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      second.onCall = read('of the second');
      const outcomes = Promise.allSettled([
        client.get('a'),
        client.put('b', '1'),
        client.delete('c'),
        client.putMany([{ key: 'd', value: '1' }]),
      ]);
      await first.called(4);
      first.drop();
      const [reading, ...writes] = await outcomes;
      expect((reading as PromiseFulfilledResult<{ value: Buffer }>).value.value.toString()).to.equal('of the second');
      for (const write of writes) {
        const { reason } = write as PromiseRejectedResult;
        expect(reason).to.be.instanceOf(DatabaseError).and.include({ code: 'write_outcome_unknown', status: 504 });
      }
      expect(await value(client.get('z'))).to.equal('of the second');
      expect(second.calls.map(({ message }) => message)).to.deep.equal(['get', 'get']);
    });

    it('sends what had not left to the next node, writes too and in their order', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      second.onCall = (call) => call.written();
      const writes = Array.from({ length: 1_500 }, (_, i) => client.put('k', String(i)));
      const outcomes = Promise.allSettled(writes);
      await first.called(1_000);
      first.drop();
      const settled = await outcomes;
      expect(settled.slice(0, 1_000).every((write) => write.status === 'rejected')).to.equal(true);
      expect(settled.slice(1_000).every((write) => write.status === 'fulfilled')).to.equal(true);
      expect(first.calls.length).to.equal(1_000);
      expect(second.calls.map((call) => call.value)).to.deep.equal(
        Array.from({ length: 500 }, (_, i) => String(1_000 + i)),
      );
    });

    it('goes back to the only node when that one is back at its port, with what was to be sent meanwhile', async () => {
      const node = await start();
      await node.stop();
      const client = new Client({ nodes: [node.address], timeoutMs: patientMs });
      clients.push(client);
      const reading = client.get('a');
      const write = client.put('a', '1');
      node.onCall = (call) => (call.message === 'get' ? call.reading('back') : call.written());
      await node.listen();
      expect(await value(reading)).to.equal('back');
      await write;
      expect(node.calls.length).to.equal(2);
    });
  });

  describe('when a node refuses', () => {
    it('asks the next one, for writes too, and stays there', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      first.onCall = refuse('not_caught_up');
      second.onCall = (call) => (call.message === 'get' ? call.reading('caught up') : call.written());
      expect(await value(client.get('a'))).to.equal('caught up');
      await client.put('a', '1');
      expect([first.calls.length, second.calls.length]).to.deep.equal([1, 2]);
      expect(first.open).to.equal(0);
    });

    it('gives the error when each of them has refused', async () => {
      const all = [await start(), await start(), await start()];
      const client = await connected(patientMs, ...all);
      for (const node of all) node.onCall = refuse('log_unavailable');
      expect(await faultOf(client.put('a', '1'))).to.include({ code: 'log_unavailable', status: 503 });
      expect(all.map(({ calls }) => calls.length)).to.deep.equal([1, 1, 1]);
    });

    it('gives the error of the only node at once', async () => {
      const node = await start();
      const client = await connected(patientMs, node);
      node.onCall = refuse('overloaded');
      expect(await faultOf(client.put('a', '1'))).to.include({ code: 'overloaded', status: 503 });
      expect([node.calls.length, node.connections]).to.deep.equal([1, 1]);
    });

    it('does not take other errors to another node', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      for (const [code, status] of [
        ['key_empty', 400],
        ['value_too_large', 413],
        ['internal', 500],
        ['write_outcome_unknown', 504],
      ] as const) {
        first.onCall = (call) => call.fail(code, status);
        expect(await faultOf(client.put('a', '1'))).to.include({ code, status });
      }
      expect(second.calls.length).to.equal(0);
    });

    it('does not bring an older value back: a write is not sent again behind a later one of its key', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      second.onCall = (call) => (call.message === 'multiPut' ? call.answer([]) : call.written());
      const older = client.put('k', 'older');
      const several = client.putMany([
        { key: 'other', value: '1' },
        { key: 'k', value: 'older too' },
      ]);
      const newer = client.delete('k');
      const apart = client.put('apart', '1');
      const [put, putMany, del, putApart] = await first.called(4);
      del!.written();
      await newer;
      put!.fail('overloaded', 503);
      putMany!.fail('overloaded', 503);
      putApart!.fail('overloaded', 503);
      expect(await faultOf(older)).to.include({ code: 'overloaded' });
      expect(await faultOf(several)).to.include({ code: 'overloaded' });
      await apart;
      expect(second.calls.map(({ key }) => key)).to.deep.equal(['apart']);
    });

    it('sends no write while an earlier one of its key is under way at a node that was left: it could overtake that', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      second.onCall = (call) => (call.message === 'get' ? call.reading('second') : call.written(2));
      const older = client.put('k', 'older');
      await first.called(1);
      first.onCall = refuse('not_caught_up');
      await client.get('a');
      const newer = Promise.all([client.put('k', 'newer'), client.delete('k')]);
      await client.put('apart', '1');
      expect(second.calls.map(({ key }) => key)).to.deep.equal(['a', 'apart']);
      first.calls[0]!.written(1);
      await older;
      await newer;
      expect(second.calls.slice(2).map(({ message, key }) => [message, key])).to.deep.equal([
        ['put', 'k'],
        ['remove', 'k'],
      ]);
    });

    it('leaves one that is shutting down, whose answers to earlier calls still count', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      second.onCall = (call) => (call.message === 'get' ? call.reading('second') : call.written(2));
      const early = client.put('early', '1');
      await first.called(1);
      first.onCall = refuse('shutting_down');
      expect(await value(client.get('a'))).to.equal('second');
      await client.put('late', '1');
      expect(first.open).to.equal(1);
      first.calls[0]!.written(1);
      expect(await early).to.include({ offset: 1 });
      await until(() => first.open === 0);
      expect(second.calls.map(({ key }) => key)).to.deep.equal(['a', 'late']);
    });

    it('waits for the only node to come back that is shutting down', async () => {
      const node = await start();
      const client = await connected(patientMs, node);
      node.onCall = refuse('shutting_down');
      const write = client.put('a', '1');
      await node.called(2);
      node.onCall = (call) => call.written(7);
      expect(await write).to.include({ offset: 7 });
    });
  });

  describe('when nobody answers', () => {
    it('says within its time what was wrong with each node, and that nothing was sent', async () => {
      const [gone, other] = [await freePort(), await freePort()];
      const error = await faultOf(connect({ nodes: [`127.0.0.1:${gone}`, `127.0.0.1:${other}`], timeoutMs: 200 }));
      expect(error).to.include({ code: 'unavailable', status: 0 });
      expect(error.detail)
        .to.include(`127.0.0.1:${gone} (connect ECONNREFUSED`)
        .and.include(`127.0.0.1:${other} (connect ECONN`);
    });

    it('takes names that nobody has for nodes that are down', async () => {
      const node = await start();
      node.onCall = read('found');
      const client = await connected(patientMs, { address: 'no-such-host.invalid:1' }, node);
      expect(await value(client.get('a'))).to.equal('found');
    });

    it('passes a node by that takes connections and says nothing', async () => {
      const [silent, node] = [await start(), await start()];
      silent.onConnection = () => false;
      node.onCall = read('answered');
      const client = await connected(2_000, silent, node);
      expect(await value(client.get('a'))).to.equal('answered');
      expect(silent.connections).to.equal(1);
    });

    it('asks reads elsewhere when a node hangs, waits for its answers to writes, and never sends those twice', async () => {
      const [hung, node] = [await start(), await start()];
      const client = await connected(3_000, hung, node);
      node.onCall = (call) => (call.message === 'get' ? call.reading('elsewhere') : call.written());
      hung.answersPings = false;
      const [late, never] = [client.put('late', '1'), client.put('never', '1')];
      expect(await value(client.get('a'))).to.equal('elsewhere');
      await client.put('next', '1');
      hung.calls.find(({ key }) => key === 'late')!.written(5);
      expect(await late).to.include({ offset: 5 });
      expect(await faultOf(never)).to.include({ code: 'write_outcome_unknown', status: 504 });
      expect(node.calls.map(({ key }) => key)).to.deep.equal(['a', 'next']);
    });

    it('stays with a node that takes long over a call, as long as that answers pings', async () => {
      const [slow, node] = [await start(), await start()];
      const client = await connected(4_000, slow, node);
      const reading = client.get('a');
      await until(() => slow.pings >= 3);
      slow.calls[0]!.reading('at last');
      expect(await value(reading)).to.equal('at last');
      expect([slow.connections, node.connections]).to.deep.equal([1, 0]);
    });

    it('gives calls up when their time is over, and is not confused by answers that come later', async () => {
      const node = await start();
      const client = await connected(300, node);
      const [reading, write] = [client.get('a'), client.put('b', '1')];
      expect(await faultOf(reading)).to.include({ code: 'timeout' });
      expect(await faultOf(write)).to.include({ code: 'write_outcome_unknown' });
      for (const call of node.calls.slice()) {
        if (call.message === 'get') call.reading('late');
        else call.written();
      }
      node.onCall = read('in time');
      expect(await value(client.get('c'))).to.equal('in time');
      await until(() => node.open === 1);
    });
  });

  describe('with many calls', () => {
    it('sends them in the order in which they were made, also around the connection that they wait for', async () => {
      const node = await start();
      const client = await connected(patientMs, node);
      node.drop();
      node.onCall = (call) => call.written();
      const writes: Promise<unknown>[] = [];
      let made = 0;
      const make = () => writes.push(client.put(`k${made}`, String(made++)).catch(() => {}));
      for (let turn = 0; turn < 300; turn += 1) {
        for (let i = 0; i < 7; i += 1) make();
        if (turn % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        else if (turn % 3 === 1) await Promise.resolve();
      }
      await Promise.all(writes);
      const got = node.calls.map((call) => Number(call.value));
      expect(got.length).to.be.greaterThan(1_500);
      expect(got).to.deep.equal([...got].sort((a, b) => a - b));
    });

    it('has no more of them under way than a node carries out, and the others wait', async () => {
      const node = await start();
      const client = await connected(patientMs, node);
      const reads = Array.from({ length: 2_500 }, (_, i) => client.get(`k${i}`));
      await node.called(1_000);
      await until(() => node.pings > 0 || node.calls.length > 1_000);
      expect(node.calls.length).to.equal(1_000);
      node.onCall = (call) => call.reading(call.key);
      for (const call of node.calls.slice(0, 1_000)) call.reading(call.key);
      const entries = await Promise.all(reads);
      expect(entries.map((entry) => entry?.value.toString())).to.deep.equal(
        Array.from({ length: 2_500 }, (_, i) => `k${i}`),
      );
    });

    it('holds large writes back from a node that does not take them, and says of those that nothing was sent', async () => {
      const node = await start();
      const client = await connected(700, node);
      node.onCall = (call) => void call.socket.pause();
      const big = Buffer.alloc(1024 * 1024);
      const outcomes = await Promise.allSettled(Array.from({ length: 64 }, (_, i) => client.put(`k${i}`, big)));
      const codes = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code as string);
      const sent = codes.lastIndexOf('write_outcome_unknown') + 1;
      expect(sent).to.be.within(1, 17);
      expect(codes.slice(0, sent).every((code) => code === 'write_outcome_unknown')).to.equal(true);
      expect(codes.slice(sent).every((code) => code === 'unavailable')).to.equal(true);
    });

    it('refuses what it would have to keep without bound', async () => {
      const node = await start();
      const client = await connected(300, node);
      const big = Buffer.alloc(1024 * 1024);
      const writes = Array.from({ length: 300 }, (_, i) => client.put(`k${i}`, big).catch((error) => error.code));
      expect((await Promise.all(writes)).slice(-40)).to.deep.equal(Array.from({ length: 40 }, () => 'overloaded'));
      const tooLarge = client.put('k', Buffer.alloc(65 * 1024 * 1024));
      expect(await faultOf(tooLarge)).to.include({ code: 'value_too_large', status: 413 });
    });
  });

  describe('when it is closed', () => {
    it('waits for what is under way, takes no more calls, and leaves nothing open', async () => {
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
      const node = await start();
      const before = timers();
      const client = await connect({ nodes: [node.address], timeoutMs: patientMs });
      const write = client.put('a', '1');
      const [call] = await node.called(1);
      const closing = client.close();
      expect(await faultOf(client.get('b'))).to.include({ code: 'closed' });
      call!.written(3);
      expect(await write).to.include({ offset: 3 });
      await Promise.all([closing, client.close()]);
      await until(() => node.open === 0);
      expect(timers()).to.equal(before);
      expect(await faultOf(client.put('b', '1'))).to.include({ code: 'closed' });
    });

    it('lets a call under way be asked again elsewhere', async () => {
      const [first, second] = [await start(), await start()];
      const client = await connected(patientMs, first, second);
      second.onCall = read('second');
      const reading = client.get('a');
      await first.called(1);
      const closing = client.close();
      first.drop();
      expect(await value(reading)).to.equal('second');
      await closing;
    });

    it('ends at once where it has only connected, or could not', async () => {
      const node = await start();
      const client = await connected(patientMs, node);
      await client.close();
      const hung = await start();
      hung.onConnection = () => false;
      const connecting = connect({ nodes: [hung.address], timeoutMs: 100 });
      expect(await faultOf(connecting)).to.include({ code: 'unavailable' });
      await until(() => hung.open === 0 && node.open === 0);
    });
  });

  it('uses one connection, and the same one for all calls', async () => {
    const node = await start();
    const client = await connected(patientMs, node);
    node.onCall = read('v');
    await Promise.all(Array.from({ length: 50 }, (_, i) => client.get(`k${i}`)));
    for (let i = 0; i < 50; i += 1) await client.get(`k${i}`);
    expect(node.connections).to.equal(1);
    const [{ socket }] = (await node.called(1)) as [ScriptedCall];
    const ended = once(socket, 'close');
    await client.close();
    await ended;
  });
});
