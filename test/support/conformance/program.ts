import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

const timeoutMs = 55_000;

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** Runs a program to its end, whatever its exit code; rejects when it cannot be started, and kills one that takes too long. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { stdin = '', env, cwd } = options;
  const child = spawn(program, args, {
    timeout: options.timeoutMs ?? timeoutMs,
    killSignal: 'SIGKILL',
    ...(env && { env: { ...process.env, ...env } }),
    ...(cwd !== undefined && { cwd }),
  });
  // It may end before it has read its input; its exit code tells of that.
  child.stdin.on('error', () => undefined).end(stdin);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { exitCode, stdout, stderr };
}

/** The same, but a program that fails rejects with what it printed. */
export async function runWell(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const ended = await run(program, args, options);
  if (ended.exitCode === 0) return ended;
  throw new Error(`${program} ${args.join(' ')} ended with ${ended.exitCode}\n${ended.stdout}\n${ended.stderr}`);
}
