import { Pool } from 'undici';
import { preparedCalls } from './avro-prepared-calls.ts';
import { built } from './built.ts';
import { closedLoop, type LoadResult, percentilesOf } from './closed-loop.ts';
import { taskOf, tell } from './contender.ts';
import { keyAt } from './keys.ts';

/**
 * Who calls, from a process of its own: bitacora's client over one connection; one connection that sends calls which were made
 * before and reads of the answers only that they are there; HTTP, likewise, with one connection for each request in flight; or
 * undici, an HTTP client that makes sense of answers as ours does, with as many connections.
 */
export interface AvroLoadTask {
  readonly via: 'client' | 'prepared calls' | 'http' | 'http client';
  /** Of reads by the client; others are `local`. */
  readonly consistency?: 'local' | 'session';
  readonly httpPort: number;
  readonly avroPort: number;
  readonly inFlight: number;
  /** Keys are asked for from `keyAt(firstKey)` on. */
  readonly firstKey: number;
  readonly keys: number;
}

export interface AvroLoadRequest {
  readonly durationMs: number;
}

export interface AvroLoadResult extends LoadResult {
  /** Processor time of the caller. */
  readonly cpuUs: number;
}

type Load = (durationMs: number) => Promise<LoadResult>;

const longestUs = 1_000_000;
const task = taskOf<AvroLoadTask>();
const keys = Array.from({ length: task.keys }, (_, i) => keyAt(task.firstKey + i));

async function clientCalls({ avroPort, inFlight, consistency = 'local' }: AvroLoadTask): Promise<Load> {
  const { connect } = await built<typeof import('../../src/client/client.ts')>('client/client.js');
  const client = await connect({ nodes: [`127.0.0.1:${avroPort}`] });
  return callsOf(inFlight, (key) => client.get(key, { consistency }));
}

function httpClientCalls({ httpPort, inFlight }: AvroLoadTask): Load {
  const pool = new Pool(`http://127.0.0.1:${httpPort}`, { connections: inFlight, pipelining: 1 });
  return callsOf(inFlight, async (key) => {
    const { statusCode, body } = await pool.request({ path: `/rpc?key=${key}`, method: 'GET' });
    return statusCode === 200 ? body.json() : undefined;
  });
}

function callsOf(inFlight: number, get: (key: string) => Promise<unknown>): Load {
  return async (durationMs) => {
    const countsByUs = new Uint32Array(longestUs + 1);
    const endMs = performance.now() + durationMs;
    let answered = 0;
    const callAfterCall = async (place: number): Promise<void> => {
      for (let next = place; ; next = next + 1 === keys.length ? 0 : next + 1) {
        const sentMs = performance.now();
        const entry = await get(keys[next]!);
        if (entry === undefined) throw new Error(`there is no value under ${keys[next]}`);
        const nowMs = performance.now();
        countsByUs[Math.min(longestUs, Math.round((nowMs - sentMs) * 1_000))]! += 1;
        if (nowMs >= endMs) return;
        answered += 1;
      }
    };
    // As the other loads do: who measures is never asleep, lest each answer has to wake it.
    let measuring = true;
    const stayAwake = (): void => {
      if (measuring) setImmediate(stayAwake);
    };
    stayAwake();
    try {
      const places = Array.from({ length: inFlight }, (_, i) => Math.floor((i * keys.length) / inFlight));
      await Promise.all(places.map(callAfterCall));
    } finally {
      measuring = false;
    }
    const percentile = percentilesOf(countsByUs);
    return { perSecond: (answered * 1_000) / durationMs, p50Us: percentile(0.5), p99Us: percentile(0.99) };
  };
}

function httpRequests({ httpPort: port, inFlight: connections }: AvroLoadTask): Load {
  const requests = keys.map((key) => Buffer.from(`GET /rpc?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`));
  return (durationMs) => closedLoop({ port, connections, durationMs, requests });
}

async function loadOf(): Promise<Load> {
  switch (task.via) {
    case 'client':
      return clientCalls(task);
    case 'prepared calls':
      return preparedCalls({ port: task.avroPort, inFlight: task.inFlight, keys });
    case 'http':
      return httpRequests(task);
    case 'http client':
      return httpClientCalls(task);
  }
}

const load = await loadOf();
process.on('message', ({ durationMs }: AvroLoadRequest) => {
  const before = process.cpuUsage();
  void load(durationMs).then((result) => {
    const { user, system } = process.cpuUsage(before);
    tell({ ...result, cpuUs: user + system } satisfies AvroLoadResult);
  });
});
tell({});
