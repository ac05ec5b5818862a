import { expect } from 'chai';
import { AvroServer } from '../../../src/avro/avro-server.ts';
import { FatalError } from '../../../src/kernel/errors.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { AvroRig } from '../../support/avro/avro-rig.ts';
import { until } from '../../support/http-node.ts';
import { silentLogger } from '../../support/kafka-log.ts';

const key = Buffer.from('k');
const value = Buffer.from('v');

describe('the Avro server', () => {
  let rig: AvroRig;
  beforeEach(async () => {
    rig = await AvroRig.start();
  });
  afterEach(() => rig.stop());

  it('does not start on a port that is taken, and says which option to set', async () => {
    const { replica, database, port } = rig;
    const options = { database, host: '127.0.0.1', port, clock: replica.clock, logger: silentLogger };
    const second = new AvroServer({ ...options, metrics: new Metrics({ process: false }) });
    let refusal: unknown;
    await second.run().catch((error: unknown) => {
      refusal = error;
    });
    expect(refusal).to.be.instanceOf(FatalError);
    expect((refusal as FatalError).message)
      .to.include(`port ${port} is in use`)
      .and.include('AVRO_PORT');
    await second.stop();
  });

  it('drained, answers the calls that are under way, refuses those that still come, and closes', async () => {
    const client = await rig.client();
    await rig.replica.log.holdReader();
    const before = client.send('put', { key, value });
    await until(async () => (await rig.logged()) === 1);
    const drained = rig.server.drain();
    expect(await client.failure('get', { key })).to.include({ code: 'shutting_down', status: 503 });
    expect(await client.failure('put', { key, value })).to.include({ code: 'shutting_down' });
    rig.replica.log.releaseReader();
    const { serial, value: written } = await client.next();
    expect(serial).to.equal(before);
    expect(written).to.include({ offset: 0, applied: true });
    // Another write may be on its way: it is not done, and hears so.
    expect(await client.failure('put', { key, value })).to.include({ code: 'shutting_down' });
    await rig.replica.clock.pass(1_000);
    await client.socket.closed();
    client.socket.end();
    await passUntil(drained);
    expect(await rig.logged()).to.equal(1);
    expect(await rig.closings('draining')).to.equal(1);
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 0);
  });

  it('drained, closes connections on which nothing is under way, shaken hands on or not', async () => {
    const sockets = [(await rig.client()).socket, await rig.open()];
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 2);
    const drained = rig.server.drain();
    await rig.replica.clock.pass(1_000);
    for (const socket of sockets) {
      await socket.closed();
      socket.end();
    }
    await passUntil(drained);
    expect(await rig.closings('draining')).to.equal(2);
  });

  it('drained, takes no new connections', async () => {
    await rig.server.drain();
    let refused: unknown;
    await rig.open().catch((error: unknown) => {
      refused = error;
    });
    expect(refused).to.have.property('code', 'ECONNREFUSED');
  });

  it('drained, does not wait for a client that does not go: it is cut off', async () => {
    await rig.client();
    await passUntil(rig.server.drain());
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 0);
  });

  it('drained, ends a connection whose client goes on asking', async () => {
    const client = await rig.client();
    const drained = rig.server.drain();
    for (let passedMs = 0; passedMs < 3_000; passedMs += 400) {
      expect(await client.failure('get', { key })).to.include({ code: 'shutting_down' });
      await rig.replica.clock.pass(400);
    }
    await client.socket.closed();
    client.socket.end();
    await passUntil(drained);
  });

  it('drained, does not wait for ever for a call that is not done', async () => {
    const client = await rig.client();
    await rig.replica.log.holdReader();
    client.send('put', { key, value });
    await until(async () => (await rig.logged()) === 1);
    await passUntil(rig.server.drain());
    await rig.server.stop();
    await client.socket.closed();
  });

  async function passUntil(done: Promise<void>): Promise<void> {
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    while (!isDone) await rig.replica.clock.pass(1_000);
  }

  it('stopped, cuts every connection off', async () => {
    const client = await rig.client();
    await rig.server.stop();
    await client.socket.closed();
    await until(async () => (await rig.metric('bitacora_avro_connections')) === 0);
  });
});
