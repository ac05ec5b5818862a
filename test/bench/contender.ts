import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A process of its own for what is measured: a fresh heap, and a processor that the one who measures does not use. */
export class Contender {
  readonly #child: ChildProcess;
  #complaints = '';

  /** `file` stands beside this one. The process gets `task` and Node.js' `nodeOptions`, and ends when this one does. */
  constructor(file: string, task: object, profileFolder?: string, nodeOptions: readonly string[] = []) {
    const profiling = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(task)], {
      execArgv: [...process.execArgv, ...profiling, ...nodeOptions],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-4_000);
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The next message of the process. Rejects when it ends without one, or takes longer than `timeoutMs`. */
  next<Message>(timeoutMs: number): Promise<Message> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#child.off('message', onMessage).off('close', onClose);
      };
      const onMessage = (message: unknown): void => {
        settle();
        resolve(message as Message);
      };
      const onClose = (): void => {
        settle();
        reject(new Error(`a process under measurement ended too soon\n${this.#complaints}`));
      };
      const onTimeout = (): void => {
        settle();
        reject(new Error(`a process under measurement did not answer within ${timeoutMs} ms\n${this.#complaints}`));
      };
      const timer = setTimeout(onTimeout, timeoutMs);
      this.#child.on('message', onMessage).on('close', onClose);
    });
  }

  ask<Answer>(question: object, timeoutMs: number): Promise<Answer> {
    const answer = this.next<Answer>(timeoutMs);
    this.#child.send(question);
    return answer;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    if (this.#child.connected) this.#child.disconnect();
    await ended;
    clearTimeout(impatience);
  }
}

/** The one message of a contender that has nothing else to say. */
export async function askOnce<Answer>(
  file: string,
  task: object,
  timeoutMs: number,
  profileFolder?: string,
  nodeOptions: readonly string[] = [],
): Promise<Answer> {
  const contender = new Contender(file, task, profileFolder, nodeOptions);
  try {
    return await contender.next<Answer>(timeoutMs);
  } finally {
    await contender.end();
  }
}

/** In the process of a contender: its task. The process is to end when the one who measures lets go of it. */
export function taskOf<Task>(): Task {
  process.on('disconnect', () => process.exit());
  return JSON.parse(process.argv[2]!) as Task;
}

export function tell(message: object): void {
  process.send!(message);
}
