import { readArguments } from '../../src/config/config.ts';
import { createNode, type Node } from '../../src/main.ts';
import { freePort } from './kafka/ports.ts';
import { silentLogger } from './kafka-log.ts';

/** A node in the test's own process, so that the test can look into its store. */
export async function nodeInProcess(kafka: { brokerList: string }, topic: string): Promise<Node & { port: number }> {
  const port = await freePort();
  const command = readArguments([], { BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, API_PORT: String(port) });
  if (command.kind !== 'run') throw new Error('the arguments ask for something else than a node');
  const node = createNode(command.config, silentLogger, (error) => {
    throw error;
  });
  await node.run();
  return Object.assign(node, { port });
}
