import { createNode, type Node } from '../../src/main.ts';
import { configOf } from './arguments.ts';
import { freePort } from './kafka/ports.ts';
import { silentLogger } from './kafka-log.ts';

/** A node in the test's own process, so that the test can look into its store. */
export async function nodeInProcess(kafka: { brokerList: string }, topic: string): Promise<Node & { port: number }> {
  const port = await freePort();
  const config = configOf({
    BROKER_LIST: kafka.brokerList,
    KAFKA_TOPIC: topic,
    API_PORT: String(port),
    AVRO_PORT: String(await freePort()),
    // They would stay behind in a folder that is nobody's own.
    SNAPSHOT_INTERVAL_MS: '0',
  });
  const node = createNode(config, silentLogger, (error) => {
    throw error;
  });
  await node.run();
  return Object.assign(node, { port });
}
