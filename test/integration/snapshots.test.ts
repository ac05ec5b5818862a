import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { outputOf } from '../support/cli-process.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { type Kafka, kafkaName, sharedKafka } from '../support/kafka/kafka.ts';
import { freePort } from '../support/kafka/ports.ts';
import { createTopic, freshTopicName, produceRaw } from '../support/kafka/topics.ts';
import { NodeProcess } from '../support/node-process.ts';

const partitions = 3;
const keys = 120;

describe(`a node that starts again, on ${kafkaName}`, () => {
  let kafka: Kafka;
  let dataDir: string;
  let topic: string;
  let port: number;
  /** What the log says, by key. */
  let expected: Map<string, string>;
  const nodes: NodeProcess[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'bitacora-restart-'));
    topic = freshTopicName('restart');
    port = await freePort();
    expected = new Map();
    await createTopic(kafka, topic, { partitions, config: { 'cleanup.policy': 'compact' } });
  });

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
    await rm(dataDir, { recursive: true, force: true });
  });

  /** Always the same node: its name and its folder are what it finds its snapshot by. */
  async function start(environment: Record<string, string> = {}): Promise<NodeProcess> {
    const own = { BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, API_PORT: String(port), DATA_DIR: dataDir };
    const node = await NodeProcess.start({ ...own, SNAPSHOT_INTERVAL_MS: '3600000', ...environment });
    nodes.push(node);
    return node.ready();
  }

  /** Writes and deletes as another program does. */
  async function writeAll(round: string, every = 1): Promise<void> {
    const records = Array.from({ length: keys }, (_, i) => i)
      .filter((i) => i % every === 0)
      .map((i) => ({ key: `key-${i}`, value: i % 7 === 3 && round !== 'first' ? null : `${round} ${i}` }));
    await produceRaw(kafka, topic, records);
    for (const { key, value } of records) {
      if (value === null) expected.delete(key);
      else expected.set(key, value);
    }
  }

  async function expectAsLogged(node: NodeProcess): Promise<void> {
    for (let i = 0; i < keys; i += 1) {
      const key = `key-${i}`;
      const answer = await node.fetch(`/rpc?key=${key}`, { headers: { Accept: 'text/plain' } });
      expect(answer.status === 200 ? await answer.text() : undefined, key).to.equal(expected.get(key));
    }
  }

  const startedFrom = async (node: NodeProcess) => (await node.status()).startedFrom;

  async function stopWithSnapshot(node: NodeProcess): Promise<void> {
    expect(await node.stop()).to.equal(0);
    expect(node.output).to.contain('wrote a snapshot');
  }

  it('goes on from its snapshot, with what was written and deleted meanwhile', async function () {
    this.timeout(120_000);
    await writeAll('first');
    const first = await start();
    expect(await startedFrom(first)).to.deep.equal({ place: 'beginning', because: 'there is no snapshot' });
    expect((await first.fetch('/rpc?key=over%20HTTP&value=1', { method: 'POST' })).status).to.equal(200);
    await stopWithSnapshot(first);
    const [name] = await readdir(join(dataDir, 'snapshots'));
    const file = join(dataDir, 'snapshots', name!);
    expect(await outputOf(kafka, ['snapshot', 'verify', file])).to.match(
      /^sound: 121 values and 0 tombstones in \d+ blocks/,
    );

    const second = await start();
    expect(await startedFrom(second)).to.deep.equal({ place: 'snapshot', keys: keys + 1 });
    expect(second.output).to.contain('resumed from the snapshot: 121 keys');
    expect(await second.metric('bitacora_snapshot_restored_keys')).to.equal(keys + 1);
    expect(await second.metric('bitacora_records_total', 'result="applied"')).to.equal(0);
    await expectAsLogged(second);
    await stopWithSnapshotOrNone(second);

    await writeAll('second', 2);
    const third = await start();
    expect(await startedFrom(third)).to.deep.include({ place: 'snapshot' });
    await expectAsLogged(third);
    expect(await (await third.fetch('/rpc?key=over%20HTTP')).json()).to.include({ value: '1' });
    expect((await third.fetch('/rpc?key=over%20HTTP&value=2', { method: 'POST' })).status).to.equal(200);
    expect(await (await third.fetch('/rpc?key=over%20HTTP')).json()).to.include({ value: '2', source: 'log' });
    expect(await third.metric('bitacora_rebuilds_total')).to.equal(0);
  });

  it('goes on from the last snapshot of its timer when it was killed', async function () {
    this.timeout(120_000);
    await writeAll('first');
    const first = await start({ SNAPSHOT_INTERVAL_MS: '200' });
    await first.until(async () => (await first.metric('bitacora_snapshot_last_success_timestamp_seconds')) > 0);
    await writeAll('second', 3);
    await first.kill();
    await writeAll('third', 5);
    const second = await start();
    expect(await startedFrom(second)).to.deep.include({ place: 'snapshot' });
    await expectAsLogged(second);
  });

  it('reads everything when the topic was deleted and made anew', async function () {
    this.timeout(120_000);
    await writeAll('first');
    await stopWithSnapshot(await start());
    const admin = kafkajsClient(kafka).admin();
    await admin.connect();
    try {
      await admin.deleteTopics({ topics: [topic] });
      // Kafka may go on telling of it for a while.
      for (let isMade = false; !isMade; ) {
        const config = { 'cleanup.policy': 'compact' };
        isMade = await createTopic(kafka, topic, { partitions, config }).then(
          () => true,
          () => sleep(100, false),
        );
      }
    } finally {
      await admin.disconnect();
    }
    expected.clear();
    // As many records as before: by offsets alone the two topics are the same.
    await writeAll('other', 1);
    const second = await start();
    const from = await startedFrom(second);
    expect(from?.place).to.equal('beginning');
    expect(from?.because).to.contain('the snapshot is of topic id');
    expect(await second.metric('bitacora_snapshot_start', 'outcome="other_topic"')).to.equal(1);
    await expectAsLogged(second);
  });

  it('reads everything with a reader that does not tell the topic’s id, and writes no snapshot', async function () {
    this.timeout(120_000);
    await writeAll('first');
    await stopWithSnapshot(await start());
    const second = await start({ LOG_READER: 'kafkajs', SNAPSHOT_INTERVAL_MS: '100' });
    expect(await startedFrom(second)).to.deep.include({ place: 'beginning' });
    await expectAsLogged(second);
    await second.until(async () => second.output.includes('no snapshots are written'));
    expect(await second.stop()).to.equal(0);
    expect(second.output.match(/no snapshots are written/g)).to.have.length(1);
    expect(second.output).not.to.contain('wrote a snapshot');
  });

  /** Nothing has been applied since: there may be none to write. */
  async function stopWithSnapshotOrNone(node: NodeProcess): Promise<void> {
    expect(await node.stop()).to.equal(0);
    expect(node.output).not.to.contain('could not be written');
  }
});
