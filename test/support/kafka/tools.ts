import { type ExecFileException, execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Context } from 'mocha';
import type { Reachable } from './client.ts';
import { type JavaProgram, javaKafka } from './java.ts';
import { orSkip } from './kafka.ts';

const TOOL_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Control characters that no test has in a key or a value, to tell the parts of the consumer's output apart. */
const FIELD_END = '\u001f';
const RECORD_END = '\u001e';
const NULL = '\u0015';

export interface ConsoleRecord {
  partition: number;
  offset: bigint;
  key: string | null;
  value: string | null;
}

export interface ToolOutput {
  stdout: string;
  stderr: string;
}

/** Kafka's own command-line tools: clients that share no code with the ones under test. */
export interface KafkaTools {
  /** Runs a tool by the name of its main class; rejects with what it printed when it fails. */
  run(mainClass: string, args: string[], stdin?: string): Promise<ToolOutput>;

  /** Each line is a key, the separator and a value; a value that equals `nullMarker` makes a tombstone. */
  consoleProduce(
    kafka: Reachable,
    topic: string,
    lines: string[],
    options?: { keySeparator?: string; nullMarker?: string },
  ): Promise<void>;

  /** Committed records from the beginning: up to `maxRecords`, or to the first pause of `quietMs`. */
  consoleConsume(
    kafka: Reachable,
    topic: string,
    options?: { maxRecords?: number; quietMs?: number },
  ): Promise<ConsoleRecord[]>;
}

/** Skips the suite, or fails it under CI, where there is no Java or no way to get Kafka's jars. */
export async function kafkaTools(context: Context): Promise<KafkaTools> {
  // The jars may have to be downloaded.
  context.timeout(300_000);
  const { java, classPath } = await orSkip<JavaProgram>(context, javaKafka());

  async function run(mainClass: string, args: string[], stdin = ''): Promise<ToolOutput> {
    const options = { timeout: TOOL_TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES };
    const jvmFlags = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dfile.encoding=UTF-8'];
    const running = promisify(execFile)(java, [...jvmFlags, '-cp', classPath, mainClass, ...args], options);
    // A tool may fail before it has read its input; its exit code tells of that.
    running.child.stdin?.on('error', () => undefined).end(stdin);
    return running.catch((error: ExecFileException) => {
      throw new Error(`${mainClass} failed: ${error.message}\n${error.stdout}`);
    });
  }

  return {
    run,

    async consoleProduce({ brokerList }, topic, lines, { keySeparator = '=', nullMarker } = {}) {
      const properties = {
        'parse.key': 'true',
        'key.separator': keySeparator,
        ...(nullMarker && { 'null.marker': nullMarker }),
      };
      await run(
        'org.apache.kafka.tools.ConsoleProducer',
        // Only with --sync does a refused record make the tool fail; the timeout is how long each record lingers.
        ['--bootstrap-server', brokerList, '--topic', topic, '--sync', '--timeout', '0', ...asArguments(properties)],
        lines.map((line) => `${line}\n`).join(''),
      );
    },

    async consoleConsume({ brokerList }, topic, { maxRecords, quietMs = 5_000 } = {}) {
      const properties = {
        'print.partition': 'true',
        'print.offset': 'true',
        'print.key': 'true',
        'key.separator': FIELD_END,
        'line.separator': RECORD_END,
        'null.literal': NULL,
      };
      const { stdout } = await run('org.apache.kafka.tools.consumer.ConsoleConsumer', [
        ...['--bootstrap-server', brokerList, '--topic', topic, '--from-beginning'],
        ...['--isolation-level', 'read_committed', '--timeout-ms', String(quietMs)],
        ...(maxRecords === undefined ? [] : ['--max-messages', String(maxRecords)]),
        ...asArguments(properties),
      ]);
      return stdout.split(RECORD_END).slice(0, -1).map(parseConsoleRecord);
    },
  };
}

function asArguments(properties: Record<string, string>): string[] {
  return Object.entries(properties).flatMap(([name, value]) => ['--property', `${name}=${value}`]);
}

/** Partition:0, Offset:7, key and value. */
function parseConsoleRecord(line: string): ConsoleRecord {
  const [partition, offset, key, value] = line.split(FIELD_END) as [string, string, string, string];
  return {
    partition: Number(partition.replace('Partition:', '')),
    offset: BigInt(offset.replace('Offset:', '')),
    key: key === NULL ? null : key,
    value: value === NULL ? null : value,
  };
}
