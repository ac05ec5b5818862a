import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import avsc from 'avsc';
import { built } from './built.ts';
import { type LoadResult, percentilesOf } from './closed-loop.ts';

export interface PreparedCallsOptions {
  readonly port: number;
  readonly inFlight: number;
  readonly keys: readonly string[];
}

const longestUs = 1_000_000;
const patienceMs = 5_000;
const headBytes = 12;

/**
 * Calls of `get` on one connection that cost the caller next to nothing, so that the server is what is measured: they were made
 * before, and leave in one write as soon as answers come, one for each. Of an answer it is only looked at which call it is for
 * and whether it is an error. All must have the length of the first.
 */
export async function preparedCalls(
  options: PreparedCallsOptions,
): Promise<(durationMs: number) => Promise<LoadResult>> {
  const { port, inFlight, keys } = options;
  const handshake = await handshakeFrame();
  const calls = keys.map((key, serial) => getFrame(serial, key));
  const callBytes = calls[0]!.length;
  // Twice, so that what leaves in one write never has to begin again at the first.
  const prepared = Buffer.concat([...calls, ...calls]);

  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  let take: (chunk: Buffer) => void = () => {};
  let fail: (error: Error) => void = (error) => {
    throw error;
  };
  socket.on('data', (chunk: Buffer) => take(chunk));
  socket.on('error', (error) => fail(error));
  socket.on('end', () => fail(new Error('the server closed the connection')));
  const whole = async (): Promise<Buffer> => {
    let received = Buffer.alloc(0);
    take = (chunk) => {
      received = Buffer.concat([received, chunk]);
    };
    const signal = AbortSignal.timeout(patienceMs);
    while (received.length < headBytes || received.length < headBytes + received.readInt32BE(8)) {
      await once(socket, 'data', { signal });
    }
    return received;
  };
  socket.write(handshake);
  await whole();
  socket.write(calls[0]!);
  const first = await whole();
  const answerBytes = first.length;
  if (first[headBytes + 1] !== 0) throw new Error('the first call was answered with an error');

  return (durationMs) =>
    new Promise<LoadResult>((resolve, reject) => {
      const countsByUs = new Uint32Array(longestUs + 1);
      const sentMs = new Float64Array(inFlight);
      const startMs = performance.now();
      const endMs = startMs + durationMs;
      let sent = 0;
      let done = 0;
      let inTime = 0;
      let rest: Buffer = Buffer.alloc(0);
      let measuring = true;
      const settle = (error?: Error): void => {
        measuring = false;
        clearTimeout(impatience);
        const percentile = percentilesOf(countsByUs);
        if (error !== undefined) reject(error);
        else resolve({ perSecond: (inTime * 1_000) / durationMs, p50Us: percentile(0.5), p99Us: percentile(0.99) });
      };
      fail = settle;
      const send = (count: number, nowMs: number): void => {
        const start = (sent % keys.length) * callBytes;
        for (let i = 0; i < count; i += 1) sentMs[(sent + i) % inFlight] = nowMs;
        sent += count;
        socket.write(prepared.subarray(start, start + count * callBytes));
      };
      take = (chunk) => {
        const input = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const nowMs = performance.now();
        let at = 0;
        for (; at + answerBytes <= input.length; at += answerBytes) {
          // Answers of reads from memory come in the order of the calls.
          if (input.readInt32BE(at) !== done % keys.length) return settle(new Error('an answer is for another call'));
          if (input[at + headBytes + 1] !== 0) return settle(new Error('a call was answered with an error'));
          const us = Math.round((nowMs - sentMs[done % inFlight]!) * 1_000);
          countsByUs[us < longestUs ? us : longestUs]! += 1;
          done += 1;
        }
        rest = input.subarray(at);
        if (nowMs < endMs) {
          inTime = done;
          if (sent - done < inFlight) send(inFlight - (sent - done), nowMs);
        } else if (done === sent) settle();
      };
      const impatience = setTimeout(() => settle(new Error('answers failed to come')), durationMs + patienceMs);
      // As closedLoop does: never asleep, lest the server pays for waking the one who measures it.
      const stayAwake = (): void => {
        if (measuring) setImmediate(stayAwake);
      };
      stayAwake();
      send(inFlight, startMs);
    });
}

async function handshakeFrame(): Promise<Buffer> {
  const { handshakeRequests } =
    await built<typeof import('../../src/avro/wire/handshake.ts')>('avro/wire/handshake.js');
  const { ownProtocol } = await built<typeof import('../../src/avro/wire/protocol.ts')>('avro/wire/protocol.js');
  const { hash } = ownProtocol('database.avpr');
  const request = { clientHash: hash, clientProtocol: null, serverHash: hash };
  // No metadata, no message's name: a call that only shakes hands.
  return frame(0, [handshakeRequests.bytesOf(request), Buffer.from([0, 0])]);
}

const file = new URL('../../schemas/database.avpr', import.meta.url);
const get = avsc.Service.forProtocol(JSON.parse(readFileSync(file, 'utf8'))).message('get');
const getName = Buffer.concat([Buffer.from([0]), avsc.Type.forSchema('string').toBuffer('get')]);

function getFrame(serial: number, key: string): Buffer {
  const parameters = { key: Buffer.from(key), consistency: 'LOCAL', positions: [] };
  return frame(serial, [getName, get.requestType.toBuffer(parameters)]);
}

function frame(serial: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(headBytes);
  head.writeInt32BE(serial, 0);
  head.writeInt32BE(1, 4);
  head.writeInt32BE(body.length, 8);
  return Buffer.concat([head, body]);
}
