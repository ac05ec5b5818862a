import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './kafka/ports.ts';

const program = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface ReadyStatus {
  readonly status: string;
  readonly state: string;
  readonly reason?: string;
  readonly logAnswers: boolean;
  readonly partitions: ReadonlyArray<{ partition: number; position: number; end: number; lag: number }>;
  readonly startedFrom?: { readonly place: string; readonly keys?: number; readonly because?: string };
  readonly progress?: { offsetsDone: number; offsetsTotal: number; percent: number };
}

/** The built program as a process of its own, as a user runs it. */
export class NodeProcess {
  readonly url: string;
  readonly port: number;
  readonly avroPort: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #output = '';

  private constructor(child: ChildProcess, port: number, avroPort: number) {
    this.#child = child;
    this.port = port;
    this.avroPort = avroPort;
    this.url = `http://127.0.0.1:${port}`;
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    this.#exited = once(child, 'exit').then(([code]) => code as number | null);
  }

  /** Starts the program; `environment` replaces the caller's, but for PATH and the like. */
  static async start(environment: Record<string, string>, argv: readonly string[] = []): Promise<NodeProcess> {
    const port = environment.API_PORT === undefined ? await freePort() : Number(environment.API_PORT);
    const avroPort = environment.AVRO_PORT === undefined ? await freePort() : Number(environment.AVRO_PORT);
    const { PATH, HOME } = process.env;
    // Below DATA_DIR, which is nobody's own unless a test says so.
    const noSnapshots = { SNAPSHOT_INTERVAL_MS: '0' };
    const env = { PATH, HOME, API_PORT: String(port), AVRO_PORT: String(avroPort), ...noSnapshots, ...environment };
    const child = spawn(process.execPath, [program, ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    return new NodeProcess(child, port, avroPort);
  }

  /** All that it has printed so far, both streams. */
  get output(): string {
    return this.#output;
  }

  /** The exit code, once it has ended. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`${this.url}${path}`, init);
  }

  async status(): Promise<ReadyStatus> {
    return (await (await this.fetch('/health/ready')).json()) as ReadyStatus;
  }

  /** Resolves once the API answers; rejects when the program ends before. */
  async live(): Promise<this> {
    await this.until(async () => (await this.fetch('/health/live')).ok);
    return this;
  }

  async ready(): Promise<this> {
    await this.until(async () => (await this.fetch('/health/ready')).ok);
    return this;
  }

  /** Asks until the answer is true; an answer that cannot be had counts as false. The test's own time-out is the bound. */
  async until(question: () => Promise<boolean>): Promise<void> {
    while (!(await question().catch(() => false))) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`the node ended early:\n${this.#output}`);
      }
      await sleep(30);
    }
  }

  /** Ends it as an orchestrator does, and answers its exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.#exited;
  }

  /** The process keeps its connections and its port but does nothing until resume(). */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** The value of a metric; `labels` as they stand in the text, e.g. `outcome="hit"`. */
  async metric(name: string, labels?: string): Promise<number> {
    const start = labels === undefined ? `${name} ` : `${name}{${labels}} `;
    const line = (await (await this.fetch('/metrics')).text()).split('\n').find((text) => text.startsWith(start));
    return line === undefined ? 0 : Number(line.slice(start.length));
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
