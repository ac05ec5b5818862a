import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerRuntimeClient } from 'testcontainers';
import { waitUntilReady } from './client.ts';
import { KAFKA_VERSION } from './java.ts';
import { freePort, retryLostPorts } from './ports.ts';
import { serverSettings } from './settings.ts';
import { Unavailable } from './unavailable.ts';

const IMAGE = `apache/kafka:${KAFKA_VERSION}`;
const CONTROLLER_PORT = 19093;
const ENGINE_ANSWER_TIMEOUT_MS = 5_000;
const START_TIMEOUT_MS = 60_000;

export interface KafkaContainer {
  readonly how: 'container';
  readonly brokerList: string;
  stop(): Promise<void>;
}

/** Kafka in a container, on a free port by default; `Unavailable` where there is no engine or no image. */
export async function startContainer({ port }: { port?: number } = {}): Promise<KafkaContainer> {
  const engine = await containerEngine();
  await pullImage(engine);
  const { host } = engine.info.containerRuntime;
  return port === undefined ? retryLostPorts(async () => runOn(host, await freePort())) : runOn(host, port);
}

/** Clients must be able to reach the server at the address it advertises, hence the same port inside and outside. */
async function runOn(host: string, port: number): Promise<KafkaContainer> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const settings = serverSettings({
    listenHost: '0.0.0.0',
    advertisedHost: host,
    port,
    controllerPort: CONTROLLER_PORT,
  });
  const container = await new GenericContainer(IMAGE)
    .withExposedPorts({ container: port, host: port })
    .withEnvironment(asEnvironment(settings))
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(START_TIMEOUT_MS)
    .start();
  const kafka: KafkaContainer = {
    how: 'container',
    brokerList: `${host}:${port}`,
    async stop() {
      await container.stop();
    },
  };
  try {
    await waitUntilReady(kafka, { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
    return kafka;
  } catch (error) {
    await kafka.stop();
    throw error;
  }
}

async function containerEngine(): Promise<ContainerRuntimeClient> {
  // Imported only when asked for, as it takes a while to load.
  const { getContainerRuntimeClient } = await import('testcontainers');
  const client = await Promise.race([
    getContainerRuntimeClient().catch(() => undefined),
    delay(ENGINE_ANSWER_TIMEOUT_MS, undefined, { ref: false }),
  ]);
  if (!client) throw new Unavailable('no container engine answers');
  return client;
}

async function pullImage(engine: ContainerRuntimeClient): Promise<void> {
  const { ImageName } = await import('testcontainers');
  try {
    // Does nothing when the image is here already.
    await engine.image.pull(ImageName.fromString(IMAGE));
  } catch (error) {
    throw new Unavailable(`the image ${IMAGE} cannot be pulled: ${error}`);
  }
}

/** The image reads `node.id` from KAFKA_NODE_ID, and so on. */
function asEnvironment(settings: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`, value]),
  );
}
