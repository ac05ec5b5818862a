import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitUntilReady } from '../support/kafka/client.ts';
import { javaKafka, killServer, logExcerpt, spawnServer } from '../support/kafka/java.ts';
import { freePort, retryLostPorts } from '../support/kafka/ports.ts';
import { serverSettings } from '../support/kafka/settings.ts';

const host = '127.0.0.1';
const startTimeoutMs = 60_000;

/** As Kafka's own scripts start everything (`KAFKA_JVM_PERFORMANCE_OPTS` in kafka-run-class.sh): both compilers, and G1. */
export const kafkaJvmFlags = [
  ...['-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'],
  ...['-XX:+ExplicitGCInvokesConcurrent', '-Djava.awt.headless=true'],
];
/** `KAFKA_HEAP_OPTS` in kafka-server-start.sh. */
const serverHeapFlags = ['-Xms1G', '-Xmx1G'];

/** A Kafka server under the flags that its users run it with; the one that tests share is made to start quickly instead. */
export class KafkaProcess {
  readonly how = 'maven';
  readonly brokerList: string;
  /** From the start of the process until it answers a client. */
  readonly startupMs: number;
  readonly #server: ChildProcess;
  readonly #folder: string;

  private constructor(port: number, startupMs: number, server: ChildProcess, folder: string) {
    this.brokerList = `${host}:${port}`;
    this.startupMs = startupMs;
    this.#server = server;
    this.#folder = folder;
  }

  static launch(): Promise<KafkaProcess> {
    return retryLostPorts(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'bitacora-kafka-'));
      let server: ChildProcess | undefined;
      try {
        const port = await freePort();
        const { clusterId, configPath } = await format(folder, port);
        const place = { folder, logPath: join(folder, 'server.log') };
        const startedMs = performance.now();
        const args = [...kafkaJvmFlags, ...serverHeapFlags, '-Dlog4j2.level=WARN', 'kafka.Kafka', configPath];
        server = await spawnServer(await javaKafka(), args, place);
        const signal = AbortSignal.timeout(startTimeoutMs);
        await waitUntilReady({ brokerList: `${host}:${port}` }, { clusterId, signal }).catch(async (error: unknown) => {
          throw new Error(`the Kafka server did not start: ${error}\n${await logExcerpt(place.logPath)}`);
        });
        return new KafkaProcess(port, performance.now() - startedMs, server, folder);
      } catch (error) {
        await killServer(server);
        await rm(folder, { recursive: true, force: true });
        throw error;
      }
    });
  }

  get pid(): number {
    return this.#server.pid!;
  }

  /** Ends the server for good and removes its data. */
  async stop(): Promise<void> {
    await killServer(this.#server);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function format(folder: string, port: number): Promise<{ clusterId: string; configPath: string }> {
  const { java, classPath } = await javaKafka();
  const clusterId = randomBytes(16).toString('base64url');
  const configPath = join(folder, 'server.properties');
  const listeners = { listenHost: host, advertisedHost: host, port, controllerPort: await freePort() };
  const settings = { ...serverSettings(listeners), 'log.dirs': join(folder, 'data') };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(configPath, lines.join(''));
  // With '=', as a random id may start with a dash.
  const args = ['kafka.tools.StorageTool', 'format', `--cluster-id=${clusterId}`, '-c', configPath];
  await promisify(execFile)(java, ['-XX:TieredStopAtLevel=1', '-cp', classPath, ...args]);
  return { clusterId, configPath };
}
