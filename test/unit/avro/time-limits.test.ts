import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { framed } from '../../support/avro/avro-bytes.ts';
import { AvroRig, originalProtocol } from '../../support/avro/avro-rig.ts';
import { ConnectionRig, framesIn } from '../../support/avro/connection-rig.ts';
import { settled } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';

const ping = Buffer.from([0, 0]);
const opening = framed(0, originalProtocol.opening(), ping);
const get = (serial: number) => framed(serial, originalProtocol.call('getValue', { key: 'k' }));
const set = (serial: number) => framed(serial, originalProtocol.call('setValue', { key: 'k', value: 'v' }));

const mib = 1024 * 1024;

/** Has asked for one value, and takes of the answer what it is told to. */
async function slowClient(rig: AvroRig): Promise<{ socket: Socket; take: (bytes: number) => Promise<void> }> {
  const socket = connect({ host: '127.0.0.1', port: rig.port });
  socket.write(Buffer.concat([opening, get(1)]));
  await once(socket, 'readable');
  const take = async (bytes: number): Promise<void> => {
    for (let taken = 0; taken < bytes; ) {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) await once(socket, 'readable');
      else taken += chunk.length;
    }
    // The system sends on what it has room for now.
    await setTimeout(100);
  };
  return { socket, take };
}

describe('time on the Avro socket', () => {
  async function shaken(rig: ConnectionRig): Promise<ReturnType<ConnectionRig['open']>> {
    const opened = rig.open();
    await opened.socket.send(opening);
    await settled();
    return opened;
  }

  it('is up for a client that does not shake hands, whatever else it sends', async () => {
    const rig = new ConnectionRig();
    const { handshakeTimeoutMs } = rig.limits;
    const silent = rig.open();
    const part = rig.open();
    const stranger = rig.open();
    const unknown = Buffer.alloc(16, 7);
    const asks = framed(1, Buffer.concat([unknown, Buffer.of(0), unknown, Buffer.of(0), ping]));
    await part.socket.send(opening.subarray(0, 30));
    await rig.pass(handshakeTimeoutMs - 1_000);
    await part.socket.send(opening.subarray(30, 31));
    await stranger.socket.send(asks);
    expect(rig.connections).to.equal(3);
    await rig.pass(2_000);
    expect(await rig.closings()).to.deep.equal({ handshake_timeout: 3 });
    expect([silent, part, stranger].map(({ socket }) => socket.destroyed)).to.deep.equal([true, true, true]);
  });

  it('is up for a message that does not become whole', async () => {
    const rig = new ConnectionRig();
    const { socket } = await shaken(rig);
    const bytes = set(1);
    // Byte by byte, never silent for long.
    for (let at = 0; rig.connections === 1; at += 1) {
      expect(at).to.be.lessThan(bytes.length);
      await socket.send(bytes.subarray(at, at + 1));
      await rig.pass(2_000);
    }
    expect(await rig.closings()).to.deep.equal({ message_timeout: 1 });
    expect(rig.clock.monotonicMs()).to.be.within(rig.limits.messageTimeoutMs, rig.limits.messageTimeoutMs + 4_000);
  });

  it('is not up for a client whose messages become whole, though another has always begun', async () => {
    const rig = new ConnectionRig({ handlers: { setValue: () => null } });
    const { socket } = await shaken(rig);
    await socket.send(set(1).subarray(0, 10));
    for (let i = 1; i <= 30; i += 1) {
      await rig.pass(2_000);
      await socket.send(Buffer.concat([set(i).subarray(10), set(i + 1).subarray(0, 10)]));
    }
    await settled();
    expect(await rig.closings()).to.deep.equal({});
    expect(framesIn(socket.received)).to.have.length(31);
  });

  it('is up for a client that is silent, unless a call of its own is under way', async () => {
    let answer = (_: null): void => {};
    const setValue = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const rig = new ConnectionRig({ handlers: { setValue } });
    const { idleTimeoutMs } = rig.limits;
    const idle = await shaken(rig);
    const waiting = await shaken(rig);
    await waiting.socket.send(set(1));
    await rig.pass(idleTimeoutMs - 5_000);
    expect(rig.connections).to.equal(2);
    const active = await shaken(rig);
    await rig.pass(8_000);
    expect(await rig.closings()).to.deep.equal({ idle: 1 });
    expect([idle, waiting, active].map(({ socket }) => socket.hasEnded)).to.deep.equal([true, false, false]);
    answer(null);
    await settled();
    expect(framesIn(waiting.socket.received).map(({ serial }) => serial)).to.deep.equal([0, 1]);
  });

  it('is up for a client that takes nothing of what waits for it', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'v' } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    await socket.send(get(1));
    await rig.pass(rig.limits.messageTimeoutMs - 1_000);
    expect(rig.connections).to.equal(1);
    await rig.pass(5_000);
    expect(await rig.closings()).to.deep.equal({ not_reading: 1 });
  });

  it('is up for a client that takes nothing, though it goes on asking', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'v' } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    const { messageTimeoutMs } = rig.limits;
    for (let passedMs = 0; passedMs < messageTimeoutMs + 5_000; passedMs += 5_000) {
      await socket.send(get(1));
      await rig.pass(5_000);
    }
    expect(await rig.closings()).to.deep.equal({ not_reading: 1 });
  });

  it('begins anew for a message of which the rest could not come while the connection was not read from', async () => {
    const answers: ((answer: string) => void)[] = [];
    const getValue = () => new Promise<string>((resolve) => answers.push(resolve));
    const rig = new ConnectionRig({ handlers: { getValue } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    await socket.send(Buffer.concat([get(1), get(2).subarray(0, 20)]));
    answers[0]!('x'.repeat(2 * rig.limits.answerBytesMax));
    await settled();
    expect(socket.isPaused()).to.equal(true);
    await rig.pass(rig.limits.messageTimeoutMs - 2_000);
    socket.readOn();
    await settled();
    expect(socket.isPaused()).to.equal(false);
    await rig.pass(rig.limits.messageTimeoutMs - 2_000);
    await socket.send(get(2).subarray(20));
    await settled();
    expect(answers).to.have.length(2);
    await socket.send(get(3).subarray(0, 20));
    await rig.pass(rig.limits.messageTimeoutMs + 2_000);
    answers[1]!('v');
    await settled();
    expect(framesIn(socket.received).map(({ serial }) => serial)).to.deep.equal([0, 1, 2]);
    expect(await rig.closings()).to.deep.equal({ message_timeout: 1 });
  });

  it('is up for a message that does not become whole, and calls before it are answered all the same', async () => {
    const answers: ((answer: null) => void)[] = [];
    const setValue = () => new Promise<null>((resolve) => answers.push(resolve));
    const rig = new ConnectionRig({ handlers: { setValue } });
    const { socket } = await shaken(rig);
    await socket.send(Buffer.concat([set(1), set(2).subarray(0, 20)]));
    await rig.pass(rig.limits.messageTimeoutMs + 3_000);
    await socket.send(set(2).subarray(20));
    answers[0]!(null);
    await settled();
    expect(framesIn(socket.received).map(({ serial }) => serial)).to.deep.equal([0, 1]);
    expect([answers.length, socket.hasEnded]).to.deep.equal([1, true]);
    expect(await rig.closings()).to.deep.equal({ message_timeout: 1 });
  });

  it('is not up for a client that takes what waits for it a little at a time', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'x'.repeat(1_500) } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    await socket.send(Buffer.concat(Array.from({ length: 40 }, (_, i) => get(i + 1))));
    while (framesIn(socket.received).length < 41) {
      await rig.pass(rig.limits.messageTimeoutMs / 2);
      expect(await rig.closings()).to.deep.equal({});
      socket.takeOne();
      await settled();
    }
  });

  it('is not up for a client that took what waited for it late, and says no more', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'x'.repeat(200) } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    await socket.send(get(1));
    await rig.pass(rig.limits.messageTimeoutMs / 2);
    socket.readOn();
    await rig.pass(2 * rig.limits.messageTimeoutMs);
    expect(await rig.closings()).to.deep.equal({});
  });

  it('is not up for a silent client because others talk', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'v' } });
    const [silent, other] = [await shaken(rig), await shaken(rig)];
    for (let i = 1; i <= 30; i += 1) {
      await other.socket.send(get(i));
      await rig.pass(2_000);
    }
    expect(await rig.closings()).to.deep.equal({});
    await silent.socket.send(get(1));
    await settled();
    expect(framesIn(silent.socket.received)).to.have.length(2);
  });

  it('is left to a client that has closed its side to take its last answers', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'v' } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    await socket.send(Buffer.concat([get(1), get(2)]));
    socket.finish();
    await settled();
    await rig.pass(rig.limits.messageTimeoutMs / 2);
    socket.readOn();
    await settled();
    expect(framesIn(socket.received).map(({ serial }) => serial)).to.deep.equal([0, 1, 2]);
    expect(socket.hasEnded).to.equal(true);
    expect(await rig.closings()).to.deep.equal({ by_client: 1 });
  });

  it('is up for a client that neither takes its last answers nor closes', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'v' } });
    const stuck = await shaken(rig);
    stuck.socket.isRead = false;
    await stuck.socket.send(get(1));
    stuck.socket.finish();
    const open = await shaken(rig);
    // The client is told of the end, and does not go.
    await open.socket.send(Buffer.alloc(8));
    await settled();
    expect(open.socket.hasEnded).to.equal(true);
    await rig.pass(3_000);
    expect(open.socket.destroyed).to.equal(true);
    await rig.pass(rig.limits.messageTimeoutMs + 3_000);
    expect(stuck.socket.destroyed).to.equal(true);
    expect(rig.connections).to.equal(0);
  });

  describe('of a server', () => {
    let rig: AvroRig;
    beforeEach(async () => {
      rig = await AvroRig.start();
    });
    afterEach(() => rig.stop());

    it('is not up for a client that takes one large answer steadily', async () => {
      const large = await AvroRig.start({ valueBytesMax: 32 * mib });
      try {
        large.replica.write('k', Buffer.alloc(32 * mib, 0x78).toString());
        await settled();
        const { socket, ...client } = await slowClient(large);
        try {
          // More than the system keeps for a connection waits after the last of them.
          for (let round = 0; round < 4; round += 1) {
            await large.replica.clock.pass(40_000);
            await client.take(4 * mib);
            await large.replica.clock.pass(1_000);
          }
          expect(await large.closings('not_reading')).to.equal(undefined);
          // It takes no more.
          await large.replica.clock.pass(62_000);
          expect(await large.closings('not_reading')).to.equal(1);
        } finally {
          socket.destroy();
        }
      } finally {
        await large.stop();
      }
    });

    it('is looked at by itself: a minute for the handshake, ten for silence', async () => {
      const never = await rig.open();
      await until(async () => (await rig.metric('bitacora_avro_connections')) === 1);
      const client = await rig.client();
      await rig.replica.clock.pass(59_000);
      expect(never.hasEnded).to.equal(false);
      await rig.replica.clock.pass(3_000);
      await never.closed();
      expect(await rig.closings('handshake_timeout')).to.equal(1);
      await rig.replica.clock.pass(500_000);
      expect(await client.value('multiGet', { keys: [] })).to.deep.equal([]);
      await rig.replica.clock.pass(599_000);
      expect(client.socket.hasEnded).to.equal(false);
      await rig.replica.clock.pass(3_000);
      await client.socket.closed();
      await until(async () => (await rig.closings('idle')) === 1);
    });
  });
});
