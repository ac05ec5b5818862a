import { expect } from 'chai';
import { type ClientProtocol, framed, handshakeAnswerIn, long } from '../../support/avro/avro-bytes.ts';
import { type AvroClient, AvroRig, databaseProtocol, originalProtocol } from '../../support/avro/avro-rig.ts';
import { settled } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';

const bytes = (text: string) => Buffer.from(text);
const valueBytesMax = 1024 * 1024;
const ping = Buffer.from([0, 0]);

interface Reading {
  readonly found: { readonly value: Buffer } | null;
}

describe('a connection of the Avro socket', () => {
  let rig: AvroRig;
  beforeEach(async () => {
    rig = await AvroRig.start({ valueBytesMax });
  });
  afterEach(async () => {
    expect(rig.complaints).to.deep.equal([]);
    await rig.stop();
  });

  describe('by the original protocol', () => {
    let client: AvroClient;
    beforeEach(async () => {
      client = await rig.client(originalProtocol);
    });

    it('sets, gets and deletes texts', async () => {
      expect(await client.value('getValue', { key: 'ñ' })).to.equal(null);
      expect(await client.value('setValue', { key: 'ñ', value: 'vü' })).to.equal(null);
      expect(await client.value('getValue', { key: 'ñ' })).to.equal('vü');
      expect(rig.replica.value('ñ')).to.equal('vü');
      expect(await client.value('setValue', { key: 'ñ', value: '' })).to.equal(null);
      expect(await client.value('getValue', { key: 'ñ' })).to.equal('');
      expect(await client.value('delete', { key: 'ñ' })).to.equal(null);
      expect(await client.value('getValue', { key: 'ñ' })).to.equal(null);
    });

    it('tells errors in texts that begin with their code', async () => {
      expect(await client.failure('getValue', { key: '' })).to.match(/^key_empty: ./);
      const value = 'x'.repeat(valueBytesMax + 1);
      expect(await client.failure('setValue', { key: 'k', value })).to.match(/^value_too_large: ./);
      rig.replica.log.inner.appendForeign(0, bytes('binary'), Buffer.of(0xff), 0);
      await settled();
      expect(await client.failure('getValue', { key: 'binary' })).to.match(/^value_not_text: ./);
      rig.replica.log.down = true;
      expect(await client.failure('delete', { key: 'k' })).to.match(/^log_unavailable: ./);
    });
  });

  describe('by our protocol', () => {
    let client: AvroClient;
    beforeEach(async () => {
      client = await rig.client();
    });
    const failsWith = async (name: string, parameters: object, code: string, status: number): Promise<void> => {
      const error = (await client.failure(name, parameters)) as { code: string; status: number; detail: string };
      expect([error.code, error.status]).to.deep.equal([code, status]);
      expect(error.detail).to.match(/\w \w/);
    };

    it('puts, gets and deletes bytes, with their versions', async () => {
      const timestampMs = rig.replica.clock.nowMs();
      const key = Buffer.of(0xff, 0, 1);
      const nothing = { found: null, source: 'LOG', partition: 0, position: 0 };
      expect(await client.value('get', { key })).to.deep.equal(nothing);
      const written = { partition: 0, offset: 0, timestampMs, applied: true };
      const put = { key, value: Buffer.of(0, 0xfe), ttlMs: 5_000, contentType: 'text/x; a=b' };
      expect(await client.value('put', put)).to.deep.equal(written);
      expect(await client.value('get', { key })).to.deep.equal({
        found: {
          value: Buffer.of(0, 0xfe),
          partition: 0,
          offset: 0,
          timestampMs,
          expiresAtMs: timestampMs + 5_000,
          contentType: 'text/x; a=b',
        },
        source: 'LOG',
        partition: 0,
        position: 1,
      });
      expect(await client.value('remove', { key })).to.deep.equal({ ...written, offset: 1 });
      expect(await client.value('get', { key })).to.deep.equal({ ...nothing, position: 2 });
    });

    it('lets a value be gone when its time is up', async () => {
      await client.value('put', { key: bytes('k'), value: bytes('v'), ttlMs: 1_000 });
      await rig.replica.clock.pass(1_001);
      expect(await client.value('get', { key: bytes('k') })).to.have.property('found', null);
    });

    it('answers a write that waits for the log alone before the node has applied it', async () => {
      await rig.replica.log.holdReader();
      const put = { key: bytes('k'), value: bytes('v'), wait: 'LOGGED' };
      expect(await client.value('put', put)).to.include({ offset: 0, applied: false });
      expect(await client.value('remove', { key: bytes('k'), wait: 'LOGGED' })).to.include({
        offset: 1,
        applied: false,
      });
    });

    it('reads a session’s own writes, once the node has them', async () => {
      await rig.replica.log.holdReader();
      await client.value('put', { key: bytes('k'), value: bytes('v'), wait: 'LOGGED' });
      const positions = [{ partition: 0, position: 1 }];
      client.send('get', { key: bytes('k'), consistency: 'SESSION', positions });
      // Of positions given twice the higher one counts.
      const twice = [
        { partition: 0, position: 1 },
        { partition: 0, position: 0 },
      ];
      client.send('get', { key: bytes('k'), consistency: 'SESSION', positions: twice });
      await client.value('remove', { key: bytes('other'), wait: 'LOGGED' });
      rig.replica.log.releaseReader();
      for (let i = 0; i < 2; i += 1) {
        const { value } = await client.next();
        expect((value as Reading).found?.value.toString()).to.equal('v');
      }
    });

    it('tells errors by the codes and statuses of the table', async () => {
      const key = bytes('k');
      const value = bytes('v');
      await failsWith('get', { key: Buffer.alloc(0) }, 'key_empty', 400);
      await failsWith('get', { key: Buffer.alloc(65_537) }, 'key_too_long', 400);
      await failsWith('put', { key, value: Buffer.alloc(valueBytesMax + 1) }, 'value_too_large', 413);
      for (const ttlMs of [0, -1, 1e13]) await failsWith('put', { key, value, ttlMs }, 'parameter_invalid', 400);
      for (const contentType of ['', 'x'.repeat(257), 'a\nb', 'ñ']) {
        await failsWith('put', { key, value, contentType }, 'parameter_invalid', 400);
      }
      for (const positions of [
        [{ partition: -1, position: 0 }],
        [{ partition: 0, position: -1 }],
        Array.from({ length: 4_097 }, (_, partition) => ({ partition, position: 0 })),
      ]) {
        await failsWith('get', { key, consistency: 'SESSION', positions }, 'parameter_invalid', 400);
      }
      rig.replica.log.down = true;
      await failsWith('put', { key, value }, 'log_unavailable', 503);
      await failsWith('get', { key, consistency: 'LINEARIZABLE' }, 'log_unavailable', 503);
    });

    it('tells a session that the node is behind, when its time is up', async () => {
      const positions = [{ partition: 0, position: 9 }];
      client.send('get', { key: bytes('k'), consistency: 'SESSION', positions });
      let answer: { error?: unknown } | undefined;
      void client.next().then((next) => {
        answer = next;
      });
      while (answer === undefined) await rig.replica.clock.pass(1_000);
      expect(answer.error).to.include({ code: 'position_not_reached', status: 503 });
    });

    it('gets many keys, each by itself', async () => {
      await client.value('put', { key: bytes('a'), value: bytes('1') });
      const keys = [bytes('a'), Buffer.alloc(0), bytes('none'), Buffer.alloc(65_537), bytes('a')];
      const answers = (await client.value('multiGet', { keys })) as Record<string, { code?: string } & Reading>[];
      const told = answers.map((answer) => {
        const reading = answer['bitacora.rpc.Reading'];
        return reading === undefined ? answer['bitacora.rpc.Failure']?.code : (reading.found?.value.toString() ?? null);
      });
      expect(told).to.deep.equal(['1', 'key_empty', null, 'key_too_long', '1']);
      expect(await client.value('multiGet', { keys: [] })).to.deep.equal([]);
    });

    it('puts and deletes many keys, each by itself', async () => {
      const nothing = { ttlMs: null, contentType: null };
      const writes = [
        { ...nothing, key: bytes('a'), value: bytes('1') },
        { ...nothing, key: Buffer.alloc(0), value: bytes('2') },
        { ...nothing, key: bytes('b'), value: Buffer.alloc(valueBytesMax + 1) },
        { ...nothing, key: bytes('c'), value: bytes('3'), ttlMs: 0 },
        { ...nothing, key: bytes('a'), value: null },
        { ...nothing, key: bytes('d'), value: Buffer.alloc(0), contentType: 'x/y' },
      ];
      const answers = (await client.value('multiPut', { writes })) as Record<
        string,
        { code?: string; offset?: number }
      >[];
      const told = answers.map((answer) => {
        const written = answer['bitacora.rpc.Written'];
        return written === undefined ? answer['bitacora.rpc.Failure']?.code : written.offset;
      });
      expect(told).to.deep.equal([0, 'key_empty', 'value_too_large', 'parameter_invalid', 1, 2]);
      expect([rig.replica.value('a'), rig.replica.value('d')]).to.deep.equal([undefined, '']);
      expect(await client.value('multiPut', { writes: [] })).to.deep.equal([]);
    });

    it('takes 5,000 keys in a call and no more', async () => {
      const keys = (count: number) => Array.from({ length: count }, () => bytes('k'));
      const writes = (count: number) =>
        keys(count).map((key) => ({ key, value: null, ttlMs: null, contentType: null }));
      expect(await client.value('multiGet', { keys: keys(5_000) })).to.have.length(5_000);
      await failsWith('multiGet', { keys: keys(5_001) }, 'parameter_invalid', 400);
      await failsWith('multiPut', { writes: writes(5_001) }, 'parameter_invalid', 400);
      expect(await rig.logged()).to.equal(0);
    });

    it('answers as many of many values as one answer holds, and says which are to be asked for again', async () => {
      await client.value('put', { key: bytes('large'), value: Buffer.alloc(valueBytesMax, 1) });
      const keys = [...Array.from({ length: 18 }, () => bytes('large')), bytes('none')];
      const answers = (await client.value('multiGet', { keys })) as Record<string, { code?: string }>[];
      const codes = answers.map((answer) => answer['bitacora.rpc.Failure']?.code);
      expect(codes.filter((code) => code === undefined)).to.have.length(17);
      expect(codes.slice(16)).to.deep.equal(['answer_too_large', 'answer_too_large', undefined]);
    });
  });

  describe('is shaken hands on', () => {
    const shaken = async (client: ClientProtocol, how: Parameters<ClientProtocol['opening']>[0]) => {
      const socket = await rig.open();
      socket.ask(3, client.opening(how), ping);
      return client.answerTo('', (await socket.answer()).body, { afterHandshake: true }).handshake;
    };

    it('with its first call, which is answered behind the handshake', async () => {
      const socket = await rig.open();
      socket.ask(8, originalProtocol.opening(), originalProtocol.call('getValue', { key: 'k' }));
      const { serial, body } = await socket.answer();
      expect(serial).to.equal(8);
      const { handshake, value } = originalProtocol.answerTo('getValue', body, { afterHandshake: true });
      expect([handshake!.match === 'NONE', value]).to.deep.equal([false, null]);
      socket.ask(9, originalProtocol.call('getValue', { key: 'k' }));
      expect(originalProtocol.answerTo('getValue', (await socket.answer()).body).value).to.equal(null);
    });

    it('with a first call that fails, whose error stands behind the handshake', async () => {
      for (const [body, told] of [
        [originalProtocol.call('getValue', { key: '' }), /^key_empty: /],
        [Buffer.concat([long(0), long(4), bytes('none')]), /^message_unknown: /],
      ] as const) {
        const socket = await rig.open();
        socket.ask(0, originalProtocol.opening({ withText: true }), body);
        const answer = originalProtocol.answerTo('getValue', (await socket.answer()).body, { afterHandshake: true });
        expect(answer.error).to.match(told);
      }
    });

    it('again, with its protocol, when that is not known', async () => {
      const stranger = Buffer.alloc(16, 7);
      const socket = await rig.open();
      socket.send(framed(1, Buffer.concat([stranger, long(0), stranger, long(0), ping])));
      const { match, serverHash } = handshakeAnswerIn((await socket.answer()).body);
      expect(match).to.equal('NONE');
      socket.ask(2, databaseProtocol.opening({ withText: true, knowing: serverHash! }), ping);
      const { handshake } = databaseProtocol.answerTo('', (await socket.answer()).body, { afterHandshake: true });
      expect(handshake?.match).to.equal('BOTH');
    });

    it('so often and no more by a client that never says which protocol it means', async () => {
      const stranger = Buffer.alloc(16, 7);
      const socket = await rig.open();
      const asks = Buffer.concat([stranger, long(0), stranger, long(0), ping]);
      for (let i = 0; i < 7; i += 1) {
        socket.ask(i, asks);
        expect(handshakeAnswerIn((await socket.answer()).body).match).to.equal('NONE');
      }
      expect(socket.hasEnded).to.equal(false);
      socket.ask(7, asks);
      await socket.closed();
      await until(async () => (await rig.closings('malformed')) === 1);
    });

    it('as a client that knows the server, or not', async () => {
      const { serverHash, serverProtocol } = (await shaken(originalProtocol, { knowing: Buffer.alloc(16) }))!;
      expect(JSON.parse(serverProtocol!)).to.have.property('protocol', 'RPCHandlerAvro');
      expect(await shaken(originalProtocol, { knowing: serverHash! })).to.deep.equal({
        match: 'BOTH',
        serverProtocol: undefined,
        serverHash: undefined,
      });
    });
  });

  it('answers a ping with nothing', async () => {
    const client = await rig.client();
    client.socket.ask(77, ping);
    const { serial, body } = await client.socket.answer();
    expect([serial, body.toString('hex')]).to.deep.equal([77, '0000']);
  });

  it('answers calls as they are done, under their serials', async () => {
    const client = await rig.client();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { log } = rig.replica;
    const ends = log.ends.bind(log);
    log.ends = async () => {
      await held;
      return ends();
    };
    const slow = client.send('get', { key: bytes('k'), consistency: 'LINEARIZABLE' });
    const quick = [client.send('get', { key: bytes('k') }), client.send('multiGet', { keys: [] })];
    const first = [(await client.next()).serial, (await client.next()).serial];
    expect(first).to.have.members(quick);
    release();
    expect((await client.next()).serial).to.equal(slow);
  });

  it('answers under any serial, be it below zero or in use', async () => {
    const { socket } = await rig.client();
    for (const serial of [-1, -(2 ** 31), 2 ** 31 - 1, 5, 5]) socket.ask(serial, ping);
    for (const serial of [-1, -(2 ** 31), 2 ** 31 - 1, 5, 5]) expect((await socket.answer()).serial).to.equal(serial);
  });

  it('answers many calls at once that came in one piece, or byte by byte in several buffers', async () => {
    const { socket } = await rig.client(originalProtocol);
    const call = originalProtocol.call('getValue', { key: 'k' });
    const calls = Array.from({ length: 300 }, (_, i) =>
      framed(i, call.subarray(0, 3), Buffer.alloc(0), call.subarray(3)),
    );
    socket.send(...calls);
    for (let i = 0; i < 300; i += 1) expect((await socket.answer()).serial).to.equal(i);
    for (const byte of calls[299]!) await socket.sent(Buffer.of(byte));
    expect((await socket.answer()).serial).to.equal(299);
  });

  it('is answered whatever was asked before the client closed its side, and then closed', async () => {
    const client = await rig.client();
    await rig.replica.log.holdReader();
    const serials = [
      client.send('put', { key: bytes('k'), value: bytes('v') }),
      client.send('get', { key: bytes('k') }),
      client.send('get', { key: bytes('k'), consistency: 'SESSION', positions: [{ partition: 0, position: 1 }] }),
    ];
    client.socket.end();
    const first = (await client.next()).serial;
    rig.replica.log.releaseReader();
    expect([first, (await client.next()).serial, (await client.next()).serial]).to.have.members(serials);
    await client.socket.closed();
    await until(async () => (await rig.closings('by_client')) === 1);
  });

  it('may end by a reset while calls are under way: they run on, and others are answered', async () => {
    const [client, other] = [await rig.client(), await rig.client()];
    await rig.replica.log.holdReader();
    client.send('put', { key: bytes('k'), value: bytes('v') });
    await until(async () => (await rig.logged()) === 1);
    client.socket.reset();
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 1);
    expect(await rig.closings('broken')).to.equal(1);
    rig.replica.log.releaseReader();
    const positions = [{ partition: 0, position: 1 }];
    const reading = await other.value('get', { key: bytes('k'), consistency: 'SESSION', positions });
    expect((reading as Reading).found?.value.toString()).to.equal('v');
  });

  it('is counted, and so are its calls by message and outcome', async () => {
    const client = await rig.client();
    await rig.open();
    await client.call('get', { key: bytes('k') });
    await client.call('get', { key: Buffer.alloc(0) });
    client.socket.ask(1, long(0), long(5), bytes('"\n} 1'));
    await client.socket.answer();
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 2);
    expect(await rig.calls('get', 'ok')).to.equal(1);
    expect(await rig.calls('get', 'key_empty')).to.equal(1);
    expect(await rig.calls('', 'message_unknown')).to.equal(1);
    client.socket.end();
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 1);
    expect(await rig.closings('by_client')).to.equal(1);
  });
});
