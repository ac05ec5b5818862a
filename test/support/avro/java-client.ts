import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runWell } from '../conformance/program.ts';
import { type JavaProgram, javaProgram } from '../kafka/java.ts';
import { Unavailable } from '../kafka/unavailable.ts';

const pomPath = fileURLToPath(new URL('java/pom.xml', import.meta.url));
const clientPath = fileURLToPath(new URL('java/AvroClient.java', import.meta.url));
/** The schemas are read from where Java is started. */
const root = fileURLToPath(new URL('../../../', import.meta.url));
/** A start that costs less, for runs that are over soon. */
const briefRun = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

export const avroVersion = /<avro\.version>(.+)<\/avro\.version>/.exec(readFileSync(pomPath, 'utf8'))![1]!;

/** Avro's jars, downloaded on first use, and a Java to run them with; `Unavailable` where there can be none. */
export function javaAvro(): Promise<JavaProgram> {
  return javaProgram({ name: 'Avro', version: avroVersion, megabytes: 18, pomPath });
}

/** What a run of `java/AvroClient.java` prints, which says how it is called. */
export async function runJavaClient(program: JavaProgram, mode: string, avroPort: number): Promise<unknown> {
  const { stdout } = await runJavaSource(program, clientPath, [mode, '127.0.0.1', String(avroPort)]);
  return JSON.parse(stdout);
}

export interface JavaRates {
  readonly threads: number;
  readonly sequentialPerSecond: number;
  readonly concurrentPerSecond: number;
}

/** Calls a second of Avro's Java client: from one thread, and from `threads` over one connection; `seconds` and one more each. */
export async function benchJavaClient(
  program: JavaProgram,
  { avroPort, seconds, threads }: { avroPort: number; seconds: number; threads: number },
): Promise<JavaRates> {
  const args = [
    '-cp',
    program.classPath,
    clientPath,
    'bench',
    '127.0.0.1',
    String(avroPort),
    `${seconds}`,
    `${threads}`,
  ];
  const { stdout } = await runWell(program.java, args, { cwd: root, timeoutMs: (2 * seconds + 60) * 1_000 });
  return JSON.parse(stdout) as JavaRates;
}

/** Compiles and runs one source file with Avro's jars. Rejects with what it printed when it fails. */
export async function runJavaSource(
  program: JavaProgram,
  path: string,
  args: readonly string[] = [],
): Promise<{ stdout: string }> {
  try {
    return await runWell(program.java, [...briefRun, '-cp', program.classPath, path, ...args], { cwd: root });
  } catch (error) {
    // A runtime without a compiler runs classes only.
    if (/jdk\.compiler|Could not find or load main class/.test((error as Error).message)) {
      throw new Unavailable('this Java has no compiler to run a source file with');
    }
    throw error;
  }
}
