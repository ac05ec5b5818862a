import { freePort } from '../support/kafka/ports.ts';
import type { Bench, Measure } from './bench.ts';
import { filledTopic } from './bench-topic.ts';
import type { LoadResult } from './closed-loop.ts';
import { Contender } from './contender.ts';
import { javaStreams } from './java-replay.ts';
import type { ReadLoadRequest, ReadLoadTask } from './read-load-contender.ts';
import type { WholeNodeTask, WholeNodeUp } from './whole-node-contender.ts';
import type { WriteLoadRequest, WriteLoadTask } from './write-load-contender.ts';

const nodesMost = 3;
const records = 200_000;
const askedKeys = 20_000;
const connections = 60;
const rounds = 3;
const roundMs = 1_200;
const answerWithinMs = 60_000;

interface Round {
  readonly readsPerSecond: number;
  readonly write: LoadResult;
}

/** All nodes share the processors of one machine: that more of them answer more takes a machine each. */
export const nodes: Bench = {
  name: 'nodes',
  about: `1 to ${nodesMost} nodes on this one machine: reads of all together, one write after the other, start of one more`,
  async run({ kafka, profileFolder, quick }) {
    const program = await javaStreams();
    const { brokerList, topic } = await filledTopic(await kafka(), program, { records, partitions: 1, codec: 'none' });
    const contenders: Contender[] = [];
    const start = async <Up>(file: string, task: WholeNodeTask | ReadLoadTask | WriteLoadTask) => {
      const contender = new Contender(file, task, profileFolder);
      contenders.push(contender);
      return { contender, up: await contender.next<Up>(answerWithinMs) };
    };
    const ports: number[] = [];
    const measures: Measure[] = [];
    try {
      for (let count = 1; count <= nodesMost; count += 1) {
        const environment = {
          BROKER_LIST: brokerList,
          KAFKA_TOPIC: topic,
          NODENAME: '127.0.0.1',
          API_PORT: String(await freePort()),
        };
        const { up } = await start<WholeNodeUp>('whole-node-contender.ts', { environment });
        ports.push(up.port);
        const loaders: Contender[] = [];
        for (const port of ports) {
          // One who is never asleep for each node would leave the nodes nothing.
          const share = { connections: Math.floor(connections / count), inFlight: 1, staysAwake: false };
          const range = { firstKey: 0, keys: askedKeys, valueBytes: 100 };
          const task: ReadLoadTask = { via: 'http', port, ...share, ...range };
          loaders.push((await start('read-load-contender.ts', task)).contender);
        }
        const writer = (await start('write-load-contender.ts', { via: 'http', port: ports[0]! })).contender;
        const round = async (): Promise<Round> => {
          const reads = await Promise.all(
            loaders.map((loader) =>
              loader.ask<LoadResult>({ durationMs: roundMs } satisfies ReadLoadRequest, answerWithinMs),
            ),
          );
          const request: WriteLoadRequest = { writers: 1, durationMs: roundMs };
          const write = await writer.ask<LoadResult>(request, answerWithinMs);
          return { readsPerSecond: reads.reduce((sum, { perSecond }) => sum + perSecond, 0), write };
        };
        await round();
        const results: Round[] = [];
        for (let i = 0; i < (quick ? 2 : rounds); i += 1) results.push(await round());
        measures.push(...measuresOf(count, up.startMs, results));
        // Those that measure never sleep; the nodes stay.
        await Promise.all([...loaders, writer].map((loader) => loader.end()));
      }
      return measures;
    } finally {
      await Promise.all(contenders.map((contender) => contender.end()));
    }
  },
};

function measuresOf(count: number, startMs: number, results: readonly Round[]): Measure[] {
  const name = count === 1 ? '1 node' : `${count} nodes`;
  const row = (what: string, unit: Measure['unit'], pick: (round: Round) => number): Measure => {
    return { what: `${name}: ${what}`, unit, rounds: results.map(pick) };
  };
  return [
    row('reads by HTTP, all together', 'per second', ({ readsPerSecond }) => readsPerSecond),
    row('a write at the first, p50', 'µs', ({ write }) => write.p50Us),
    row('a write at the first, p99', 'µs', ({ write }) => write.p99Us),
    { what: `${name}: the last one, until it served ${records / 1_000} k keys`, unit: 'ms', rounds: [startMs] },
  ];
}
