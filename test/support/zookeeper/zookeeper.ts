import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Context } from 'mocha';
import { type JavaProgram, javaProgram, killServer, logExcerpt, spawnServer } from '../kafka/java.ts';
import { onTeardown, orSkip } from '../kafka/kafka.ts';
import { freePort, retryLostPorts } from '../kafka/ports.ts';

const HOST = '127.0.0.1';
const START_TIMEOUT_MS = 60_000;
/** Long enough to download ZooKeeper the first time. */
const FIRST_START_TIMEOUT_MS = 300_000;

/** The shortest session lasts two ticks, the longest twenty. */
export const tickMs = 200;

const pomPath = fileURLToPath(new URL('pom.xml', import.meta.url));
const version = /<zookeeper\.version>(.+)<\/zookeeper\.version>/.exec(readFileSync(pomPath, 'utf8'))![1]!;

/** Small, and quick to start. Its data need not outlive the machine. */
const JVM_FLAGS = [
  '-Xms32m',
  '-Xmx128m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Dzookeeper.forceSync=no',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
];

let found: Promise<JavaProgram> | undefined;

/** A ZooKeeper of the caller's own, to kill, pause and start again. Skips the suite, or fails it under CI, where none can be. */
export function ownZookeeper(context: Context): Promise<OwnZookeeper> {
  context.timeout(FIRST_START_TIMEOUT_MS);
  return orSkip(
    context,
    OwnZookeeper.launch().then((zookeeper) => {
      onTeardown(() => zookeeper.stop());
      return zookeeper;
    }),
  );
}

/** A ZooKeeper server process on this machine that tests may kill, pause and start again on the same port and data. */
export class OwnZookeeper {
  readonly hosts: readonly string[];
  readonly #program: JavaProgram;
  readonly #port: number;
  readonly #folder: string;
  #server: ChildProcess | undefined;

  private constructor(program: JavaProgram, port: number, folder: string) {
    this.#program = program;
    this.#port = port;
    this.#folder = folder;
    this.hosts = [`${HOST}:${port}`];
  }

  static async launch(): Promise<OwnZookeeper> {
    found ??= javaProgram({ name: 'ZooKeeper', version, megabytes: 14, pomPath });
    const program = await found;
    return retryLostPorts(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'bitacora-zookeeper-'));
      const zookeeper = new OwnZookeeper(program, await freePort(), folder);
      try {
        await zookeeper.#configure();
        await zookeeper.start();
        return zookeeper;
      } catch (error) {
        await zookeeper.stop();
        throw error;
      }
    });
  }

  /** Starts the server again after kill(), and resolves when it is ready. */
  async start(): Promise<void> {
    if (this.#server) throw new Error('the ZooKeeper server is running already');
    const args = [...JVM_FLAGS, 'org.apache.zookeeper.server.ZooKeeperServerMain', this.#configPath];
    const server = await spawnServer(this.#program, args, { folder: this.#folder, logPath: this.#logPath });
    this.#server = server;
    const exited = new AbortController();
    server.once('exit', () => exited.abort(new Error('it exited')));
    try {
      await this.#ready(AbortSignal.any([exited.signal, AbortSignal.timeout(START_TIMEOUT_MS)]));
    } catch (error) {
      await this.kill();
      throw new Error(`the ZooKeeper server did not start: ${error}\n${await logExcerpt(this.#logPath)}`);
    }
  }

  /** SIGKILL: sessions stay open in its data. Resolves when it is gone. */
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
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #configPath(): string {
    return join(this.#folder, 'zoo.cfg');
  }

  get #logPath(): string {
    return join(this.#folder, 'server.log');
  }

  async #configure(): Promise<void> {
    const settings = {
      tickTime: tickMs,
      dataDir: join(this.#folder, 'data'),
      clientPort: this.#port,
      clientPortAddress: HOST,
      'admin.enableServer': false,
      maxClientCnxns: 0,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(this.#configPath, lines.join(''));
  }

  /** A port that only listens is not enough: it must say that it serves. */
  async #ready(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if ((await ask(this.#port, 'srvr').catch(() => '')).includes('Mode: standalone')) return;
      await delay(50);
    }
    signal.throwIfAborted();
  }
}

/** The answer to one of ZooKeeper's four-letter words. */
function ask(port: number, word: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect({ host: HOST, port });
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('connect', () => socket.write(word));
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}
