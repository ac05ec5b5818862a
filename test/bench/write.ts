import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import type { Bench, Measure } from './bench.ts';
import type { LoadResult } from './closed-loop.ts';
import { Contender } from './contender.ts';
import { alternate, ratio } from './rounds.ts';
import type { WholeNodeRequest, WholeNodeTask, WholeNodeUp, WriteOutcomes } from './whole-node-contender.ts';
import type { WriteLoadRequest, WriteLoadTask } from './write-load-contender.ts';

const roundMs = 1_500;
const answerWithinMs = 60_000;
const loads = [
  { writers: 1, rounds: 3 },
  { writers: 64, rounds: 5 },
  { writers: 1_000, rounds: 3 },
];

export const write: Bench = {
  name: 'write',
  about: 'writes acknowledged by Kafka and applied by the node, inside of it and by HTTP, against kafkajs send',
  async run({ kafka, profileFolder, quick }) {
    const broker = await kafka();
    const topic = freshTopicName('bench-write');
    await createTopic(broker, topic, { config: { 'cleanup.policy': 'compact' } });
    // What kafkajs sends is not for the node to apply.
    const otherTopic = freshTopicName('bench-write-kafkajs');
    await createTopic(broker, otherTopic, { config: { 'cleanup.policy': 'compact' } });
    const { brokerList } = broker;
    const contenders: Contender[] = [];
    const start = (file: string, task: WholeNodeTask | WriteLoadTask): Contender => {
      const contender = new Contender(file, task, profileFolder);
      contenders.push(contender);
      return contender;
    };
    try {
      const environment = { BROKER_LIST: brokerList, KAFKA_TOPIC: topic };
      const node = start('whole-node-contender.ts', { environment });
      const { port } = await node.next<WholeNodeUp>(answerWithinMs);
      const http = start('write-load-contender.ts', { via: 'http', port });
      const kafkajs = start('write-load-contender.ts', { via: 'kafkajs', brokerList, topic: otherTopic });
      for (const loader of [http, kafkajs]) await loader.next(answerWithinMs);
      const ask = (contender: Contender, request: WholeNodeRequest | WriteLoadRequest) =>
        contender.ask<LoadResult>(request, answerWithinMs);
      const measures: Measure[] = [];
      let acknowledged = 0;
      const toNode = async (load: Promise<LoadResult>): Promise<LoadResult> => {
        const result = await load;
        acknowledged += Math.floor((result.perSecond * roundMs) / 1_000);
        return result;
      };
      for (const { writers, rounds } of loads) {
        const request = { writers, durationMs: roundMs };
        const runs = {
          node: () => toNode(ask(node, { what: 'put', ...request })),
          http: () => toNode(ask(http, request)),
          kafkajs: () => ask(kafkajs, request),
        };
        if (measures.length === 0) for (const warmUp of Object.values(runs)) await warmUp();
        measures.push(...measuresOf(writers, await alternate(quick ? Math.ceil(rounds / 2) : rounds, runs)));
      }
      const outcomes = await node.ask<WriteOutcomes>({ what: 'writes' } satisfies WholeNodeRequest, answerWithinMs);
      if (outcomes.appended < acknowledged || outcomes.refused + outcomes.unknown > 0) {
        throw new Error(`${acknowledged} writes were acknowledged, and the node says ${JSON.stringify(outcomes)}`);
      }
      return measures;
    } finally {
      await Promise.all(contenders.map((contender) => contender.end()));
    }
  },
};

function measuresOf(writers: number, results: Record<'node' | 'http' | 'kafkajs', LoadResult[]>): Measure[] {
  const by = writers === 1 ? '1 writer' : `${writers.toLocaleString('en-US')} writers`;
  const named = [
    ['inside of the node', results.node],
    ['HTTP', results.http],
    ['kafkajs send', results.kafkajs],
  ] as const;
  const rows = (what: string, unit: Measure['unit'], pick: (result: LoadResult) => number): Measure[] =>
    named.map(([name, all]) => ({ what: `${by}, ${name}: ${what}`, unit, rounds: all.map(pick) }));
  const speed = (all: readonly LoadResult[]) => all.map(({ perSecond }) => perSecond);
  const aim = writers === 64 ? { atLeast: 15 } : undefined;
  return [
    ...rows('acknowledged', 'per second', ({ perSecond }) => perSecond),
    ...rows('p50', 'µs', ({ p50Us }) => p50Us),
    ...rows('p99', 'µs', ({ p99Us }) => p99Us),
    ratio(`${by}: inside of the node / kafkajs send`, speed(results.node), speed(results.kafkajs), aim),
    ratio(`${by}: HTTP / kafkajs send`, speed(results.http), speed(results.kafkajs)),
  ];
}
