import { Redis, type RedisPrograms, redisKeyAt } from './peers/redis.ts';

export interface RedisFigures {
  /** What filling added to what Redis counts itself, and to what the system counts. */
  readonly usedBytesPerKey: number;
  readonly residentBytesPerKey: number;
  readonly insertsPerSecond: number;
  /** By redis-benchmark, with one request at a time on each of 64 connections, and with sixteen. */
  readonly getsPerSecond: number;
  readonly setsPerSecond: number;
  readonly pipelinedGetsPerSecond: number;
  readonly pipelinedSetsPerSecond: number;
}

const requests = 300_000;
const pipelinedRequests = 1_500_000;
const pipeline = 16;

/** A Redis of its own, filled and asked. */
export async function redisFigures(
  programs: RedisPrograms,
  { keys, valueBytes }: { keys: number; valueBytes: number },
): Promise<RedisFigures> {
  const redis = await Redis.start(programs);
  try {
    const empty = await redis.memory();
    const fillMs = await redis.fill(keys, redisKeyAt, Buffer.alloc(valueBytes, 'v'));
    const full = await redis.memory();
    const rate = (command: 'GET' | 'SET', pipeline: number) =>
      redis.requestsPerSecond(command, {
        keys,
        requests: pipeline === 1 ? requests : pipelinedRequests,
        pipeline,
        valueBytes,
      });
    return {
      usedBytesPerKey: (full.usedBytes - empty.usedBytes) / keys,
      residentBytesPerKey: (full.residentBytes - empty.residentBytes) / keys,
      insertsPerSecond: (keys * 1_000) / fillMs,
      getsPerSecond: await rate('GET', 1),
      setsPerSecond: await rate('SET', 1),
      pipelinedGetsPerSecond: await rate('GET', pipeline),
      pipelinedSetsPerSecond: await rate('SET', pipeline),
    };
  } finally {
    await redis.stop();
  }
}
