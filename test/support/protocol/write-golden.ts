import { mkdir, writeFile } from 'node:fs/promises';
import { type GoldenFile, goldenFolder, goldenMakers, goldenUrl } from './golden.ts';
import { launchOracle } from './oracle.ts';

/**
 * Asks Kafka's own code for the files in test/fixtures/protocol anew: `npx tsx test/support/protocol/write-golden.ts`. They change
 * only with what is served or with the samples; a test compares them with Kafka where there is a Java.
 */
const oracle = await launchOracle();
await mkdir(goldenFolder, { recursive: true });
for (const [file, make] of Object.entries(goldenMakers)) {
  await writeFile(goldenUrl(file as GoldenFile), await make(oracle));
}
