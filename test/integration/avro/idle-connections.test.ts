import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Client, connect } from '../../../src/client/client.ts';
import type { AllAsked, AskAll, Held, HoldTask } from '../../support/avro/hold-connections.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

const holder = fileURLToPath(new URL('../../support/avro/hold-connections.ts', import.meta.url));
const connections = 10_000;
/** Of the program's own files and sockets beside them. */
const otherFiles = 500;
/**
 * What one connection that has nothing to do may take of the node's memory. Each has sent a call of more than that before: a node
 * that keeps what it has read is found out.
 */
const connectionBytesMax = 24 * 1024;
const firstKeyBytes = 60_000;
const calls = 2_000;

describe(`${connections.toLocaleString('en-US')} idle Avro connections to a node on ${kafkaName}`, () => {
  let kafka: Kafka;
  let node: NodeProcess | undefined;
  let held: ChildProcess | undefined;
  let client: Client | undefined;

  before(async function () {
    const openFilesMax = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
    if (Number(openFilesMax) < connections + otherFiles) {
      console.warn(`A process may open ${openFilesMax} files here, which is too few for ${connections} connections.`);
      this.skip();
    }
    kafka = await sharedKafka(this);
  });

  after(async () => {
    await client?.close();
    held?.kill('SIGKILL');
    await node?.kill();
  });

  it('are all alive after another process’s calls, each of which is answered, and take little memory', async function () {
    this.timeout(180_000);
    const environment = { BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: freshTopicName('idle') };
    node = await (await NodeProcess.start(environment)).ready();
    client = await connect({ nodes: [`127.0.0.1:${node.avroPort}`] });
    await client.put('there', 'value');
    const bytesBefore = await node.metric('process_resident_memory_bytes');

    const task: HoldTask = { port: node.avroPort, connections, firstKeyBytes };
    held = fork(holder, [JSON.stringify(task)]);
    expect(await told<Held>(held)).to.deep.equal({ held: connections });
    expect(await node.metric('bitacora_avro_connections')).to.equal(connections + 1);

    for (let i = 0; i < calls; i += 1) {
      if (i % 20 === 0) await client.put(`key-${i}`, String(i));
      const entry = await client.get(`key-${i - (i % 20)}`);
      expect(entry?.value.toString()).to.equal(String(i - (i % 20)));
    }
    const bytes = (await node.metric('process_resident_memory_bytes')) - bytesBefore;
    expect(bytes / connections).to.be.below(connectionBytesMax);

    held.send({ key: 'there' } satisfies AskAll);
    expect(await told<AllAsked>(held)).to.deep.equal({ answersByValue: { value: connections }, lost: 0 });
    expect(await node.metric('bitacora_avro_connections')).to.equal(connections + 1);
  });
});

/** The next message of the process; rejects when it ends before. */
async function told<Message>(process: ChildProcess): Promise<Message> {
  const ended = once(process, 'exit').then(([code]) => {
    throw new Error(`the process that holds the connections ended with ${code}`);
  });
  const [message] = (await Promise.race([once(process, 'message'), ended])) as [Message];
  return message;
}
