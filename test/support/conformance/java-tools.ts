import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Context } from 'mocha';
import { javaKafka } from '../kafka/java.ts';
import { orSkip } from '../kafka/kafka.ts';
import type { Ended } from './program.ts';

const hostPath = fileURLToPath(new URL('ToolHost.java', import.meta.url));
const jvmFlags = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dfile.encoding=UTF-8'];
const timeoutMs = 50_000;

/** Kafka's own command-line tools in one JVM, one run at a time. */
export class JavaTools {
  readonly #host: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  #complaints = '';

  private constructor(host: ChildProcessWithoutNullStreams) {
    this.#host = host;
    this.#answers = createInterface({ input: host.stdout })[Symbol.asyncIterator]();
    host.stderr.on('data', (chunk: Buffer) => {
      this.#complaints += chunk.toString();
    });
    host.stdin.on('error', () => undefined);
  }

  /** Skips the suite, or fails it under CI, where there is no Java or no way to get Kafka's jars. */
  static async start(context: Context): Promise<JavaTools> {
    const { java, classPath } = await orSkip(context, javaKafka());
    return new JavaTools(spawn(java, [...jvmFlags, '-cp', classPath, hostPath]));
  }

  /** Runs a tool by the name of its main class, whatever its exit code. */
  async run(main: string, args: readonly string[], stdin = ''): Promise<Ended> {
    this.#host.stdin.write(`${JSON.stringify({ main, args, stdin })}\n`);
    const late = setTimeout(() => this.#host.kill('SIGKILL'), timeoutMs);
    const answer = await this.#answers.next();
    clearTimeout(late);
    if (answer.done)
      throw new Error(`${main} gave no answer within ${timeoutMs} ms, or Java ended\n${this.#complaints}`);
    return JSON.parse(answer.value) as Ended;
  }

  /** The same, but a tool that fails rejects with what it printed. */
  async runWell(main: string, args: readonly string[], stdin = ''): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(main, args, stdin);
    if (exitCode === 0) return stdout;
    throw new Error(`${main} ${args.join(' ')} ended with ${exitCode}\n${stdout}\n${stderr}`);
  }

  async stop(): Promise<void> {
    if (this.#host.exitCode !== null || this.#host.signalCode !== null) return;
    const exit = once(this.#host, 'exit');
    this.#host.kill('SIGKILL');
    await exit;
  }
}
