import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly durationMs: number;
  /** Whole requests, ready to send; each connection goes round them from a place of its own. */
  readonly requests: readonly Buffer[];
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Latencies are counted by the microsecond, the last cell takes all longer ones. */
const longestUs = 1_000_000;
const patienceMs = 5_000;

/**
 * Sends requests over keep-alive connections, one outstanding on each, until the time is over. Made to cost less than any server
 * it is pointed at: requests are prepared, nothing is parsed. All responses must have the length of the first and begin like it; a
 * response is over when that many bytes have come.
 */
export async function closedLoop(options: LoadOptions): Promise<LoadResult> {
  const { port, connections, durationMs, requests } = options;
  const { length: responseBytes, statusDigit } = await responseShape(port, requests[0]!);
  const countsByUs = new Uint32Array(longestUs + 1);
  const input = Buffer.allocUnsafe(64 * 1024);
  const sockets: Socket[] = [];
  let answered = 0;
  let open = connections;
  let finish: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  done.catch(() => {});

  const startMs = performance.now();
  const endMs = startMs + durationMs;
  const startConnection = (index: number): Socket => {
    let next = Math.floor((index * requests.length) / connections);
    let missing = responseBytes;
    let sentMs = 0;
    const send = (): void => {
      next = next + 1 === requests.length ? 0 : next + 1;
      sentMs = performance.now();
      socket.write(requests[next]!);
    };
    const onBytes = (count: number): boolean => {
      if (missing === responseBytes && !begins(input, count, statusDigit))
        fail(new Error('a response had another status'));
      missing -= count;
      if (missing > 0) return true;
      if (missing < 0) fail(new Error('a response was longer than the first one'));
      missing = responseBytes;
      const nowMs = performance.now();
      const us = Math.round((nowMs - sentMs) * 1_000);
      countsByUs[us < longestUs ? us : longestUs]! += 1;
      if (nowMs < endMs) {
        answered += 1;
        send();
      } else {
        open -= 1;
        if (open === 0) finish();
      }
      return true;
    };
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer: input, callback: onBytes } });
    socket.once('connect', send);
    socket.once('error', fail);
    socket.once('end', () => fail(new Error('the server closed a connection')));
    return socket;
  };

  const impatience = setTimeout(() => fail(new Error('responses failed to come')), durationMs + patienceMs);
  // Never asleep: else the slower server pays, with each response, for waking the one who measures it.
  let measuring = true;
  const stayAwake = (): void => {
    if (measuring) setImmediate(stayAwake);
  };
  stayAwake();
  try {
    for (let index = 0; index < connections; index += 1) sockets.push(startConnection(index));
    await done;
  } finally {
    measuring = false;
    clearTimeout(impatience);
    for (const socket of sockets) socket.destroy();
  }
  const percentile = percentilesOf(countsByUs);
  return { perSecond: (answered * 1_000) / durationMs, p50Us: percentile(0.5), p99Us: percentile(0.99) };
}

function begins(bytes: Buffer, count: number, statusDigit: number): boolean {
  // The first digit of the status in "HTTP/1.1 200 OK".
  return count > 9 && bytes[9] === statusDigit;
}

export function percentilesOf(countsByUs: Uint32Array): (share: number) => number {
  const total = countsByUs.reduce((sum, count) => sum + count, 0);
  return (share) => {
    let seen = 0;
    return countsByUs.findIndex((count) => {
      seen += count;
      return seen >= total * share;
    });
  };
}

/** The bytes of a whole response, head and body, from its Content-Length; that of a HEAD request is none of its own. */
async function responseShape(port: number, request: Buffer): Promise<{ length: number; statusDigit: number }> {
  const { head, bodyBytes } = await firstResponse(port, request);
  return { length: head.length + bodyBytes, statusDigit: head.charCodeAt(9) };
}

export async function firstResponse(
  port: number,
  request: Buffer,
): Promise<{ head: string; body: Buffer; bodyBytes: number }> {
  const socket = connect({ host: '127.0.0.1', port });
  const signal = AbortSignal.timeout(patienceMs);
  try {
    socket.write(request);
    let received = Buffer.alloc(0);
    for (;;) {
      const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
      received = Buffer.concat([received, chunk]);
      const headEnd = received.indexOf('\r\n\r\n') + 4;
      if (headEnd < 4) continue;
      const head = received.toString('latin1', 0, headEnd);
      const announced = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
      const bodyBytes = request.toString('latin1', 0, 5) === 'HEAD ' ? 0 : announced;
      if (!/^HTTP\/1\.1 (200|404) /.test(head) || Number.isNaN(announced))
        throw new Error(`unexpected answer: ${head}`);
      if (received.length >= headEnd + bodyBytes) return { head, body: received.subarray(headEnd), bodyBytes };
    }
  } finally {
    socket.destroy();
  }
}
