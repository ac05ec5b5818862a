import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import avsc from 'avsc';
import { expect } from 'chai';
import { kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

// biome-ignore lint/suspicious/noExplicitAny: data as their schemas say, which the assertions look into.
type Data = any;

interface Client {
  createChannel(transport: Socket): void;
  emitMessage(message: string, parameters: object, done: (error: Data, value: Data) => void): void;
}

describe(`avsc's own client, on ${kafkaName}`, () => {
  let node: NodeProcess | undefined;
  let socket: Socket;
  let client: Client;

  before(async function () {
    const kafka = await sharedKafka(this);
    node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: freshTopicName('avro-avsc') });
    await node.ready();
  });

  afterEach(async () => {
    socket.destroy();
    await once(socket, 'close');
  });

  after(async () => {
    await node?.kill();
  });

  function speak(file: string): void {
    const text = readFileSync(new URL(`../../../schemas/${file}`, import.meta.url), 'utf8');
    const service = avsc.Service.forProtocol(JSON.parse(text));
    // avsc makes a function by the name of each message that a client begins with, and there can be none named `delete`, which
    // the original protocol has.
    const named = (service.messages as readonly { name: string }[]).filter(({ name }) => name !== 'delete');
    const speaking = Object.create(service, { messages: { value: named, writable: true } });
    client = speaking.createClient();
    speaking.messages = service.messages;
    socket = connect({ host: '127.0.0.1', port: node!.avroPort, noDelay: true });
    client.createChannel(socket);
  }

  /** What a message answers; rejects with the error that it gives instead. */
  const call = (message: string, parameters: object): Promise<Data> =>
    new Promise((resolve, reject) => {
      client.emitMessage(message, parameters, (error, value) => (error ? reject(error) : resolve(value)));
    });

  /** What it is rejected with. */
  const failure = (message: string, parameters: object): Promise<Data> =>
    call(message, parameters).then(
      (value) => expect.fail(`${message} answered ${JSON.stringify(value)}`),
      (error) => error,
    );

  it('sets, gets and deletes by the original protocol', async () => {
    speak('rpc.avpr');
    expect(await call('getValue', { key: 'ciudad' })).to.equal(null);
    expect(await call('setValue', { key: 'ciudad', value: 'Málaga ☀' })).to.equal(null);
    expect(await call('getValue', { key: 'ciudad' })).to.equal('Málaga ☀');
    expect(await (await node!.fetch('/rpc?key=ciudad')).json()).to.include({ value: 'Málaga ☀', source: 'log' });
    expect(await call('delete', { key: 'ciudad' })).to.equal(null);
    expect(await call('getValue', { key: 'ciudad' })).to.equal(null);
    expect((await node!.fetch('/rpc?key=ciudad')).status).to.equal(404);
    expect((await failure('getValue', { key: '' })).message).to.match(/^key_empty: /);
  });

  it('cannot read by the original protocol what is not text', async () => {
    await node!.fetch('/rpc?key=bytes', { method: 'PUT', body: Buffer.of(0x80) });
    speak('rpc.avpr');
    expect((await failure('getValue', { key: 'bytes' })).message).to.match(/^value_not_text: /);
  });

  it('puts, gets and deletes by ours, one key or several', async () => {
    speak('database.avpr');
    const key = Buffer.of(0xff, 0);
    const put = await call('put', { key, value: Buffer.of(0x80), ttlMs: 3_600_000, contentType: 'image/x' });
    expect(put).to.include({ partition: 0, applied: true });
    const positions = [{ partition: 0, position: put.offset + 1 }];
    const { found, source, position } = await call('get', { key, consistency: 'SESSION', positions });
    expect(source).to.equal('LOG');
    expect(position).to.be.greaterThan(put.offset);
    expect(found).to.include({ offset: put.offset, timestampMs: put.timestampMs, contentType: 'image/x' });
    expect(found.value.toString('hex')).to.equal('80');
    expect(found.expiresAtMs).to.be.greaterThan(put.timestampMs + 3_000_000);

    const some = ['a', 'b', ''].map((text) => ({ key: Buffer.from(text), value: Buffer.from(`of ${text}`) }));
    const [a, b, noKey, removed] = await call('multiPut', { writes: [...some, { key, value: null }] });
    const { offset } = a['bitacora.rpc.Written'];
    expect(b['bitacora.rpc.Written'].offset).to.equal(offset + 1);
    expect(noKey['bitacora.rpc.Failure']).to.include({ code: 'key_empty', status: 400 });
    expect(removed['bitacora.rpc.Written'].offset).to.equal(offset + 2);
    const keys = [Buffer.from('b'), key, Buffer.alloc(0)];
    const readings = await call('multiGet', { keys, consistency: 'LINEARIZABLE' });
    expect(readings[0]['bitacora.rpc.Reading'].found.value.toString()).to.equal('of b');
    expect(readings[1]['bitacora.rpc.Reading'].found).to.equal(null);
    expect(readings[2]['bitacora.rpc.Failure']).to.include({ code: 'key_empty' });

    await call('remove', { key: Buffer.from('b') });
    expect((await call('get', { key: Buffer.from('b') })).found).to.equal(null);
  });

  it('gets typed errors by ours', async () => {
    speak('database.avpr');
    const error = await failure('put', { key: Buffer.from('k'), value: Buffer.alloc(1024 * 1024 + 1) });
    expect(error).to.include({ code: 'value_too_large', status: 413 });
  });

  it('gets thousands of answers to calls that do not wait for one another', async () => {
    speak('database.avpr');
    await call('get', { key: Buffer.from('hands are shaken') });
    const keys = Array.from({ length: 2_000 }, (_, i) => Buffer.from(`pipelined ${i}`));
    await Promise.all(keys.map((key) => call('put', { key, value: key })));
    const readings = await Promise.all(keys.map((key) => call('get', { key })));
    expect(readings.map(({ found }) => found.value.toString())).to.deep.equal(keys.map(String));
  });
});
