import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Reachable } from '../support/kafka/client.ts';
import { javaKafka } from '../support/kafka/java.ts';
import { kafkaJvmFlags } from './kafka-process.ts';

const toolTimeoutMs = 180_000;
/** `KAFKA_HEAP_OPTS` in kafka-producer-perf-test.sh and kafka-consumer-perf-test.sh. */
const heapFlags = ['-Xmx512M'];

export interface Produced {
  readonly recordsPerSecond: number;
  /** From the call of `send` until the acknowledgement. */
  readonly p99Ms: number;
}

export interface ProduceLoad {
  readonly topic: string;
  readonly records: number;
  /** How large records are that the tool makes up, byte by byte, while it runs; or a file with values for it to choose from, a line each. */
  readonly payload: { readonly recordBytes: number } | { readonly file: string };
  /** Records per second that are tried; -1: as many as can be. */
  readonly rate: number;
}

/** Kafka's `kafka-producer-perf-test` with acks=all. */
export async function producePerf({ brokerList }: Reachable, load: ProduceLoad): Promise<Produced> {
  const { payload } = load;
  const output = await run('org.apache.kafka.tools.ProducerPerformance', [
    ...['--topic', load.topic, '--num-records', String(load.records)],
    ...('file' in payload ? ['--payload-file', payload.file] : ['--record-size', String(payload.recordBytes)]),
    ...['--throughput', String(load.rate), '--producer-props', `bootstrap.servers=${brokerList}`, 'acks=all'],
  ]);
  // The last line: 1000 records sent, 999.0 records/sec (0.10 MB/sec), ..., 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.
  const [, sent, rate, p99] =
    /(\d+) records sent, ([\d.]+) records\/sec .* (\d+) ms 99th, \d+ ms 99.9th/.exec(output) ?? [];
  if (Number(sent) !== load.records) throw new Error(`the producer did not send all of its records:\n${output}`);
  return { recordsPerSecond: Number(rate), p99Ms: Number(p99) };
}

/** Kafka's `kafka-consumer-perf-test`: records per second while it fetched, without the time that joining its group took. */
export async function consumePerf({ brokerList }: Reachable, topic: string, records: number): Promise<number> {
  const output = await run('org.apache.kafka.tools.ConsumerPerformance', [
    ...['--bootstrap-server', brokerList, '--topic', topic, '--messages', String(records)],
  ]);
  // A line of names with commas between them, and one of figures.
  const [names, figures] = output.split('\n').filter((line) => line.includes(', '));
  const figure = (name: string): number => Number(figures?.split(', ')[names!.split(', ').indexOf(name)]);
  if (!(figure('data.consumed.in.nMsg') >= records)) {
    throw new Error(`the consumer did not get all of the records:\n${output}`);
  }
  return figure('fetch.nMsg.sec');
}

async function run(mainClass: string, args: readonly string[]): Promise<string> {
  const { java, classPath } = await javaKafka();
  const flags = [...kafkaJvmFlags, ...heapFlags, '-cp', classPath, mainClass];
  const { stdout } = await promisify(execFile)(java, [...flags, ...args], { timeout: toolTimeoutMs });
  return stdout;
}
