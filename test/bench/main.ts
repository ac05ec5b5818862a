import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { KAFKA_VERSION } from '../support/kafka/java.ts';
import { type Kafka, onTeardown, startKafka, tearDown } from '../support/kafka/kafka.ts';
import { append } from './append.ts';
import { avro } from './avro.ts';
import type { Bench, BenchContext } from './bench.ts';
import { broker } from './broker.ts';
import { http } from './http.ts';
import { lookup } from './lookup.ts';
import { replay } from './replay.ts';
import { asJson, type BenchReport, benchTable, summaryTable } from './report.ts';
import { store } from './store.ts';

const benches: readonly Bench[] = [append, replay, http, avro, lookup, broker, store];
const usage = `npm run bench -- [${benches.map(({ name }) => name).join('|')} ...] [--json] [--cpu-prof=FOLDER]`;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, 'cpu-prof': { type: 'string' } },
});
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
    const report = { bench, measures: await bench.run(context) };
    reports.push(report);
    say(benchTable(report));
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
  const started = await startKafka();
  onTeardown(() => started.stop());
  return started;
}
