import { type ExecFileException, execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Context } from 'mocha';
import { javaKafka } from '../kafka/java.ts';
import { orSkip } from '../kafka/kafka.ts';
import { Unavailable } from '../kafka/unavailable.ts';

const oraclePath = fileURLToPath(new URL('KafkaOracle.java', import.meta.url));
const outputBytesMax = 256 * 1024 * 1024;
const answerTimeoutMs = 120_000;

/** What Kafka's own classes can be asked. */
export interface Questions {
  /** The text of `common/message/<message>.json`, comments and all. */
  definition: { ask: { message: string }; answer: { text: string } };
  /** `value` as Kafka's own JSON form of the message has it: bytes in base64, UUIDs in the URL's base64. */
  frame: {
    ask: { message: string; version: number; correlationId: number; clientId: string; value: unknown };
    answer: { hex: string };
  };
  errors: { ask: object; answer: { errors: { name: string; code: number; retriable: boolean }[] } };
  varint: { ask: { kind: string; value: string }; answer: { hex: string } };
  writeBatch: { ask: { batch: object }; answer: { hex: string } };
  readBatches: { ask: { hex: string }; answer: { batches: JavaBatch[] } };
}

export interface JavaBatch {
  readonly records: readonly JavaRecord[];
  readonly [property: string]: unknown;
}

export interface JavaRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [name: string, value: string | null])[];
}

/** Answers in the order of the questions, all by one Java. Rejects with what Kafka says of a question that it cannot answer. */
export type Oracle = <Q extends keyof Questions>(
  question: Q,
  asked: readonly Questions[Q]['ask'][],
) => Promise<Questions[Q]['answer'][]>;

/** Kafka's own code to compare with. Skips the suite, or fails it under CI, where there is no Java or no way to get its jars. */
export async function kafkaOracle(context: Context): Promise<Oracle> {
  // The jars may have to be downloaded.
  context.timeout(300_000);
  const oracle = await orSkip(context, launchOracle());
  return (question, asked) => orSkip(context, oracle(question, asked));
}

/** Rejects with `Unavailable` where there is no Java or no way to get Kafka's jars. */
export async function launchOracle(): Promise<Oracle> {
  const { java, classPath } = await javaKafka();
  const flags = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath];

  const run = async (input: string): Promise<string> => {
    const options = { maxBuffer: outputBytesMax, timeout: answerTimeoutMs };
    const running = promisify(execFile)(java, [...flags, oraclePath], options);
    // It may fail before it has read its input; its exit code tells of that.
    running.child.stdin?.on('error', () => undefined).end(input);
    return running.then(
      ({ stdout }) => stdout,
      (error: ExecFileException) => {
        // A runtime without a compiler runs classes only.
        if (/jdk\.compiler|Could not find or load main class/.test(error.message)) {
          throw new Unavailable('this Java has no compiler to run a source file with');
        }
        throw error;
      },
    );
  };

  return async (question, asked) => {
    const input = asked.map((each) => `${JSON.stringify({ ask: question, ...each })}\n`).join('');
    const lines = (await run(input)).split('\n').slice(0, -1);
    if (lines.length !== asked.length) throw new Error(`${lines.length} answers to ${asked.length} questions`);
    return lines.map((line, index) => {
      const { error, ...answer } = JSON.parse(line);
      if (error !== undefined) throw new Error(`Kafka cannot tell ${JSON.stringify(asked[index])}: ${error}`);
      return answer;
    });
  };
}
