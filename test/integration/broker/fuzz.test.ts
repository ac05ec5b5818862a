import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { fuzzSources, type LiveNames } from '../../support/broker/fuzz-frames.ts';
import { type FuzzResult, fuzz } from '../../support/broker/fuzz-run.ts';
import { onLinuxOnly } from '../../support/broker/process-use.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { createTopic } from '../../support/kafka/topics.ts';

/** `FUZZ_COUNT=1000000` sends so many frames, `FUZZ_SEED=n` begins with another seed: each frame has a seed of its own, counted up. */
const count = Number(process.env.FUZZ_COUNT ?? 20_000);
const firstSeed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 30);
/** Some five times what a broker has that was asked sound things only. */
const residentMibMax = 700;

describe('the embedded broker under mutated frames', function () {
  this.timeout(60_000 + count * 3);
  let broker: EmbeddedBroker;
  let result: FuzzResult;
  let metrics: string;

  before(async function () {
    onLinuxOnly(this);
    broker = await EmbeddedBroker.launch({ flags: ['--metrics-port', '0', '--log-level', 'info'] });
    const small = { 'segment.bytes': '20000' };
    await createTopic(broker, 'live', { partitions: 2, config: small });
    await createTopic(broker, 'compacted', { config: { ...small, 'cleanup.policy': 'compact' } });
    const sources = fuzzSources([await liveNames('live'), await liveNames('compacted')]);
    result = await fuzz({ port: broker.port, pid: broker.pid!, sources, count, firstSeed });
    const port = /metrics at http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(broker.output)?.[1];
    metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const { slowest, wrong: _, ...rest } = result;
    if (process.env.FUZZ_COUNT !== undefined) console.log({ firstSeed, ...rest, slowest });
  });
  after(() => broker?.stop());

  async function liveNames(topic: string): Promise<LiveNames> {
    const text = await readFile(join(broker.dataDir, 'log', `${topic}-0`, 'partition.metadata'), 'utf8');
    const hex = Buffer.from(/topic_id: (\S+)/.exec(text)![1]!, 'base64url').toString('hex');
    const topicId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    return { topic, topicId, passingTopic: 'passing', groupId: 'group', transactionalId: 'transaction' };
  }

  it('answers each one with what can be read, or ends its connection', () => {
    expect(result.wrong, `first seed ${firstSeed}`).to.deep.equal([]);
    expect(result.answered).to.be.above(count / 20);
    expect(result.refused).to.be.above(count / 20);
  });

  it('goes on answering whoever sends sound requests', async () => {
    expect(result.pings).to.be.above(0);
    await createTopic(broker, 'afterwards');
  });

  it('has no fault of its own', () => {
    const faults = broker.output.split('\n').filter((line) => /"level":(50|60)|"level":"(error|fatal)"/.test(line));
    expect(faults.slice(0, 5), `first seed ${firstSeed}`).to.deep.equal([]);
    expect(metrics).to.match(/^bitacora_broker_faults_total 0$/m);
    expect(metrics).to.match(/^bitacora_broker_cleaning_failures_total 0$/m);
  });

  it('keeps its memory within bounds', () => {
    expect(result.residentMibMax).to.be.above(0).and.below(residentMibMax);
  });

  it('ends in order, and starts again on what it has taken', async () => {
    await broker.shutDown();
    await broker.start();
    await createTopic(broker, 'after-the-restart');
  });
});
