import { expect } from 'chai';
import { ClientProtocol, type MessageJson, ownJson, type ProtocolJson } from '../../support/avro/avro-bytes.ts';
import { AvroRig } from '../../support/avro/avro-rig.ts';

const bytes = (text: string) => Buffer.from(text);

describe('a client of an older or newer protocol', () => {
  let rig: AvroRig;
  before(async () => {
    rig = await AvroRig.start();
    rig.replica.write('k', 'v');
  });
  after(() => rig.stop());

  /** A client whose protocol is ours, changed. */
  const clientOf = (change: (json: ProtocolJson, messages: Record<string, MessageJson>) => void) => {
    const json = ownJson('database.avpr');
    change(json, json.messages);
    return rig.client(new ClientProtocol(json));
  };
  const parameters = (message: MessageJson, ...names: string[]) =>
    names.map((name) => message.request.find((each) => each.name === name)!);
  const found = (reading: unknown) => (reading as { found: { value: Buffer } | null }).found?.value.toString();

  it('that knows neither consistency nor positions is read to as it always was', async () => {
    const client = await clientOf((_, { get, remove, put }) => {
      get!.request = parameters(get!, 'key');
      remove!.request = parameters(remove!, 'key');
      put!.request = parameters(put!, 'key', 'value');
    });
    expect(found(await client.value('get', { key: bytes('k') }))).to.equal('v');
    expect(await client.value('put', { key: bytes('older'), value: bytes('1') })).to.include({ applied: true });
    expect(found(await client.value('get', { key: bytes('older') }))).to.equal('1');
    expect(await client.value('remove', { key: bytes('older') })).to.include({ applied: true });
    expect(found(await client.value('get', { key: bytes('older') }))).to.equal(undefined);
  });

  it('that sends parameters in another order, and some that are not known here, is understood', async () => {
    const nested = { type: 'array', items: { type: 'map', values: ['null', 'string', 'double'] } };
    const client = await clientOf((_, { put, get }) => {
      put!.request = [
        { name: 'trace', type: nested },
        ...parameters(put!, 'contentType', 'value'),
        { name: 'priority', type: ['null', 'int'] },
        ...parameters(put!, 'key', 'wait', 'ttlMs'),
      ];
      get!.request = [
        ...parameters(get!, 'positions', 'consistency'),
        { name: 'why', type: 'string' },
        get!.request[0]!,
      ];
    });
    const extra = { trace: [{ a: null, b: 'c' }, {}], priority: 3 };
    await client.value('put', { ...extra, key: bytes('newer'), value: bytes('2'), contentType: 'text/x' });
    const reading = await client.value('get', { key: bytes('newer'), why: 'a test' });
    expect(reading).to.have.nested.property('found.contentType', 'text/x');
    expect(found(reading)).to.equal('2');
  });

  it('that has keys and values as texts is given its bytes by Avro’s promotion', async () => {
    const client = await clientOf((_, { put, get }) => {
      for (const message of [put!, get!]) {
        for (const parameter of message.request) if (parameter.type === 'bytes') parameter.type = 'string';
      }
    });
    await client.value('put', { key: 'ñandú', value: 'ü' });
    expect(found(await client.value('get', { key: 'ñandú' }))).to.equal('ü');
  });

  it('that has its types in another namespace does what others do', async () => {
    const moved = JSON.parse(JSON.stringify(ownJson('database.avpr')).replaceAll('bitacora.rpc', 'org.example'));
    expect(moved.namespace).to.equal('org.example');
    const client = await rig.client(new ClientProtocol(moved));
    const write = { key: bytes('moved'), value: bytes('5') };
    const written = (await client.value('put', { ...write, wait: 'LOGGED' })) as { partition: number; offset: number };
    const positions = [{ partition: written.partition, position: written.offset + 1 }];
    const reading = await client.value('get', { key: bytes('moved'), consistency: 'SESSION', positions });
    expect(found(reading)).to.equal('5');
    expect(await client.value('multiPut', { writes: [write] })).to.have.length(1);
  });

  it('that has narrower numbers is understood', async () => {
    const client = await clientOf((_, { put }) => {
      for (const parameter of put!.request) if (parameter.name === 'ttlMs') parameter.type = ['null', 'int'];
    });
    await client.value('put', { key: bytes('int'), value: bytes('3'), ttlMs: 5_000 });
    const reading = (await client.value('get', { key: bytes('int') })) as { found: { expiresAtMs: number } };
    expect(reading.found.expiresAtMs).to.equal(rig.replica.clock.nowMs() + 5_000);
  });

  describe('is told, and can go on with other messages,', () => {
    const unknown = async (client: Awaited<ReturnType<typeof clientOf>>, name: string, values: object) => {
      // Each time, not only the first.
      for (let round = 0; round < 2; round += 1) {
        expect(await client.failure(name, values)).to.match(/^message_unknown: /);
      }
      expect(await client.value('multiPut', { writes: [] })).to.deep.equal([]);
    };

    it('when its message is not here', async () => {
      const client = await clientOf((_, messages) => {
        messages.watch = { request: [{ name: 'from', type: 'bytes' }], response: 'null' };
      });
      await unknown(client, 'watch', { from: bytes('') });
    });

    it('when its message lacks a parameter that has no default', async () => {
      const client = await clientOf((_, { get }) => {
        get!.request = parameters(get!, 'consistency');
      });
      await unknown(client, 'get', { consistency: 'LOCAL' });
    });

    it('when a parameter is of another type', async () => {
      const client = await clientOf((_, { get }) => {
        get!.request[0]!.type = 'long';
      });
      await unknown(client, 'get', { key: 5 });
    });

    it('when it knows a level of consistency that is not here', async () => {
      const client = await clientOf((json) => {
        json.types!.find(({ name }) => name === 'Consistency')!.symbols = [
          'LOCAL',
          'SESSION',
          'LINEARIZABLE',
          'STRICT',
        ];
      });
      await unknown(client, 'get', { key: bytes('k'), consistency: 'LOCAL' });
    });

    it('when its message is one-way', async () => {
      const client = await clientOf((_, { remove }) => {
        Object.assign(remove!, { 'one-way': true, response: 'null', errors: undefined });
      });
      await unknown(client, 'remove', { key: bytes('k') });
      expect(found(await client.value('get', { key: bytes('k') }))).to.equal('v');
    });

    it('when a parameter is made of items of no bytes', async () => {
      const client = await clientOf((_, { get }) => {
        get!.request.push({ name: 'bomb', type: { type: 'array', items: 'null' } });
      });
      await unknown(client, 'get', { key: bytes('k'), bomb: [] });
    });
  });

  it('that was renamed is served by its messages', async () => {
    const renamed = ownJson('rpc.avpr');
    Object.assign(renamed, { protocol: 'Mine', namespace: 'org.example' });
    const client = await rig.client(new ClientProtocol(renamed));
    expect(await client.value('getValue', { key: 'k' })).to.equal('v');
  });

  it('cannot call what only the other protocol has', async () => {
    const mixed = ownJson('database.avpr');
    mixed.messages.getValue = ownJson('rpc.avpr').messages.getValue!;
    const client = await rig.client(new ClientProtocol(mixed));
    expect(await client.failure('getValue', { key: 'k' })).to.match(/^message_unknown: /);
    expect(found(await client.value('get', { key: bytes('k') }))).to.equal('v');
  });
});
