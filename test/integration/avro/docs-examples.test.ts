import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { docsExample, documentedVersion } from '../../support/avro/docs-example.ts';
import { avroVersion, javaAvro, runJavaSource } from '../../support/avro/java-client.ts';
import { pythonWithAvro } from '../../support/avro/python.ts';
import { runWell } from '../../support/conformance/program.ts';
import { kafkaName, orSkip, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

const downloadTimeoutMs = 300_000;
const root = fileURLToPath(new URL('../../../', import.meta.url));

describe(`the examples in docs/AVRO.md, on ${kafkaName}`, () => {
  let node: NodeProcess | undefined;
  let folder: string;

  before(async function () {
    const kafka = await sharedKafka(this);
    folder = await mkdtemp(join(tmpdir(), 'bitacora-examples-'));
    node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: freshTopicName('avro-docs') });
    await node.ready();
    const started = node;
    await started.until(async () => (await started.fetch('/rpc/scan')).ok);
  });

  after(async () => {
    await node?.kill();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  /** Writes an example down; answers its path, and what it has to print. */
  async function written(language: 'ts' | 'java' | 'python', file: string): Promise<{ path: string; output: string }> {
    const { source, output } = docsExample(language, node!.avroPort);
    const path = join(folder, file);
    await writeFile(path, source);
    return { path, output };
  }

  it('print in TypeScript what stands there', async () => {
    // The package as another program has it installed.
    await mkdir(join(folder, 'node_modules'));
    await symlink(root, join(folder, 'node_modules', 'bitacora'));
    const { path, output } = await written('ts', 'example.mjs');
    const { stdout } = await runWell(process.execPath, [path]);
    expect(stdout).to.equal(output);
  });

  it('print in Java what stands there', async function () {
    this.timeout(downloadTimeoutMs);
    expect(documentedVersion('org.apache.avro:avro-ipc-netty:')).to.equal(avroVersion);
    const program = await orSkip(this, javaAvro());
    const { path, output } = await written('java', 'Example.java');
    const { stdout } = await orSkip(this, runJavaSource(program, path));
    expect(stdout).to.equal(output);
    expect(await (await node!.fetch('/rpc?key=city')).json()).to.include({ value: 'Málaga' });
  });

  it('print in Python what stands there', async function () {
    this.timeout(downloadTimeoutMs);
    const python = await orSkip(this, pythonWithAvro(documentedVersion('pip install avro==')));
    const { path, output } = await written('python', 'example.py');
    const { stdout } = await runWell(python, [path], { cwd: root });
    expect(stdout).to.equal(output);
    expect(await (await node!.fetch('/rpc?key=city')).json()).to.include({ value: 'Cádiz' });
  });
});
