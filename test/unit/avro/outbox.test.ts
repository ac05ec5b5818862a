import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import avsc from 'avsc';
import { expect } from 'chai';
import fc from 'fast-check';
import { FrameReader } from '../../../src/avro/wire/frames.ts';
import { Outbox, Slab } from '../../../src/avro/wire/outbox.ts';

const bytesType = avsc.Type.forSchema('bytes');
const bodyBytesMax = 1_048_576;

interface Message {
  readonly serial: number;
  readonly prefix: Buffer;
  readonly value: Buffer;
}

describe('the outbox of a connection', () => {
  let server: Server;
  const sockets: Socket[] = [];

  before(async () => {
    server = createServer((socket) => sockets.push(socket));
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
  });

  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  after(() => {
    server.close();
  });

  /** Both ends of a connection. One at a time: the next one that comes is taken for it. */
  async function pair(): Promise<{ near: Socket; far: Socket }> {
    const near = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
    sockets.push(near);
    return { near, far };
  }

  it('sends every message of one series with a single write', async () => {
    const { near, far } = await pair();
    const outbox = new Outbox(near, new Slab());
    const writes = countWrites(near);
    outbox.open();
    const messages = Array.from({ length: 50 }, (_, serial) => messageOf(serial, 20));
    for (const message of messages) putIn(outbox, message);
    outbox.send();
    expect(writes()).to.equal(1);
    expect(await received(far, messages.length)).to.deep.equal(messages.map(framed));
  });

  it('writes nothing when nothing was put', async () => {
    const { near } = await pair();
    const outbox = new Outbox(near, new Slab());
    const writes = countWrites(near);
    outbox.open();
    outbox.send();
    expect(writes()).to.equal(0);
  });

  it('brings what any number of connections put through one slab, in any turn and of any size, to each whole and in order', async () => {
    const sizes = fc.oneof(fc.nat(200), fc.integer({ min: 60_000, max: 70_000 }), fc.constant(200_000));
    const series = fc.record({ by: fc.nat(2), sizes: fc.array(sizes, { maxLength: 12 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(series, { maxLength: 12 }), async (all) => {
        const slab = new Slab();
        const ends = [await pair(), await pair(), await pair()];
        const outboxes = ends.map(({ near }) => new Outbox(near, slab));
        const put: Message[][] = ends.map(() => []);
        const arrived = ends.map(({ far }, i) =>
          received(
            far,
            all.reduce((sum, { by, sizes }) => sum + (by === i ? sizes.length : 0), 0),
          ),
        );
        for (const { by, sizes } of all) {
          outboxes[by]!.open();
          for (const size of sizes) {
            const message = messageOf(put[by]!.length, size);
            put[by]!.push(message);
            putIn(outboxes[by]!, message);
          }
          outboxes[by]!.send();
        }
        expect(await Promise.all(arrived)).to.deep.equal(put.map((messages) => messages.map(framed)));
        for (const { near } of ends) near.destroy();
      }),
      { numRuns: 30 },
    );
  });

  it('goes on as if nothing had been, after a value that is not of its type', async () => {
    const { near, far } = await pair();
    const outbox = new Outbox(near, new Slab());
    const [first, second] = [messageOf(1, 10), messageOf(2, 10)];
    outbox.open();
    putIn(outbox, first);
    expect(() => outbox.put(7, Buffer.alloc(2), bytesType, 'not bytes')).to.throw();
    putIn(outbox, second);
    outbox.send();
    expect(await received(far, 2)).to.deep.equal([framed(first), framed(second)]);
  });

  it('counts as waiting what has been put and what the other side has not taken, and nothing once it has', async () => {
    const { near, far } = await pair();
    far.pause();
    const slab = new Slab();
    const outbox = new Outbox(near, slab);
    outbox.open();
    expect(outbox.waitingBytes).to.equal(0);
    const message = messageOf(1, 100);
    putIn(outbox, message);
    const messageBytes = 12 + framed(message).body.length;
    expect(outbox.waitingBytes).to.equal(messageBytes);
    // More than the system's own buffers take.
    let sent = 1;
    while (near.writableLength === 0) {
      for (let i = 0; i < 100; i += 1) putIn(outbox, messageOf(1, 60_000));
      sent += 100;
      outbox.send();
      outbox.open();
    }
    expect(outbox.waitingBytes).to.equal(near.writableLength);
    // What another connection puts does not count.
    const other = new Outbox((await pair()).near, slab);
    other.open();
    putIn(other, message);
    expect(other.waitingBytes).to.equal(messageBytes);
    other.send();
    outbox.open();
    expect(outbox.waitingBytes).to.equal(near.writableLength);

    const drained = once(near, 'drain');
    await Promise.all([received(far, sent), drained]);
    expect(outbox.waitingBytes).to.equal(0);
  });

  it('knows how much has been taken while a large write is under way', async () => {
    const { near, far } = await pair();
    far.pause();
    const outbox = new Outbox(near, new Slab());
    outbox.open();
    putIn(outbox, messageOf(1, 32 * 1_048_576));
    const allBytes = outbox.waitingBytes;
    outbox.send();
    const first = outbox.takenBytes;
    expect(first).to.be.within(1, allBytes - 1);
    for (let bytes = 0; bytes < 16 * 1_048_576; ) {
      const chunk = far.read() as Buffer | null;
      if (chunk === null) await once(far, 'readable');
      else bytes += chunk.length;
    }
    expect(near.writableLength).to.equal(allBytes);
    expect(outbox.takenBytes).to.be.within(Math.max(first + 1, 16 * 1_048_576), allBytes - 1);
    const drained = once(near, 'drain');
    far.resume();
    await drained;
    expect(outbox.takenBytes).to.equal(allBytes);
  });

  it('does not keep the slab of a small message that waits', async () => {
    const { near, far } = await pair();
    far.pause();
    const slab = new Slab();
    const outbox = new Outbox(near, slab);
    const written: Buffer[] = [];
    const write = near.write.bind(near) as (bytes: Buffer) => boolean;
    near.write = ((bytes: Buffer) => {
      written.push(bytes);
      return write(bytes);
    }) as Socket['write'];
    outbox.open();
    putIn(outbox, messageOf(1, 32 * 1_048_576));
    putIn(outbox, messageOf(2, 10));
    outbox.send();
    outbox.open();
    putIn(outbox, messageOf(3, 50_000));
    outbox.send();
    expect(written.map(({ buffer }) => buffer === slab.buffer.buffer)).to.deep.equal([false, false, true]);
    expect(written[1]!.buffer.byteLength).to.equal(written[1]!.length);
  });
});

function messageOf(serial: number, valueBytes: number): Message {
  return { serial, prefix: Buffer.from([0, serial & 0xff]), value: Buffer.alloc(valueBytes, serial + 1) };
}

function putIn(outbox: Outbox, { serial, prefix, value }: Message): void {
  outbox.put(serial, prefix, bytesType, value);
}

/** As it should arrive. */
function framed({ serial, prefix, value }: Message): { serial: number; body: Buffer } {
  return { serial, body: Buffer.concat([prefix, bytesType.toBuffer(value)]) };
}

/** The next messages that come. */
function received(socket: Socket, count: number): Promise<{ serial: number; body: Buffer }[]> {
  const messages: { serial: number; body: Buffer }[] = [];
  if (count === 0) return Promise.resolve(messages);
  const reader = new FrameReader(bodyBytesMax);
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.feed(chunk);
        for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
          messages.push({ serial: frame.serial, body: Buffer.from(frame.body) });
        }
      } catch (error) {
        return reject(error as Error);
      }
      if (messages.length >= count) resolve(messages);
    });
    socket.resume();
    socket.once('error', reject);
  });
}

/** How often the socket has been written to since. */
function countWrites(socket: Socket): () => number {
  let writes = 0;
  const write = socket.write.bind(socket) as Socket['write'];
  socket.write = ((...parameters: Parameters<Socket['write']>) => {
    writes += 1;
    return write(...parameters);
  }) as Socket['write'];
  return () => writes;
}
