import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import kafkajs, { type Consumer, type Producer } from 'kafkajs';
import { conformance } from '../support/conformance/conformance.ts';
import { freshTopic } from '../support/conformance/topics.ts';
import { until } from '../support/conformance/until.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { type JavaProgram, javaProgram, KAFKA_VERSION, killServer, spawnServer } from '../support/kafka/java.ts';
import { orSkip } from '../support/kafka/kafka.ts';
import { freshTopicName } from '../support/kafka/topics.ts';

const streams = new URL('../support/conformance/streams/', import.meta.url);
const wordCount = fileURLToPath(new URL('WordCount.java', streams));
const jars = {
  name: 'Kafka-Streams',
  version: KAFKA_VERSION,
  megabytes: 26,
  pomPath: fileURLToPath(new URL('pom.xml', streams)),
};
const jvmFlags = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

const words = ['apple', 'pear', 'quince', 'plum', 'fig'];
const wordsPerLine = 4;

conformance('Kafka Streams', (suite) => {
  let program: JavaProgram;
  let folder: string;
  let counter: ChildProcess | undefined;
  let producer: Producer;
  let reader: Consumer;

  before(async function () {
    this.timeout(300_000);
    program = await orSkip(this, javaProgram(jars));
    const client = kafkajsClient(suite);
    producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    reader = client.consumer({ groupId: freshTopicName('counts'), maxWaitTimeInMs: 100, readUncommitted: false });
    await Promise.all([producer.connect(), reader.connect()]);
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-streams-'));
  });

  afterEach(async () => {
    await killServer(counter);
    await rm(folder, { recursive: true, force: true });
  });

  after(async () => {
    await Promise.all([producer?.disconnect(), reader?.disconnect()]);
  });

  suite.test('counts every word exactly once, although it is killed in the middle', async function () {
    this.timeout(150_000);
    const [input, output] = [
      await freshTopic(suite, 'lines', { partitions: 2 }),
      await freshTopic(suite, 'counts', { partitions: 2 }),
    ];
    const applicationId = freshTopicName('word-count');
    const start = async (run: string): Promise<void> => {
      const args = [suite.brokerList, applicationId, input, output, join(folder, 'state')];
      const logPath = join(folder, `${run}.log`);
      counter = await spawnServer(program, [...jvmFlags, wordCount, ...args], { folder, logPath });
      await until(async () => {
        const log = await readFile(logPath, 'utf8');
        if (counter?.exitCode !== null) throw new Error(`Kafka Streams ended:\n${log}`);
        return /^RUNNING$/m.test(log);
      });
    };

    const written = new Map<string, number>();
    const write = async (lines: number): Promise<void> => {
      const messages = Array.from({ length: lines }, (_, line) => {
        const chosen = Array.from({ length: wordsPerLine }, (_, i) => words[(line * (i + 1) + i) % words.length]!);
        for (const word of chosen) written.set(word, (written.get(word) ?? 0) + 1);
        return { key: `line-${line}`, value: chosen.join(' ') };
      });
      await producer.send({ topic: input, messages });
    };

    const counts = new Map<string, number[]>(words.map((word) => [word, []]));
    const counted = (): number => [...counts.values()].reduce((sum, each) => sum + each.length, 0);
    await reader.subscribe({ topic: output, fromBeginning: true });
    await reader.run({
      autoCommit: false,
      eachMessage: async ({ message: { key, value } }) => {
        counts.get(`${key}`)?.push(Number(value));
      },
    });

    await start('first');
    // Killed while it works on what keeps coming in, not while it waits.
    let killed = false;
    const killing = until(() => counted() > 400).then(async () => {
      await killServer(counter);
      killed = true;
    });
    while (!killed) await write(50);
    await killing;
    await start('second');
    await write(100);

    const total = [...written.values()].reduce((sum, count) => sum + count, 0);
    await until(() => counted() >= total, { timeoutMs: 90_000 });
    for (const word of words) {
      expect(counts.get(word), word).to.deep.equal(Array.from({ length: written.get(word)! }, (_, i) => i + 1));
    }
  });
});
