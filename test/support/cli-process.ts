import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface CliResult {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** The built command line as a process of its own, as a user runs it. */
export class CliProcess {
  readonly child: ChildProcess;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #closed: Promise<unknown>;
  #onOutput: () => void = () => {};

  constructor(kafka: { brokerList: string }, argv: readonly string[], environment: Record<string, string> = {}) {
    const { PATH, HOME } = process.env;
    const env = { PATH, HOME, BROKER_LIST: kafka.brokerList, ...environment };
    this.child = spawn(process.execPath, [program, ...argv], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.#stdout.push(chunk);
      this.#onOutput();
    });
    this.child.stderr!.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    // It may end before it has read its input.
    this.child.stdin!.on('error', () => undefined);
    this.#closed = once(this.child, 'close');
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  /** Resolves once standard output holds `text`; rejects when the process ends before. */
  async shows(text: string): Promise<void> {
    let hasEnded = false;
    const ended = this.#closed.then(() => {
      hasEnded = true;
    });
    while (!this.stdout.includes(text)) {
      if (hasEnded) throw new Error(`it ended without ${JSON.stringify(text)}:\n${this.stdout}\n${this.#complaints}`);
      const more = new Promise<void>((resolve) => {
        this.#onOutput = resolve;
      });
      await Promise.race([more, ended]);
    }
  }

  /** Resolves when it has ended and all it printed has been read. */
  async result(): Promise<CliResult> {
    await this.#closed;
    return { code: this.child.exitCode, stdout: Buffer.concat(this.#stdout), stderr: this.#complaints };
  }

  get #complaints(): string {
    return Buffer.concat(this.#stderr).toString();
  }
}

/** Runs a command to its end. */
export function runCli(
  kafka: { brokerList: string },
  argv: readonly string[],
  input: string | Buffer = '',
): Promise<CliResult> {
  const cli = new CliProcess(kafka, argv);
  cli.child.stdin!.end(input);
  return cli.result();
}

/** The standard output of a command that must succeed. */
export async function outputOf(
  kafka: { brokerList: string },
  argv: readonly string[],
  input: string | Buffer = '',
): Promise<string> {
  const { code, stdout, stderr } = await runCli(kafka, argv, input);
  if (code !== 0) throw new Error(`bitacora ${argv.join(' ')} ended with ${code}: ${stderr}`);
  return stdout.toString();
}

/** The one line on stderr of a command that must fail with exit code 1 and print nothing else. */
export async function failureOf(
  kafka: { brokerList: string },
  argv: readonly string[],
  input: string | Buffer = '',
): Promise<string> {
  const { code, stdout, stderr } = await runCli(kafka, argv, input);
  const lines = stderr.trimEnd().split('\n');
  if (code !== 1 || lines.length !== 1 || stdout.length > 0) {
    throw new Error(`bitacora ${argv.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`);
  }
  return lines[0]!;
}
