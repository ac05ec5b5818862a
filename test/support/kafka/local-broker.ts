import { type ChildProcess, execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitUntilReady } from './client.ts';
import { type JavaProgram, javaKafka, killServer, logExcerpt, spawnServer } from './java.ts';
import { freePort, retryLostPorts } from './ports.ts';
import { type ServerSettings, serverSettings } from './settings.ts';

const HOST = '127.0.0.1';
const START_TIMEOUT_MS = 60_000;

/** One small server that lives for seconds: quick to start rather than fast when warm. */
const JVM_FLAGS = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dlog4j2.level=INFO'];

export interface LocalBrokerOptions {
  /** A free one by default. */
  port?: number;
  /** Server properties beside, or instead of, those of serverSettings(). */
  settings?: ServerSettings;
}

/** A Kafka server process on this machine that tests may kill, pause and start again on the same port and data. */
export class LocalBroker {
  readonly how = 'maven';
  readonly brokerList: string;
  readonly #kafka: JavaProgram;
  readonly #folder: string;
  readonly #clusterId = randomBytes(16).toString('base64url');
  #server: ChildProcess | undefined;

  private constructor(kafka: JavaProgram, port: number, folder: string) {
    this.#kafka = kafka;
    this.brokerList = `${HOST}:${port}`;
    this.#folder = folder;
  }

  static async launch({ port, settings = {} }: LocalBrokerOptions = {}): Promise<LocalBroker> {
    const kafka = await javaKafka();
    if (port !== undefined) return launchOn(port);
    return retryLostPorts(async () => launchOn(await freePort()));

    async function launchOn(port: number): Promise<LocalBroker> {
      const folder = await mkdtemp(join(tmpdir(), 'bitacora-kafka-'));
      const broker = new LocalBroker(kafka, port, folder);
      try {
        const controllerPort = await freePort();
        await broker.#format({
          ...serverSettings({ listenHost: HOST, advertisedHost: HOST, port, controllerPort }),
          'log.dirs': join(folder, 'data'),
          ...settings,
        });
        await broker.start();
        return broker;
      } catch (error) {
        await broker.stop();
        throw error;
      }
    }
  }

  /** Starts the server again after kill(), and resolves when it is ready. */
  async start(): Promise<void> {
    if (this.#server) throw new Error('the Kafka server is running already');
    const args = [...JVM_FLAGS, 'kafka.Kafka', this.#configPath];
    const server = await spawnServer(this.#kafka, args, { folder: this.#folder, logPath: this.#logPath });
    this.#server = server;
    const exited = new AbortController();
    server.once('exit', () => exited.abort(new Error('it exited')));

    try {
      const signal = AbortSignal.any([exited.signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
      await waitUntilReady(this, { clusterId: this.#clusterId, signal });
    } catch (error) {
      await this.kill();
      throw new Error(`the Kafka server did not start: ${error}\n${await logExcerpt(this.#logPath)}`);
    }
  }

  /** SIGKILL: the server gets no chance to flush, to say goodbye or to hand over. Resolves when it is gone. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await killServer(server);
  }

  /** The server keeps its connections and its port but answers nothing until resume(). */
  pause(): void {
    this.#server?.kill('SIGSTOP');
  }

  resume(): void {
    this.#server?.kill('SIGCONT');
  }

  /** Ends the server for good and removes its data. */
  async stop(): Promise<void> {
    // There is nothing to shut down in order for: the data goes too.
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #configPath(): string {
    return join(this.#folder, 'server.properties');
  }

  get #logPath(): string {
    return join(this.#folder, 'server.log');
  }

  async #format(settings: ServerSettings): Promise<void> {
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(this.#configPath, lines.join(''));
    const tool = ['-cp', this.#kafka.classPath, 'kafka.tools.StorageTool'];
    // With '=', as a random id may start with a dash.
    const args = ['format', `--cluster-id=${this.#clusterId}`, '-c', this.#configPath];
    await promisify(execFile)(this.#kafka.java, ['-XX:TieredStopAtLevel=1', ...tool, ...args]);
  }
}
