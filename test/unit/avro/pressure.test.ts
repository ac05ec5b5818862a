import { expect } from 'chai';
import type { Handshakes } from '../../../src/avro/handshakes.ts';
import { type ClientProtocol, framed, int32 } from '../../support/avro/avro-bytes.ts';
import { AvroRig, originalProtocol } from '../../support/avro/avro-rig.ts';
import { ConnectionRig, framesIn, type ScriptedSocket } from '../../support/avro/connection-rig.ts';
import { settled } from '../../support/fake-clock.ts';
import { until } from '../../support/http-node.ts';

const bytes = (text: string) => Buffer.from(text);
const mib = 1024 * 1024;
const client: ClientProtocol = originalProtocol;
const opening = framed(0, client.opening(), Buffer.from([0, 0]));
const get = (serial: number, key = 'k') => framed(serial, client.call('getValue', { key }));
const set = (serial: number, value: string) => framed(serial, client.call('setValue', { key: 'k', value }));

/** Past its handshake, whose answer is taken. */
async function shaken(rig: ConnectionRig): Promise<ReturnType<ConnectionRig['open']>> {
  const opened = rig.open();
  await opened.socket.send(opening);
  await settled();
  return opened;
}

const serials = (socket: ScriptedSocket) => framesIn(socket.received).map(({ serial }) => serial);

/** Calls that last until a test lets them. */
class HeldCalls {
  readonly begun: string[] = [];
  readonly #finish: ((answer: null) => void)[] = [];

  readonly handler = ({ key, value }: { key: string; value?: string }): Promise<null> => {
    this.begun.push(value ?? key);
    return new Promise((resolve) => this.#finish.push(resolve));
  };

  finish(count: number): void {
    for (const finish of this.#finish.splice(0, count)) finish(null);
  }
}

describe('under pressure a connection of the Avro socket', () => {
  it('begins so many calls, and takes more as they end', async () => {
    const held = new HeldCalls();
    const rig = new ConnectionRig({ handlers: { getValue: held.handler } });
    const { socket } = await shaken(rig);
    void socket.send(Buffer.concat(Array.from({ length: 10 }, (_, i) => get(i + 1, `${i}`))));
    void socket.send(get(11, '10'));
    await settled();
    expect(held.begun).to.have.length(rig.limits.callsMax);
    expect(socket.isPaused()).to.equal(true);
    held.finish(3);
    await settled();
    expect(held.begun).to.have.length(rig.limits.callsMax + 3);
    for (let round = 0; round < 4; round += 1) {
      held.finish(10);
      await settled();
    }
    expect(held.begun).to.deep.equal(Array.from({ length: 11 }, (_, i) => `${i}`));
    expect(serials(socket)).to.deep.equal(Array.from({ length: 12 }, (_, i) => i));
    expect(socket.isPaused()).to.equal(false);
  });

  it('begins calls of so many bytes', async () => {
    const held = new HeldCalls();
    const rig = new ConnectionRig({ handlers: { setValue: held.handler }, limits: { callBytesMax: 25_000 } });
    const { socket } = await shaken(rig);
    void socket.send(Buffer.concat([1, 2, 3].map((serial) => set(serial, 'x'.repeat(9_900)))));
    await settled();
    // The bound was not reached before the third.
    expect(held.begun).to.have.length(3);
    void socket.send(set(4, 'last'));
    await settled();
    expect(held.begun).to.have.length(3);
    held.finish(2);
    await settled();
    expect(held.begun).to.have.length(4);
  });

  it('begins calls of so many values, which take more memory than their bytes', async () => {
    const held = new HeldCalls();
    const rig = new ConnectionRig({
      handlers: { setValue: held.handler },
      limits: { callsMax: 100, callBytesMax: 5_000 },
    });
    const { socket } = await shaken(rig);
    await socket.send(Buffer.concat(Array.from({ length: 20 }, (_, i) => set(i + 1, 'v'))));
    await settled();
    expect(held.begun).to.have.length(5);
    for (let round = 0; round < 4; round += 1) {
      held.finish(5);
      await settled();
    }
    expect(serials(socket)).to.have.length(21);
  });

  it('lets others have their turn when one call after the other fails', async () => {
    const rig = new ConnectionRig({ limits: { answerBytesMax: 1_000_000 } });
    const { socket } = await shaken(rig);
    const unknown = framed(1, Buffer.from([0, 2, 0x78]));
    const turns: number[] = [];
    socket.on('data', () => turns.push(serials(socket).length));
    socket.push(Buffer.concat(Array.from({ length: 1_000 }, () => unknown)));
    await until(() => serials(socket).length === 1_001);
    expect(turns[0]).to.be.lessThan(500);
    await until(() => !socket.isPaused());
  });

  it('carries out no more than its answers have room for, and goes on as they are taken', async () => {
    let calls = 0;
    const getValue = () => {
      calls += 1;
      return 'x'.repeat(500);
    };
    const rig = new ConnectionRig({ handlers: { getValue } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    void socket.send(Buffer.concat(Array.from({ length: 100 }, (_, i) => get(i + 1))));
    void socket.send(get(101));
    await settled();
    expect(calls).to.be.within(4, 6);
    expect(socket.writableLength).to.be.at.most(rig.limits.answerBytesMax + 600);
    expect(socket.isPaused()).to.equal(true);
    socket.takeOne();
    await settled();
    expect(calls).to.be.lessThan(20);
    socket.readOn();
    await until(() => calls === 101);
    await settled();
    expect(serials(socket)).to.deep.equal(Array.from({ length: 102 }, (_, i) => i));
  });

  it('holds answers that are done back as well', async () => {
    const answers: ((value: string) => void)[] = [];
    const getValue = () => new Promise<string>((resolve) => answers.push(resolve));
    const rig = new ConnectionRig({ handlers: { getValue }, limits: { callsMax: 50, callBytesMax: 1_000_000 } });
    const { socket } = await shaken(rig);
    socket.isRead = false;
    await socket.send(Buffer.concat(Array.from({ length: 40 }, (_, i) => get(i + 1))));
    for (const answer of answers) answer('x'.repeat(500));
    await settled();
    expect(socket.writableLength).to.be.at.most(rig.limits.answerBytesMax + 600);
    socket.readOn();
    await until(() => serials(socket).length === 41);
  });

  it('is closed when messages that have come in part hold too much memory, and it holds most of all', async () => {
    const rig = new ConnectionRig({ heldBytesMax: 25_000 });
    const opened = [await shaken(rig), await shaken(rig), await shaken(rig), await shaken(rig)];
    const part = (bytes: number) => Buffer.concat([int32(1), int32(1), int32(9_900), Buffer.alloc(bytes)]);
    for (const [i, bytes] of [6_000, 9_500, 6_000].entries()) await opened[i]!.socket.send(part(bytes));
    await settled();
    expect(rig.held.bytes).to.be.within(21_000, 25_000);
    await opened[3]!.socket.send(part(5_000));
    await settled();
    expect(await rig.closings()).to.deep.equal({ overloaded: 1 });
    expect(opened.map(({ socket }) => socket.destroyed)).to.deep.equal([false, true, false, false]);
    expect(rig.held.bytes).to.be.within(16_000, 25_000);
    for (const { socket } of opened) socket.destroy();
    await settled();
    expect(rig.held.bytes).to.equal(0);
  });

  it('takes no call while those of all connections together hold too much memory, and goes on by itself', async () => {
    const held = new HeldCalls();
    const rig = new ConnectionRig({
      handlers: { setValue: held.handler, getValue: () => 'v' },
      heldCallBytesMax: 25_000,
    });
    const opened = [await shaken(rig), await shaken(rig), await shaken(rig), await shaken(rig)];
    for (const { socket } of opened.slice(0, 3)) await socket.send(set(1, 'x'.repeat(9_900)));
    void opened[3]!.socket.send(get(1));
    await settled();
    expect(held.begun).to.have.length(3);
    expect([serials(opened[3]!.socket), opened[3]!.socket.isPaused()]).to.deep.equal([[0], true]);
    // Silent for as long as it is not read from, which is no fault of its own.
    await rig.pass(rig.limits.idleTimeoutMs + 5_000);
    // The end of a call counts, be it that its connection is gone.
    opened[0]!.socket.destroy();
    await settled();
    held.finish(1);
    await rig.pass(1_000);
    expect([serials(opened[3]!.socket), opened[3]!.socket.isPaused()]).to.deep.equal([[0, 1], false]);
    held.finish(2);
    await settled();
    expect(rig.held.callBytes).to.equal(0);
  });

  it('is not in the way of others while its answers wait to be taken', async () => {
    const answers: ((answer: string | null) => void)[] = [];
    const later = () => new Promise<string | null>((resolve) => answers.push(resolve));
    const rig = new ConnectionRig({
      handlers: { getValue: later, setValue: later, delete: () => null },
      heldCallBytesMax: 10_000,
    });
    const [slow, other] = [await shaken(rig), await shaken(rig)];
    slow.socket.isRead = false;
    await slow.socket.send(Buffer.concat([get(1), set(2, 'x'.repeat(9_900))]));
    // The first answer fills the connection up: the second one is held back.
    answers[0]!('x'.repeat(2_500));
    await settled();
    answers[1]!(null);
    await settled();
    expect(rig.held.callBytes).to.equal(0);
    await other.socket.send(framed(1, client.call('delete', { key: 'k' })));
    await settled();
    expect(serials(other.socket)).to.deep.equal([0, 1]);
    slow.socket.readOn();
    await until(() => serials(slow.socket).length === 3);
  });

  it('waits for its turn to shake hands while others have theirs', async () => {
    const rig = new ConnectionRig({ handlers: { getValue: () => 'v' } });
    const inTurn = { ...rig.handshakes, isBusy: true, agree: rig.handshakes.agree.bind(rig.handshakes) };
    const known = await shaken(rig);
    const waiting = rig.open(inTurn as unknown as Handshakes);
    void waiting.socket.send(Buffer.concat([opening, get(1)]));
    void waiting.socket.send(get(2));
    for (let round = 0; round < 10; round += 1) await settled();
    expect([serials(waiting.socket), waiting.socket.isPaused()]).to.deep.equal([[], true]);
    await known.socket.send(get(1));
    await settled();
    expect(serials(known.socket)).to.deep.equal([0, 1]);
    inTurn.isBusy = false;
    await until(() => serials(waiting.socket).length === 3);
    expect(serials(waiting.socket)).to.deep.equal([0, 1, 2]);
  });

  it('answers "internal" for a fault of the node’s, and goes on', async () => {
    const handlers = {
      getValue: () => 5,
      setValue: () => Promise.reject(new TypeError('planted')),
      delete: () => {
        throw new TypeError('planted');
      },
    };
    const rig = new ConnectionRig({ handlers });
    const { socket } = await shaken(rig);
    await socket.send(Buffer.concat([get(1), set(2, 'v'), framed(3, client.call('delete', { key: 'k' })), get(4)]));
    await settled();
    const answers = framesIn(socket.received).slice(1);
    expect(answers.map(({ serial }) => serial)).to.have.members([1, 2, 3, 4]);
    for (const { body } of answers) expect(client.answerTo('getValue', body).error).to.match(/^internal: /);
    expect(rig.lines.filter((line) => line.startsWith('error'))).to.have.length(4);
  });

  it('of a client that never reads costs bounded memory, while others are answered', async () => {
    const rig = await AvroRig.start({ valueBytesMax: mib });
    try {
      const healthy = await rig.client();
      await healthy.value('put', { key: bytes('k'), value: Buffer.alloc(mib, 1) });
      const silent = await rig.client();
      silent.socket.stopReading();
      const asked = 100;
      for (let i = 0; i < asked; i += 1) silent.send('get', { key: bytes('k') });
      await until(async () => ((await rig.calls('get', 'ok')) ?? 0) >= 4);
      while ((await rig.closings('not_reading')) === undefined) {
        await rig.replica.clock.pass(5_000);
        expect(await healthy.value('multiGet', { keys: [bytes('none')] })).to.have.length(1);
      }
      // What the system keeps for a connection is not the node's.
      expect(await rig.calls('get', 'ok')).to.be.lessThan(asked / 2);
    } finally {
      await rig.stop();
    }
  });

  it('has 1,024 calls under way at most', async () => {
    const rig = await AvroRig.start();
    try {
      const many = await rig.client();
      const other = await rig.client();
      await rig.replica.log.holdReader();
      for (let i = 0; i < 1_500; i += 1) many.send('put', { key: bytes('k'), value: bytes(`${i}`) });
      await until(async () => (await rig.logged()) >= 1_024);
      for (let round = 0; round < 20; round += 1) await other.value('multiGet', { keys: [bytes('none')] });
      expect(await rig.logged()).to.equal(1_024);
      rig.replica.log.releaseReader();
      for (let i = 0; i < 1_500; i += 1) expect((await many.next()).value).to.include({ applied: true });
      expect(rig.replica.value('k')).to.equal('1499');
    } finally {
      await rig.stop();
    }
  });
});
