import { type ClientHttp2Session, connect } from 'node:http2';
import { findPeer, PeerServer } from './peer-program.ts';

const patienceMs = 10_000;
const host = '127.0.0.1';
/** Puts that are under way at once while the store is filled. */
const putsAtOnce = 64;

export function findEtcd(): Promise<string | undefined> {
  const howToGet = 'apt-get install etcd-server';
  return findPeer({ name: 'etcd', file: 'etcd', variable: 'ETCD', howToGet });
}

export function startEtcd(path: string): Promise<PeerServer> {
  return PeerServer.start(
    path,
    async ({ port, folder }) => {
      const client = `http://${host}:${port}`;
      // One member talks to nobody: the system chooses the port.
      const peer = `http://${host}:0`;
      return [
        ...['--name', 'bench', '--data-dir', `${folder}/data`, '--log-level', 'error'],
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `bench=${peer}`],
        // It is filled and read; how it lasts is not measured.
        '--unsafe-no-fsync',
      ];
    },
    async (port) => {
      const session = await connectEtcd(port);
      try {
        await call(session, paths.range, rangeRequest('nothing'));
      } finally {
        session.destroy();
      }
    },
  );
}

/** etcd's API v3, by gRPC: messages of protobuf in frames of a flag byte and a length, over HTTP/2. */
const paths = { range: '/etcdserverpb.KV/Range', put: '/etcdserverpb.KV/Put' } as const;

/** RangeRequest: key = 1, serializable = 7: from the member's own memory, as a node of ours answers. */
export function rangeRequest(key: string): Buffer {
  return framed(Buffer.concat([field(1, key), Buffer.from([7 << 3, 1])]));
}

/** PutRequest: key = 1, value = 2. */
function putRequest(key: string, value: Buffer): Buffer {
  return framed(Buffer.concat([field(1, key), field(2, value)]));
}

/** A field of bytes, of at most 127: one byte is its length. */
function field(number: number, bytes: string | Buffer): Buffer {
  const content = Buffer.from(bytes as string);
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A connection, once there is one. What goes wrong with it later, the calls on it tell. */
export function connectEtcd(port: number): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${host}:${port}`, () => resolve(session));
    session.on('error', reject);
  });
}

/** The bytes of the answer's frame. Rejects unless the call went well. */
export function callRange(session: ClientHttp2Session, request: Buffer): Promise<Buffer> {
  return call(session, paths.range, request);
}

function call(session: ClientHttp2Session, path: string, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    let status: unknown;
    stream.setTimeout(patienceMs, () => stream.destroy(new Error('etcd did not answer')));
    stream.on('response', (headers) => {
      status = headers['grpc-status'];
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('trailers', (trailers) => {
      status = trailers['grpc-status'];
    });
    stream.once('error', reject);
    stream.once('close', () => {
      if (status === '0') resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
      else reject(new Error(`etcd answered with status ${status}`));
    });
    stream.end(request);
  });
}

/** Puts `keys` to `value`. */
export async function fillEtcd(port: number, keys: readonly string[], value: Buffer): Promise<void> {
  const session = await connectEtcd(port);
  try {
    let next = 0;
    const putAll = async (): Promise<void> => {
      while (next < keys.length) {
        const key = keys[next]!;
        next += 1;
        await call(session, paths.put, putRequest(key, value));
      }
    };
    await Promise.all(Array.from({ length: putsAtOnce }, putAll));
  } finally {
    session.destroy();
  }
}
