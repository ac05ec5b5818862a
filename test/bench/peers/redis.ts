import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { useOf } from '../process-use.ts';
import { findPeer, PeerServer } from './peer-program.ts';

const patienceMs = 30_000;
const benchmarkTimeoutMs = 120_000;
const okBytes = '+OK\r\n'.length;
/** Commands that are written at once. */
const batchKeys = 10_000;

/** 15 bytes: redis-benchmark puts twelve digits in the place of `__rand_int__`. */
const redisKeyPrefix = 'key';
const redisKeyDigits = 12;

export function redisKeyAt(index: number): string {
  return `${redisKeyPrefix}${String(index).padStart(redisKeyDigits, '0')}`;
}

export interface RedisPrograms {
  readonly server: string;
  readonly benchmark: string;
}

/** undefined where there is no Redis. */
export async function findRedis(): Promise<RedisPrograms | undefined> {
  const howToGet = 'apt-get install redis-server';
  const server = await findPeer({ name: 'Redis', file: 'redis-server', variable: 'REDIS_SERVER', howToGet });
  if (server === undefined) return undefined;
  const benchmark = await findPeer({
    name: 'Redis',
    file: 'redis-benchmark',
    variable: 'REDIS_BENCHMARK',
    howToGet: 'apt-get install redis-tools',
  });
  return benchmark === undefined ? undefined : { server, benchmark };
}

export interface RedisMemory {
  /** What it counts itself (`used_memory`). */
  readonly usedBytes: number;
  /** What the system counts. */
  readonly residentBytes: number;
}

/** A Redis that keeps everything in memory and writes nothing to disk. */
export class Redis {
  readonly #programs: RedisPrograms;
  readonly #server: PeerServer;

  private constructor(programs: RedisPrograms, server: PeerServer) {
    this.#programs = programs;
    this.#server = server;
  }

  static async start(programs: RedisPrograms): Promise<Redis> {
    const server = await PeerServer.start(
      programs.server,
      async ({ port, folder }) => [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
        ...['--save', '', '--appendonly', 'no', '--maxmemory', '0'],
      ],
      (port) => ask(port, 'PING'),
    );
    return new Redis(programs, server);
  }

  get port(): number {
    return this.#server.port;
  }

  get pid(): number {
    return this.#server.pid;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Sets `keyOf(0)` to `keyOf(keys - 1)` to `value`, by mass insertion. Answers how long that took. */
  async fill(keys: number, keyOf: (index: number) => string, value: Buffer): Promise<number> {
    const socket = connect({ host: '127.0.0.1', port: this.port });
    const text = value.toString('latin1');
    let missing = 0;
    let wake: () => void = () => {};
    socket.on('data', (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing <= 0) wake();
    });
    const startedMs = performance.now();
    try {
      for (let first = 0; first < keys; first += batchKeys) {
        const count = Math.min(batchKeys, keys - first);
        const commands: string[] = [];
        for (let i = first; i < first + count; i += 1) {
          const key = keyOf(i);
          commands.push(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${text.length}\r\n${text}\r\n`);
        }
        missing += count * okBytes;
        socket.write(commands.join(''), 'latin1');
        // One batch is made while another is under way.
        if (missing > batchKeys * okBytes) {
          await new Promise<void>((resolve) => {
            wake = () => {
              if (missing <= batchKeys * okBytes) resolve();
            };
            wake();
          });
        }
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (missing <= 0) wake();
      });
    } finally {
      socket.destroy();
    }
    const elapsedMs = performance.now() - startedMs;
    const size = await ask(this.port, 'DBSIZE');
    if (size !== `:${keys}\r\n`) throw new Error(`Redis has ${size.trim()} keys`);
    return elapsedMs;
  }

  async memory(): Promise<RedisMemory> {
    const info = await ask(this.port, 'INFO memory');
    const usedBytes = Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
    return { usedBytes, residentBytes: useOf(this.pid).residentMb * 1_048_576 };
  }

  /** Requests per second as redis-benchmark counts them: random keys out of `keys`, 64 connections. */
  async requestsPerSecond(
    command: 'GET' | 'SET',
    { keys, requests, pipeline, valueBytes }: { keys: number; requests: number; pipeline: number; valueBytes: number },
  ): Promise<number> {
    const args = [
      ...['-p', String(this.port), '-c', '64', '-n', String(requests), '-r', String(keys), '-P', String(pipeline)],
      ...['--csv', command, `${redisKeyPrefix}__rand_int__`, ...(command === 'SET' ? ['v'.repeat(valueBytes)] : [])],
    ];
    const { stdout } = await promisify(execFile)(this.#programs.benchmark, args, { timeout: benchmarkTimeoutMs });
    // A line of titles, then: "GET key__rand_int__","123456.78","0.5",...
    const rate = Number(/^"(?:GET|SET) [^"]*","([\d.]+)"/m.exec(stdout)?.[1]);
    if (!(rate > 0)) throw new Error(`redis-benchmark did not say how fast it was:\n${stdout}`);
    return rate;
  }
}

/** The bytes of one answer, by a connection of its own. */
async function ask(port: number, command: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  const signal = AbortSignal.timeout(patienceMs);
  try {
    await once(socket, 'connect', { signal });
    socket.write(`${command}\r\n`);
    let answer = '';
    for (;;) {
      const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
      answer += chunk.toString('latin1');
      if (answer.startsWith('-')) throw new Error(`Redis answered ${answer}`);
      const lineEnd = answer.indexOf('\r\n') + 2;
      // A bulk string says how long it is; other answers are one line.
      const bytes = answer.startsWith('$') ? lineEnd + Number(answer.slice(1, lineEnd - 2)) + 2 : lineEnd;
      if (lineEnd >= 2 && answer.length >= bytes) return answer;
    }
  } finally {
    socket.destroy();
  }
}
