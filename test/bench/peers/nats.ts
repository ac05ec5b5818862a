import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { findPeer, PeerServer } from './peer-program.ts';

const patienceMs = 20_000;
const host = '127.0.0.1';
const bucket = 'bench';
const inbox = '_INBOX.bench';

export function findNats(): Promise<string | undefined> {
  const howToGet = 'apt-get install nats-server, or go install github.com/nats-io/nats-server/v2@latest';
  return findPeer({ name: 'NATS', file: 'nats-server', variable: 'NATS_SERVER', howToGet });
}

/** A server with JetStream, which its KV buckets are streams of. */
export function startNats(path: string): Promise<PeerServer> {
  return PeerServer.start(
    path,
    async ({ port, folder }) => {
      const configPath = join(folder, 'nats.conf');
      const lines = [`listen: "${host}:${port}"`, `jetstream: { store_dir: ${JSON.stringify(join(folder, 'data'))} }`];
      await writeFile(configPath, `${lines.join('\n')}\n`);
      return ['-c', configPath];
    },
    (port) => exchange(port, '$JS.API.INFO', ''),
  );
}

/** What a connection begins with, and what tells that it was taken. Answers to requests come under the one subscription. */
export function natsGreeting(connection: number): Buffer {
  const name = `${inbox}.${connection}`;
  const options = '{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}';
  return Buffer.from(`CONNECT ${options}\r\nSUB ${name} 1\r\nPING\r\n`);
}

/** A get as clients of a bucket make it that is read directly (ADR-31 of NATS): from the server's own copy. */
export function natsGet(key: string, connection: number): Buffer {
  return Buffer.from(`PUB $JS.API.DIRECT.GET.KV_${bucket}.$KV.${bucket}.${key} ${inbox}.${connection} 0\r\n\r\n`);
}

const lineFeed = 10;
const space = 32;

/** Where the message that begins at `start` ends; -1 when it is not all there. Anything but an answer to a get throws. */
export function natsAnswerEnd(bytes: Buffer, start: number, end: number): number {
  const lineEnd = bytes.indexOf(lineFeed, start);
  if (lineEnd < 0 || lineEnd >= end) return -1;
  // The server asks now and then whether somebody is there, and does not mind before the third time.
  if (bytes[start] === 80) return natsAnswerEnd(bytes, lineEnd + 1, end);
  // HMSG subject sid bytes-of-headers bytes-of-all; an answer that has no value has no HMSG, or a status in it.
  if (bytes[start] !== 72) throw new Error(`NATS answered ${bytes.toString('latin1', start, lineEnd)}`);
  let total = 0;
  for (let at = lineEnd - 2, factor = 1; bytes[at] !== space; at -= 1, factor *= 10)
    total += (bytes[at]! - 48) * factor;
  const messageEnd = lineEnd + 1 + total + 2;
  return messageEnd > end ? -1 : messageEnd;
}

/** A bucket with one value to a key, in which `keys` have `value`. */
export async function fillNats(port: number, keys: readonly string[], value: Buffer): Promise<void> {
  const stream = {
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    max_msgs_per_subject: 1,
    discard: 'new',
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    storage: 'memory',
  };
  await exchange(port, `$JS.API.STREAM.CREATE.KV_${bucket}`, JSON.stringify(stream));
  const socket = connect({ host, port });
  socket.resume();
  for (const key of keys) {
    const whole = socket.write(`PUB $KV.${bucket}.${key} ${value.length}\r\n${value.toString('latin1')}\r\n`, 'latin1');
    if (!whole) await once(socket, 'drain', { signal: AbortSignal.timeout(patienceMs) });
  }
  socket.end();
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const answer = await exchange(port, `$JS.API.STREAM.INFO.KV_${bucket}`, '');
    const { messages } = (JSON.parse(answer) as { state: { messages: number } }).state;
    if (messages === keys.length) return;
    if (performance.now() > deadlineMs) throw new Error(`the bucket of NATS has ${messages} values`);
  }
}

/** One request by a connection of its own, and the payload of its answer. Rejects when that tells of an error. */
async function exchange(port: number, subject: string, payload: string): Promise<string> {
  const socket = connect({ host, port });
  const signal = AbortSignal.timeout(patienceMs);
  try {
    await once(socket, 'connect', { signal });
    socket.write(natsGreeting(0));
    socket.write(`PUB ${subject} ${inbox}.0 ${Buffer.byteLength(payload)}\r\n${payload}\r\n`);
    let received = '';
    for (;;) {
      const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
      received += chunk.toString('latin1');
      const message = /^MSG \S+ \S+ (\d+)\r\n/m.exec(received);
      const start = message === null ? 0 : message.index + message[0].length;
      if (message === null || received.length < start + Number(message[1])) {
        if (/^(-ERR|HMSG)/m.test(received)) throw new Error(`NATS answered ${received}`);
        continue;
      }
      const answer = received.slice(start, start + Number(message[1]));
      if ((JSON.parse(answer) as { error?: unknown }).error) throw new Error(`NATS answered ${answer}`);
      return answer;
    }
  } finally {
    socket.destroy();
  }
}
