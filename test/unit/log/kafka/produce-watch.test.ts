import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import type kafkajs from 'kafkajs';
import { ProduceWatch } from '../../../../src/log/kafka/produce-watch.ts';

/** A request as a client frames it: length, API key, version, correlation id, body. */
function request(apiKey: number, bodyBytes = 20): Buffer {
  const frame = Buffer.alloc(4 + 8 + bodyBytes, 0x01);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt16BE(apiKey, 4);
  frame.writeInt16BE(0, 6);
  frame.writeInt32BE(0, 8);
  return frame;
}

const produce = 0;
const fetch = 1;
const metadata = 3;
/** Its low byte is that of Produce. */
const key256 = 256;

describe('produce watch', () => {
  let server: Server;
  let arrived: Buffer[];
  let socket: ReturnType<kafkajs.ISocketFactory>;
  let watch: ProduceWatch;

  beforeEach(async () => {
    arrived = [];
    server = createServer((peer: Socket) => peer.on('data', (chunk: Buffer) => arrived.push(chunk)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    watch = new ProduceWatch();
    const { port } = server.address() as AddressInfo;
    await new Promise<void>((resolve) => {
      socket = watch.socketFactory({ host: '127.0.0.1', port, ssl: undefined as never, onConnect: resolve });
    });
  });

  afterEach(async () => {
    socket.destroy();
    server.close();
    await once(server, 'close');
  });

  async function serverHas(bytes: number): Promise<Buffer> {
    while (arrived.reduce((sum, { length }) => sum + length, 0) < bytes) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    return Buffer.concat(arrived);
  }

  it('counts Produce requests, and no others', () => {
    for (const apiKey of [metadata, produce, fetch, key256, produce]) socket.write(request(apiKey));
    expect(watch.requests).to.equal(2);
  });

  it('counts a request when it is handed over, before anything is answered', () => {
    expect(watch.requests).to.equal(0);
    socket.write(request(produce));
    expect(watch.requests).to.equal(1);
  });

  it('passes on every byte as it was, and the callbacks with them', async () => {
    const frames = [request(metadata), request(produce, 100_000), request(fetch)];
    await new Promise<void>((resolve, reject) => {
      socket.write(frames[0]!);
      socket.write(frames[1]!);
      socket.write(frames[2]!, (error) => (error ? reject(error) : resolve()));
    });
    const sent = Buffer.concat(frames);
    expect((await serverHas(sent.length)).equals(sent)).to.equal(true);
  });

  it('does not stumble over what is no request', async () => {
    socket.write(Buffer.alloc(0));
    socket.write(Buffer.from([0, 0, 0, 1, 0]));
    socket.write('\0\0\0\0\0\0 text', 'latin1');
    await serverHas(16);
    expect(watch.requests).to.equal(0);
  });

  it('counts all sockets of its client together', async () => {
    const { port } = server.address() as AddressInfo;
    const second = await new Promise<typeof socket>((resolve) => {
      const made: typeof socket = watch.socketFactory({
        host: '127.0.0.1',
        port,
        ssl: undefined as never,
        onConnect: () => resolve(made),
      });
    });
    socket.write(request(produce));
    second.write(request(produce));
    expect(watch.requests).to.equal(2);
    second.destroy();
  });
});
