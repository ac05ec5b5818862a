import { readFile } from 'node:fs/promises';
import type { Reachable } from '../support/kafka/client.ts';
import { EmbeddedBroker } from '../support/kafka/embedded-broker.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import type { Bench, Measure } from './bench.ts';
import { KafkaProcess } from './kafka-process.ts';
import { consumePerf, producePerf } from './perf-tools.ts';
import { alternate, ratio } from './rounds.ts';

const rounds = 3;
const consumeRounds = 3;
/** By size: as many records a round as keep real Kafka busy for about eight seconds. What all rounds produced is then fetched. */
const loads = [
  { recordBytes: 100, records: 3_000_000, name: '100 B' },
  { recordBytes: 1_000, records: 400_000, name: '1 KB' },
];
/** Enough for Java's compilers to be done with the server's code. */
const warmUpRecords = 1_500_000;
/** Far below what either broker can take: how long an acknowledgement takes when nothing queues. */
const calm = { recordBytes: 100, records: 30_000, rate: 10_000 };
/** As Kafka's default is; the flags of tests have it look for something to compact all the time. */
const brokerFlags = ['--compaction-interval-ms', '15000'];

type Server = Reachable & { readonly how: 'embedded' | 'maven'; readonly pid: number | undefined };

export const broker: Bench = {
  name: 'broker',
  about: "the embedded broker against Kafka, by Kafka's own producer and consumer performance tools, acks=all",
  async run() {
    const startup = await alternate(rounds, { embedded: embeddedStartupMs, kafka: kafkaStartupMs });
    const embedded = await EmbeddedBroker.launch({ flags: brokerFlags });
    try {
      const kafka = await KafkaProcess.launch();
      try {
        const rates: Measure[] = [];
        for (const server of [embedded, kafka]) await warmUp(server);
        for (const load of loads) rates.push(...(await throughput(embedded, kafka, load)));
        const latency = await calmLatency(embedded, kafka);
        return [
          ...rates,
          ...latency,
          { what: 'start-up: embedded', unit: 'ms', rounds: startup.embedded, aim: { atMost: 500 } },
          { what: 'start-up: Kafka', unit: 'ms', rounds: startup.kafka },
          ...(await memory('embedded', embedded, { atMost: 150 })),
          ...(await memory('Kafka', kafka)),
        ];
      } finally {
        await kafka.stop();
      }
    } finally {
      await embedded.stop();
    }
  },
};

async function throughput(embedded: Server, kafka: Server, load: (typeof loads)[number]): Promise<Measure[]> {
  const { name, records, recordBytes } = load;
  const topic = freshTopicName('bench-broker');
  for (const server of [embedded, kafka]) await createTopic(server, topic);
  const produce = (server: Server) => async () =>
    (await producePerf(server, { topic, records, recordBytes, rate: -1 })).recordsPerSecond;
  const consume = (server: Server) => () => consumePerf(server, topic, records * rounds);
  const produced = await alternate(rounds, { embedded: produce(embedded), kafka: produce(kafka) });
  const fetched = await alternate(consumeRounds, { embedded: consume(embedded), kafka: consume(kafka) });
  return [
    { what: `produce ${name}: embedded`, unit: 'per second', rounds: produced.embedded },
    { what: `produce ${name}: Kafka`, unit: 'per second', rounds: produced.kafka },
    ratio(`produce ${name}: embedded / Kafka`, produced.embedded, produced.kafka, { atLeast: 1.5 }),
    { what: `fetch ${name}: embedded`, unit: 'per second', rounds: fetched.embedded },
    { what: `fetch ${name}: Kafka`, unit: 'per second', rounds: fetched.kafka },
    ratio(`fetch ${name}: embedded / Kafka`, fetched.embedded, fetched.kafka, { atLeast: 1 }),
  ];
}

async function calmLatency(embedded: Server, kafka: Server): Promise<Measure[]> {
  const topic = freshTopicName('bench-broker');
  for (const server of [embedded, kafka]) await createTopic(server, topic);
  const p99Us = (server: Server) => async () => (await producePerf(server, { topic, ...calm })).p99Ms * 1_000;
  const p99 = await alternate(rounds, { embedded: p99Us(embedded), kafka: p99Us(kafka) });
  const at = `produce p99 at ${calm.rate.toLocaleString('en-US')} per second`;
  return [
    { what: `${at}: embedded`, unit: 'µs', rounds: p99.embedded },
    { what: `${at}: Kafka`, unit: 'µs', rounds: p99.kafka },
  ];
}

async function warmUp(server: Server): Promise<void> {
  const topic = freshTopicName('bench-broker');
  await createTopic(server, topic);
  await producePerf(server, { topic, records: warmUpRecords, recordBytes: 100, rate: -1 });
  await consumePerf(server, topic, warmUpRecords);
}

/** From the start of the process until it says that it listens. */
async function embeddedStartupMs(): Promise<number> {
  const startedMs = performance.now();
  const started = await EmbeddedBroker.launch({ flags: brokerFlags });
  const startupMs = performance.now() - startedMs;
  await started.stop();
  return startupMs;
}

async function kafkaStartupMs(): Promise<number> {
  const started = await KafkaProcess.launch();
  await started.stop();
  return started.startupMs;
}

/** What the process has in memory after all of this, and the most that it had. Linux tells. */
async function memory(name: string, { pid }: Server, aim?: { atMost: number }): Promise<Measure[]> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  if (status === undefined) return [];
  const megabytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)![1]) / 1_024;
  return [
    { what: `resident memory: ${name}`, unit: 'MB', rounds: [megabytes('VmRSS')], ...(aim && { aim }) },
    { what: `resident memory, most: ${name}`, unit: 'MB', rounds: [megabytes('VmHWM')] },
  ];
}
