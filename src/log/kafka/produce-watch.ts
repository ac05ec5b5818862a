import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { ISocketFactory } from 'kafkajs';

const produceApiKey = 0;
const keepAliveMs = 60_000;

/**
 * Counts the Produce requests that a client hands to its sockets.
 *
 * kafkajs retries and reconnects inside one call, and the error it ends with is that of its last step: a lost reply followed
 * by a refused reconnection is reported as "connection refused", although the records may be in the log. Whether a request
 * left is therefore read off the sockets: a request starts with its length (int32) and its API key (int16), and kafkajs
 * writes each request with one call.
 */
export class ProduceWatch {
  requests = 0;

  readonly socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const tls = ssl as ConnectionOptions | undefined;
    const socket: Socket = tls
      ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...tls }, onConnect)
      : connect({ host, port }, onConnect);
    socket.setKeepAlive(true, keepAliveMs);
    socket.setNoDelay(true);
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = ((...args: unknown[]) => {
      const [chunk] = args;
      if (Buffer.isBuffer(chunk) && chunk.length >= 6 && chunk.readInt16BE(4) === produceApiKey) this.requests += 1;
      return write(...args);
    }) as typeof socket.write;
    return socket;
  };
}
