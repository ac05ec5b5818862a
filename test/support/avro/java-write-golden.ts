import { mkdir, writeFile } from 'node:fs/promises';
import { EmbeddedBroker } from '../kafka/embedded-broker.ts';
import { NodeProcess } from '../node-process.ts';
import { javaAvro } from './java-client.ts';
import { captureGolden, goldenUrl } from './java-golden.ts';

/**
 * Has Avro's Java client send test/fixtures/avro/java-frames.txt anew: `npm run build && npx tsx
 * test/support/avro/java-write-golden.ts`. It changes only with the protocols or the series of calls; a test compares it with
 * Java where there is one.
 */
const program = await javaAvro();
const broker = await EmbeddedBroker.launch();
const node = await NodeProcess.start({ BROKER_LIST: broker.brokerList, KAFKA_TOPIC: 'golden' });
try {
  await node.ready();
  const text = await captureGolden(program, node.avroPort);
  await mkdir(new URL('.', goldenUrl), { recursive: true });
  await writeFile(goldenUrl, text);
} finally {
  await node.kill();
  await broker.stop();
}
