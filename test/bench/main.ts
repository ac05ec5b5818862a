import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { KAFKA_VERSION } from '../support/kafka/java.ts';
import { type Kafka, onTeardown, startKafka, tearDown } from '../support/kafka/kafka.ts';
import { Unavailable } from '../support/kafka/unavailable.ts';
import { append } from './append.ts';
import { apply } from './apply.ts';
import { avro } from './avro.ts';
import type { Bench, BenchContext } from './bench.ts';
import { broker } from './broker.ts';
import { http } from './http.ts';
import { KafkaProcess } from './kafka-process.ts';
import { lookup } from './lookup.ts';
import { nodes } from './nodes.ts';
import { plot } from './plot.ts';
import { read } from './read.ts';
import { replay } from './replay.ts';
import { asJson, type BenchReport, benchTable, summaryTable } from './report.ts';
import { restart } from './restart.ts';
import { stall } from './stall.ts';
import { store } from './store.ts';
import { write } from './write.ts';

const benches: readonly Bench[] = [
  store,
  stall,
  apply,
  replay,
  restart,
  append,
  write,
  http,
  avro,
  read,
  lookup,
  nodes,
  broker,
];
const usage = `npm run bench -- [${benches.map(({ name }) => name).join('|')} ...] [--quick] [--json] [--cpu-prof=FOLDER], or plot FILE ...`;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    'cpu-prof': { type: 'string' },
  },
});
if (positionals[0] === 'plot') {
  const files = positionals.slice(1);
  if (files.length === 0) {
    process.stderr.write(`a plot is drawn from files with what --json has printed: ${usage}\n`);
    process.exit(2);
  }
  process.stdout.write(`${await plot(files)}\n`);
  process.exit();
}
const unknown = positionals.filter((name) => benches.every((bench) => bench.name !== name));
if (unknown.length > 0) {
  process.stderr.write(`there is no bench ${unknown.join(', ')}: ${usage}\n`);
  process.exit(2);
}

// Standard output is for the result.
console.log = console.error;
const say = (text: string): void => void (values.json || process.stdout.write(`${text}\n`));

let kafka: Promise<Kafka> | undefined;
const context: BenchContext = {
  kafka: () => {
    kafka ??= givenOrStarted();
    return kafka;
  },
  profileFolder: values['cpu-prof'],
  quick: values.quick,
};

const machine = {
  processors: availableParallelism(),
  processor: cpus()[0]?.model ?? 'unknown',
  node: process.version,
  kafka: process.env.BROKER_LIST ? 'as given by BROKER_LIST' : KAFKA_VERSION,
};
say(`${machine.processors} processors (${machine.processor}), Node ${machine.node}, Kafka ${machine.kafka}\n`);

const reports: BenchReport[] = [];
for (const bench of benches) {
  if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
  try {
    const startedMs = performance.now();
    const report = { bench, measures: await bench.run(context) };
    reports.push(report);
    say(`${benchTable(report)}  It took ${Math.round((performance.now() - startedMs) / 1_000)} s.\n`);
  } catch (error) {
    // The other benches are none the worse for it, but the run as a whole has failed.
    process.stderr.write(`${bench.name}: ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  }
}
await tearDown();
if (values.json) process.stdout.write(`${asJson(reports, machine)}\n`);
else say(summaryTable(reports));

async function givenOrStarted(): Promise<Kafka> {
  const brokerList = process.env.BROKER_LIST;
  if (brokerList) return { how: 'given', brokerList };
  const started = await KafkaProcess.launch().catch((error: unknown) => {
    if (!(error instanceof Unavailable)) throw error;
    return startKafka();
  });
  onTeardown(() => started.stop());
  return started;
}
