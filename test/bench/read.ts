import type { AvroNodeTask, Ports } from './avro-node-contender.ts';
import type { Bench, Measure } from './bench.ts';
import type { LoadResult } from './closed-loop.ts';
import { Contender } from './contender.ts';
import { keyAt } from './keys.ts';
import { fillEtcd, findEtcd, startEtcd } from './peers/etcd.ts';
import { fillNats, findNats, startNats } from './peers/nats.ts';
import { findRedis, Redis } from './peers/redis.ts';
import { useOf } from './process-use.ts';
import type { ReadLoadRequest, ReadLoadTask } from './read-load-contender.ts';
import { alternate, ratio } from './rounds.ts';

const roundMs = 1_200;
const warmUpMs = 1_000;
const answerWithinMs = 30_000;
const valueBytes = 100;
const keys = 20_000;
const many = 64;

/** A server, and how it is asked. */
interface Reader {
  readonly label: string;
  readonly via: ReadLoadTask['via'];
  readonly port: number;
  readonly serverPid: number;
  readonly connections: number;
  readonly inFlight: number;
}

interface Round extends LoadResult {
  /** Processor time of the server for one read, the system's part in it too. */
  readonly serverUs: number;
}

export const read: Bench = {
  name: 'read',
  about: `reads of ${keys.toLocaleString('en-US')} keys with values of ${valueBytes} B: a node by HTTP and Avro, Redis GET, etcd range, NATS KV get`,
  async run({ profileFolder, quick }) {
    const ends: (() => Promise<void>)[] = [];
    const started = <T>(thing: T, end: () => Promise<void>): T => {
      ends.unshift(end);
      return thing;
    };
    try {
      const node = new Contender('avro-node-contender.ts', { keys, valueBytes } satisfies AvroNodeTask, profileFolder);
      started(node, () => node.end());
      const { httpPort, avroPort } = await node.next<Ports>(answerWithinMs);
      const readers: Reader[] = [
        ...shapes('a node, HTTP', { via: 'http', port: httpPort, serverPid: node.pid }).slice(0, 1),
        ...shapes('a node, Avro', { via: 'avro', port: avroPort, serverPid: node.pid }).slice(1),
        ...(await peerReaders(started)),
      ];
      const runs: Record<string, () => Promise<Round>> = {};
      for (const reader of readers) {
        const { via, port, connections, inFlight } = reader;
        const range = { firstKey: keys / 2, keys: keys / 2, valueBytes };
        const task: ReadLoadTask = { via, port, connections, inFlight, staysAwake: true, ...range };
        const load = new Contender('read-load-contender.ts', task);
        started(load, () => load.end());
        await load.next(answerWithinMs);
        const run = (durationMs: number): Promise<LoadResult> =>
          load.ask<LoadResult>({ durationMs } satisfies ReadLoadRequest, answerWithinMs);
        await run(warmUpMs);
        runs[reader.label] = async () => {
          const before = useOf(reader.serverPid).processorUs;
          const result = await run(roundMs);
          const usedUs = useOf(reader.serverPid).processorUs - before;
          return { ...result, serverUs: (usedUs * 1_000) / (result.perSecond * roundMs) };
        };
      }
      return measuresOf(await alternate(quick ? 3 : 5, runs));
    } finally {
      for (const end of ends) await end();
    }
  },
};

type Started = <T>(thing: T, end: () => Promise<void>) => T;

/** As many connections with one read each, and one connection with as many reads. */
function shapes(name: string, server: Pick<Reader, 'via' | 'port' | 'serverPid'>): Reader[] {
  return [
    { ...server, label: `${name}, ${many} connections`, connections: many, inFlight: 1 },
    { ...server, label: `${name}, ${many} in flight on one`, connections: 1, inFlight: many },
  ];
}

/** Those that this machine has, filled with what the node has. */
async function peerReaders(started: Started): Promise<Reader[]> {
  const names = Array.from({ length: keys }, (_, i) => keyAt(i));
  const value = Buffer.alloc(valueBytes, 'v');
  const readers: Reader[] = [];
  const redisPrograms = await findRedis();
  if (redisPrograms !== undefined) {
    const redis = await Redis.start(redisPrograms);
    started(redis, () => redis.stop());
    await redis.fill(keys, keyAt, value);
    readers.push(...shapes('Redis', { via: 'redis', port: redis.port, serverPid: redis.pid }));
  }
  const etcdPath = await findEtcd();
  if (etcdPath !== undefined) {
    const etcd = await startEtcd(etcdPath);
    started(etcd, () => etcd.stop());
    await fillEtcd(etcd.port, names, value);
    readers.push(...shapes('etcd', { via: 'etcd', port: etcd.port, serverPid: etcd.pid }));
  }
  const natsPath = await findNats();
  if (natsPath !== undefined) {
    const nats = await startNats(natsPath);
    started(nats, () => nats.stop());
    await fillNats(nats.port, names, value);
    readers.push(...shapes('NATS KV', { via: 'nats', port: nats.port, serverPid: nats.pid }));
  }
  return readers;
}

function measuresOf(results: Readonly<Record<string, readonly Round[]>>): Measure[] {
  const rows = (unit: Measure['unit'], what: string, pick: (round: Round) => number): Measure[] =>
    Object.entries(results).map(([label, all]) => ({ what: `${label}: ${what}`, unit, rounds: all.map(pick) }));
  const speeds = (label: string) => results[label]!.map(({ perSecond }) => perSecond);
  const compared = (ours: string, shape: string): Measure[] =>
    ['Redis', 'etcd', 'NATS KV']
      .map((peer) => [peer, `${peer}, ${shape}`] as const)
      .filter(([, label]) => label in results)
      .map(([peer, label]) => ratio(`${ours} / ${peer}, ${shape}`, speeds(`${ours}, ${shape}`), speeds(label)));
  return [
    ...rows('per second', 'reads', ({ perSecond }) => perSecond),
    ...rows('µs', 'latency, p50', ({ p50Us }) => p50Us),
    ...rows('µs', 'latency, p99', ({ p99Us }) => p99Us),
    ...rows('µs', 'processor time of the server a read', ({ serverUs }) => serverUs),
    ...compared('a node, HTTP', `${many} connections`),
    ...compared('a node, Avro', `${many} in flight on one`),
  ];
}
