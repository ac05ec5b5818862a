import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.ts';

const program = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));
const startTimeoutMs = 30_000;

/** As serverSettings() has it for Kafka: what is misspelt fails, and compaction comes soon. */
const testFlags = ['--auto-create-topics', 'false', '--compaction-interval-ms', '200', '--log-level', 'warn'];

export interface EmbeddedBrokerOptions {
  /** A free one by default. */
  readonly port?: number;
  /** Flags of `bitacora broker`, after those of every test. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** `bitacora broker` as a process that tests may kill, pause and start again on the same port and data. */
export class EmbeddedBroker {
  readonly how = 'embedded';
  readonly brokerList: string;
  readonly dataDir: string;
  readonly port: number;
  readonly #options: EmbeddedBrokerOptions;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(port: number, dataDir: string, options: EmbeddedBrokerOptions) {
    this.port = port;
    this.brokerList = `127.0.0.1:${port}`;
    this.dataDir = dataDir;
    this.#options = options;
  }

  static async launch(options: EmbeddedBrokerOptions = {}): Promise<EmbeddedBroker> {
    const dataDir = await mkdtemp(join(tmpdir(), 'bitacora-broker-'));
    const broker = new EmbeddedBroker(options.port ?? (await freePort()), dataDir, options);
    try {
      await broker.start();
    } catch (error) {
      await broker.stop();
      throw error;
    }
    return broker;
  }

  /** All that it has printed so far. */
  get output(): string {
    return this.#output;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves when it says that it listens. */
  async start(): Promise<void> {
    if (this.#process !== undefined) throw new Error('the broker is running already');
    const { PATH, HOME } = process.env;
    const flags = [
      '--port',
      String(this.port),
      '--data-dir',
      this.dataDir,
      ...testFlags,
      ...(this.#options.flags ?? []),
    ];
    const child = spawn(process.execPath, [program, 'broker', ...flags], {
      env: { PATH, HOME, ...this.#options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    const before = this.#output.length;
    const started = new Promise<void>((resolve, reject) => {
      const take = (chunk: Buffer): void => {
        this.#output += chunk.toString();
        if (/listens at /.test(this.#output.slice(before))) resolve();
      };
      child.stdout?.on('data', take);
      child.stderr?.on('data', take);
      child.once('exit', () => reject(new Error(`the broker did not start:\n${this.#output.slice(before)}`)));
      AbortSignal.timeout(startTimeoutMs).addEventListener('abort', () =>
        reject(new Error(`the broker took too long to start:\n${this.#output.slice(before)}`)),
      );
    });
    try {
      await started;
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** SIGKILL: it gets no chance to flush or to say goodbye. Resolves when it is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** SIGTERM: it ends in order, and its data stays. */
  shutDown(): Promise<void> {
    return this.#end('SIGTERM');
  }

  /** It keeps its connections and its port but answers nothing until resume(). */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Ends it for good and removes its data. */
  async stop(): Promise<void> {
    await this.kill();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}
