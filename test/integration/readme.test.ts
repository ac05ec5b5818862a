import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { sharedKafka } from '../support/kafka/kafka.ts';
import { freshTopicName } from '../support/kafka/topics.ts';
import { NodeProcess } from '../support/node-process.ts';

interface Example {
  readonly command: string;
  readonly output: string;
}

/** The `$ command` lines of the README's console blocks, each with the output that stands below it. */
async function examples(): Promise<Example[]> {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const blocks = [...readme.matchAll(/```console\n(.*?)```/gs)].map(([, block]) => block ?? '');
  return blocks
    .flatMap((block) => block.split(/^\$ /m).slice(1))
    .map((text) => {
      const [command = '', ...lines] = text.trimEnd().split('\n');
      return { command, output: lines.join('\n') };
    });
}

/** Without what differs from run to run: times, and the name and instance of a node. */
const withoutChance = (text: string) =>
  text
    .replace(/"timestamp":\d{13}/g, '"timestamp":TIME')
    .replace(/"node":"[\w.:-]+"/g, '"node":NODE')
    .replace(/"instance":"[\da-f-]{36}"/g, '"instance":INSTANCE')
    .trimEnd();

describe('the README’s curl calls', () => {
  let node: NodeProcess | undefined;
  let folder: string;

  before(async function () {
    const kafka = await sharedKafka(this);
    folder = await mkdtemp(join(tmpdir(), 'bitacora-readme-'));
    await writeFile(join(folder, 'photo.jpg'), randomBytes(3_000));
    node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: freshTopicName('readme') });
    await node.ready();
    const started = node;
    await started.until(async () => (await started.fetch('/rpc/scan')).ok);
  });

  after(async () => {
    await node?.kill();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  it('answer what stands there', async () => {
    const all = await examples();
    expect(all.length).to.be.greaterThan(5);
    for (const { command, output } of all) {
      const here = command.replaceAll('localhost:8082', `127.0.0.1:${node?.port}`).replace(/^curl /, 'curl --silent ');
      const { stdout } = await promisify(execFile)('sh', ['-c', here], { cwd: folder });
      expect(withoutChance(stdout), command).to.equal(withoutChance(output));
    }
  });
});
