import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Reachable } from '../support/kafka/client.ts';
import { EmbeddedBroker } from '../support/kafka/embedded-broker.ts';
import { createTopic, freshTopicName } from '../support/kafka/topics.ts';
import type { Aim, Bench, Measure } from './bench.ts';
import { KafkaProcess } from './kafka-process.ts';
import { consumePerf, type ProduceLoad, producePerf } from './perf-tools.ts';
import { type ProcessUse, useOf } from './process-use.ts';
import { alternate, ratio } from './rounds.ts';

const rounds = 3;
/**
 * By size: as many records a round as keep real Kafka busy for about four seconds. With values that are there already the tool takes less of the
 * processors, and the broker has more to do. What all rounds produced is then fetched.
 */
const loads = [
  { name: '100 B', recordBytes: 100, madeUp: 1_200_000, fromFile: 2_000_000 },
  { name: '1 KB', recordBytes: 1_000, madeUp: 160_000, fromFile: 250_000 },
];
/** In the file of values. */
const valueCount = 1_000;
/** Enough for Java's compilers to be done with the server's code. */
const warmUpRecords = 1_500_000;
/** Far below what either broker can take: how long an acknowledgement takes when nothing queues. */
const calm = { payload: { recordBytes: 100 }, records: 30_000, rate: 10_000 };
/** As Kafka's default is; the flags of tests have it look for something to compact all the time. */
const brokerFlags = ['--compaction-interval-ms', '15000'];

type Server = Reachable & { readonly how: 'embedded' | 'maven'; readonly pid: number | undefined };

export const broker: Bench = {
  name: 'broker',
  about: "the embedded broker against Kafka, by Kafka's own producer and consumer performance tools, acks=all",
  async run() {
    const startup = await alternate(rounds, { embedded: embeddedStartupMs, kafka: kafkaStartupMs });
    const folder = await mkdtemp(join(tmpdir(), 'bitacora-bench-'));
    const servers: (EmbeddedBroker | KafkaProcess)[] = [];
    try {
      const embedded = await EmbeddedBroker.launch({ flags: brokerFlags });
      servers.push(embedded);
      const kafka = await KafkaProcess.launch();
      servers.push(kafka);
      for (const server of [embedded, kafka]) await warmUp(server);
      const rates: Measure[] = [];
      for (const load of loads) rates.push(...(await throughput(embedded, kafka, load, folder)));
      const latency = await calmLatency(embedded, kafka);
      return [
        ...rates,
        ...latency,
        { what: 'start-up: embedded', unit: 'ms', rounds: startup.embedded, aim: { atMost: 500 } },
        { what: 'start-up: Kafka', unit: 'ms', rounds: startup.kafka },
        ...memory('embedded', useOf(embedded.pid!), { atMost: 150 }),
        ...memory('Kafka', useOf(kafka.pid)),
      ];
    } finally {
      for (const server of servers) await server.stop();
      await rm(folder, { recursive: true });
    }
  },
};

async function throughput(
  embedded: Server,
  kafka: Server,
  { name, recordBytes, madeUp, fromFile }: (typeof loads)[number],
  folder: string,
): Promise<Measure[]> {
  const topic = freshTopicName('bench-broker');
  for (const server of [embedded, kafka]) await createTopic(server, topic);
  const file = join(folder, `values-${recordBytes}`);
  await writeFile(file, values(recordBytes));
  const produce = (server: Server, records: number, payload: ProduceLoad['payload']) => () =>
    observed(server, records, async () => {
      return (await producePerf(server, { topic, records, payload, rate: -1 })).recordsPerSecond;
    });
  const records = (madeUp + fromFile) * rounds;
  const consume = (server: Server) => () => observed(server, records, () => consumePerf(server, topic, records));
  const made = await alternate(rounds, {
    embedded: produce(embedded, madeUp, { recordBytes }),
    kafka: produce(kafka, madeUp, { recordBytes }),
  });
  const ready = await alternate(rounds, {
    embedded: produce(embedded, fromFile, { file }),
    kafka: produce(kafka, fromFile, { file }),
  });
  const fetched = await alternate(rounds, { embedded: consume(embedded), kafka: consume(kafka) });
  return [
    ...compared(`produce ${name}, values made up`, made, { atLeast: 1.5 }),
    ...compared(`produce ${name}, values from a file`, ready, { atLeast: 1.5 }),
    ...compared(`fetch ${name}`, fetched, { atLeast: 1 }),
  ];
}

interface Observed {
  readonly recordsPerSecond: number;
  /** Of the server, a record. */
  readonly processorUs: number;
}

async function observed({ pid }: Server, records: number, act: () => Promise<number>): Promise<Observed> {
  const before = useOf(pid!).processorUs;
  const recordsPerSecond = await act();
  return { recordsPerSecond, processorUs: (useOf(pid!).processorUs - before) / records };
}

function compared(what: string, by: Record<'embedded' | 'kafka', Observed[]>, aim: Aim): Measure[] {
  const rates = (of: Observed[]): number[] => of.map(({ recordsPerSecond }) => recordsPerSecond);
  const times = (of: Observed[]): number[] => of.map(({ processorUs }) => processorUs);
  return [
    { what: `${what}: embedded`, unit: 'per second', rounds: rates(by.embedded) },
    { what: `${what}: Kafka`, unit: 'per second', rounds: rates(by.kafka) },
    ratio(`${what}: embedded / Kafka`, rates(by.embedded), rates(by.kafka), aim),
    { what: `${what}, processor time a record: embedded`, unit: 'µs', rounds: times(by.embedded) },
    { what: `${what}, processor time a record: Kafka`, unit: 'µs', rounds: times(by.kafka) },
    ratio(`${what}, processor time a record: Kafka / embedded`, times(by.kafka), times(by.embedded)),
  ];
}

/** A line each, of letters. */
function values(bytes: number): string {
  const letter = (): string => String.fromCharCode(65 + Math.floor(Math.random() * 26));
  return Array.from({ length: valueCount }, () => Array.from({ length: bytes }, letter).join('')).join('\n');
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
  await producePerf(server, {
    topic,
    records: warmUpRecords,
    payload: { recordBytes: 100 },
    rate: -1,
  });
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

function memory(name: string, { residentMb, residentMostMb }: ProcessUse, aim?: Aim): Measure[] {
  return [
    { what: `resident memory: ${name}`, unit: 'MB', rounds: [residentMb], ...(aim && { aim }) },
    { what: `resident memory, most: ${name}`, unit: 'MB', rounds: [residentMostMb] },
  ];
}
