import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type LoadResult, percentilesOf } from './closed-loop.ts';

export interface ByteLoad {
  readonly port: number;
  readonly connections: number;
  /** Requests on the way on each connection. */
  readonly inFlight: number;
  readonly durationMs: number;
  /** Whole requests of one connection, ready to send, round and round. */
  readonly requestsOf: (connection: number) => readonly Buffer[];
  readonly greetingOf?: (connection: number) => Greeting;
  /** Whether who measures is never asleep, lest each answer has to wake it: not where a third process needs the processors. */
  readonly staysAwake: boolean;
  /** Where the answer that begins at `start` ends; -1: it is not all in `bytes[start, end)`. Throws when it is not what was asked for. */
  readonly answerEnd: (bytes: Buffer, start: number, end: number) => number;
}

/** What a connection begins with; what comes before the answer to it has ended is passed over. */
export interface Greeting {
  readonly bytes: Buffer;
  /** How the last line of what is answered begins. */
  readonly endsWith: string;
}

const headEndMark = Buffer.from('\r\n\r\n');
const lengthMark = Buffer.from('\r\nContent-Length: ');
const firstOfSuccess = '2'.charCodeAt(0);
const statusAt = 'HTTP/1.1 '.length;

/** An answer of HTTP that says how long it is, in the letters that Node.js writes it with; anything but success throws. */
export function httpAnswerEnd(bytes: Buffer, start: number, end: number): number {
  const headEnd = bytes.indexOf(headEndMark, start) + headEndMark.length;
  if (headEnd < headEndMark.length || headEnd > end) return -1;
  const lengthAt = bytes.indexOf(lengthMark, start);
  if (bytes[start + statusAt] !== firstOfSuccess || lengthAt < 0 || lengthAt > headEnd) {
    throw new Error(`unexpected answer: ${bytes.toString('latin1', start, headEnd)}`);
  }
  let length = 0;
  for (let at = lengthAt + lengthMark.length; bytes[at]! >= 48; at += 1) length = length * 10 + bytes[at]! - 48;
  return headEnd + length > end ? -1 : headEnd + length;
}

/** Latencies are counted by the microsecond, the last cell takes all longer ones. */
const longestUs = 1_000_000;
const patienceMs = 10_000;
const inputBytes = 256 * 1024;

/**
 * Sends requests of any protocol over TCP, as many on the way at a time as wanted, until the time is over. As `closedLoop` it costs
 * less than what it is pointed at, but finds the end of each answer, so that answers may differ in length.
 */
export async function byteLoop(load: ByteLoad): Promise<LoadResult> {
  const { connections, inFlight, durationMs, requestsOf } = load;
  const countsByUs = new Uint32Array(longestUs + 1);
  let answered = 0;
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const sockets: Socket[] = [];
  for (let i = 0; i < connections; i += 1) sockets.push(await greeted(load, i));
  let endMs = 0;
  const starts: (() => void)[] = [];
  const drive = (socket: Socket, index: number): Promise<void> =>
    new Promise((resolve) => {
      const requests = requestsOf(index);
      let next = 0;
      let [sent, done] = [0, 0];
      const sentMs = new Float64Array(inFlight);
      const input = Buffer.allocUnsafe(inputBytes);
      let filled = 0;
      const send = (count: number, nowMs: number): void => {
        const several: Buffer[] = [];
        for (let i = 0; i < count; i += 1) {
          several.push(requests[next]!);
          next = next + 1 === requests.length ? 0 : next + 1;
          sentMs[sent % inFlight] = nowMs;
          sent += 1;
        }
        socket.write(count === 1 ? several[0]! : Buffer.concat(several));
      };
      socket.on('data', (chunk: Buffer) => {
        if (filled + chunk.length > inputBytes) return fail(new Error('an answer is longer than there is room for'));
        chunk.copy(input, filled);
        filled += chunk.length;
        const nowMs = performance.now();
        let [at, free] = [0, 0];
        try {
          while (at < filled) {
            const end = load.answerEnd(input, at, filled);
            if (end < 0) break;
            at = end;
            const us = Math.round((nowMs - sentMs[done % inFlight]!) * 1_000);
            countsByUs[us < longestUs ? us : longestUs]! += 1;
            done += 1;
            free += 1;
          }
        } catch (error) {
          return fail(error as Error);
        }
        if (at > 0) {
          input.copyWithin(0, at, filled);
          filled -= at;
        }
        if (nowMs < endMs) {
          answered += free;
          if (free > 0) send(free, nowMs);
        } else if (done === sent) {
          resolve();
        }
      });
      socket.once('error', fail);
      socket.once('end', () => fail(new Error('the server closed a connection')));
      starts.push(() => send(inFlight, performance.now()));
    });

  const impatience = setTimeout(() => fail(new Error('answers failed to come')), durationMs + patienceMs);
  let measuring = load.staysAwake;
  const stayAwake = (): void => {
    if (measuring) setImmediate(stayAwake);
  };
  stayAwake();
  try {
    const driven = Promise.all(sockets.map(drive));
    endMs = performance.now() + durationMs;
    for (const start of starts) start();
    await Promise.race([driven, failed]);
  } finally {
    measuring = false;
    clearTimeout(impatience);
    for (const socket of sockets) socket.destroy();
  }
  const percentile = percentilesOf(countsByUs);
  return { perSecond: (answered * 1_000) / durationMs, p50Us: percentile(0.5), p99Us: percentile(0.99) };
}

async function greeted({ port, greetingOf }: ByteLoad, connection: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const signal = AbortSignal.timeout(patienceMs);
  await once(socket, 'connect', { signal });
  const greeting = greetingOf?.(connection);
  if (greeting === undefined) return socket;
  socket.write(greeting.bytes);
  let received = '';
  while (!received.split('\r\n').at(-2)?.startsWith(greeting.endsWith)) {
    const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
    received += chunk.toString('latin1');
  }
  return socket;
}
