import type { ClientHttp2Session } from 'node:http2';
import { preparedCalls } from './avro-prepared-calls.ts';
import { type ByteLoad, byteLoop, httpAnswerEnd } from './byte-loop.ts';
import { type LoadResult, percentilesOf } from './closed-loop.ts';
import { taskOf, tell } from './contender.ts';
import { keyAt } from './keys.ts';
import { callRange, connectEtcd, rangeRequest } from './peers/etcd.ts';
import { natsAnswerEnd, natsGet, natsGreeting } from './peers/nats.ts';

/** Who reads, from a process of its own, as cheaply as the protocol lets it. */
export interface ReadLoadTask {
  readonly via: 'http' | 'avro' | 'redis' | 'etcd' | 'nats';
  readonly port: number;
  readonly connections: number;
  /** On each connection. */
  readonly inFlight: number;
  /** Keys are asked for from `keyAt(firstKey)` on. */
  readonly firstKey: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** See `ByteLoad`; without a say where the client is not of bytes. */
  readonly staysAwake: boolean;
}

export interface ReadLoadRequest {
  readonly durationMs: number;
}

type Load = (durationMs: number) => Promise<LoadResult>;

const longestUs = 1_000_000;
const task = taskOf<ReadLoadTask>();
const { port, connections, inFlight, valueBytes, staysAwake } = task;

/** Those of one connection: another part of the keys for each. */
function keysOf(connection: number): string[] {
  const count = Math.floor(task.keys / connections);
  return Array.from({ length: count }, (_, i) => keyAt(task.firstKey + connection * count + i));
}

function overBytes(load: Pick<ByteLoad, 'requestsOf' | 'greetingOf' | 'answerEnd'>): Load {
  const requests = Array.from({ length: connections }, (_, connection) => load.requestsOf(connection));
  return (durationMs) =>
    byteLoop({ ...load, requestsOf: (i) => requests[i]!, port, connections, inFlight, durationMs, staysAwake });
}

function http(): Load {
  const requestsOf = (connection: number): Buffer[] =>
    keysOf(connection).map((key) => Buffer.from(`GET /rpc?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`));
  return overBytes({ requestsOf, answerEnd: httpAnswerEnd });
}

function redis(): Load {
  const head = Buffer.from(`$${valueBytes}\r\n`);
  const answerBytes = head.length + valueBytes + 2;
  const answerEnd = (bytes: Buffer, start: number, end: number): number => {
    if (end - start < answerBytes) return -1;
    for (let i = 0; i < head.length; i += 1) {
      if (bytes[start + i] !== head[i]) throw new Error(`Redis answered ${bytes.toString('latin1', start, end)}`);
    }
    return start + answerBytes;
  };
  const requestsOf = (connection: number): Buffer[] =>
    keysOf(connection).map((key) => Buffer.from(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`));
  return overBytes({ requestsOf, answerEnd });
}

function nats(): Load {
  const requestsOf = (connection: number): Buffer[] => keysOf(connection).map((key) => natsGet(key, connection));
  const greetingOf = (connection: number) => ({ bytes: natsGreeting(connection), endsWith: 'PONG' });
  return overBytes({ requestsOf, greetingOf, answerEnd: natsAnswerEnd });
}

/** By Node.js' own HTTP/2, which costs more than the sockets of the others: see the server's processor time a read. */
async function etcd(): Promise<Load> {
  const sessions = await Promise.all(Array.from({ length: connections }, () => connectEtcd(port)));
  return async (durationMs) => {
    const countsByUs = new Uint32Array(longestUs + 1);
    const endMs = performance.now() + durationMs;
    let answered = 0;
    const callAfterCall = async (session: ClientHttp2Session, requests: readonly Buffer[]): Promise<void> => {
      for (let next = 0; ; next = (next + 1) % requests.length) {
        const sentMs = performance.now();
        const answer = await callRange(session, requests[next]!);
        if (answer.length < valueBytes) throw new Error('etcd has no such value');
        const nowMs = performance.now();
        countsByUs[Math.min(longestUs, Math.round((nowMs - sentMs) * 1_000))]! += 1;
        if (nowMs >= endMs) return;
        answered += 1;
      }
    };
    await Promise.all(
      sessions.flatMap((session, connection) => {
        const requests = keysOf(connection).map((key) => rangeRequest(key));
        return Array.from({ length: inFlight }, () => callAfterCall(session, requests));
      }),
    );
    const percentile = percentilesOf(countsByUs);
    return { perSecond: (answered * 1_000) / durationMs, p50Us: percentile(0.5), p99Us: percentile(0.99) };
  };
}

async function loadOf(): Promise<Load> {
  switch (task.via) {
    case 'http':
      return http();
    case 'redis':
      return redis();
    case 'nats':
      return nats();
    case 'etcd':
      return etcd();
    case 'avro':
      return preparedCalls({ port, inFlight, keys: keysOf(0) });
  }
}

const load = await loadOf();
process.on('message', ({ durationMs }: ReadLoadRequest) => {
  void load(durationMs).then(tell);
});
tell({});
