import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { apiVersionsRequest, apiVersionsResponse } from '../../../src/protocol/messages/api-versions.ts';
import { fetchRequest, fetchResponse } from '../../../src/protocol/messages/fetch.ts';
import { produceRequest, produceResponse } from '../../../src/protocol/messages/produce.ts';
import { writeBatch } from '../../../src/protocol/record-batch.ts';
import { onLinuxOnly, residentMib } from '../../support/broker/process-use.ts';
import { requestFrame, WireClient, withLength } from '../../support/broker/wire-client.ts';
import { until } from '../../support/conformance/until.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { createTopic } from '../../support/kafka/topics.ts';

const api = [apiVersionsRequest, apiVersionsResponse] as const;
const fetchVersion = 12;

describe('the embedded broker with unruly clients', function () {
  this.timeout(60_000);
  let broker: EmbeddedBroker;
  let client: WireClient;
  const clients: WireClient[] = [];

  before(function () {
    onLinuxOnly(this);
  });

  beforeEach(async () => {
    broker = await EmbeddedBroker.launch({ flags: ['--metrics-port', '0', '--log-level', 'info'] });
    client = await dial();
  });
  afterEach(async () => {
    for (const each of clients.splice(0)) each.end();
    await broker?.stop();
  });

  async function dial(): Promise<WireClient> {
    const dialled = await WireClient.dial(broker.port);
    clients.push(dialled);
    return dialled;
  }

  const memory = () => residentMib(broker.pid!);
  const isAnswered = async () => (await client.ask(api, {}, { version: 0 })).errorCode === 0;

  async function metric(name: string): Promise<number> {
    const port = /metrics at http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(broker.output)?.[1];
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(new RegExp(`^bitacora_broker_${name} (\\d+)$`, 'm').exec(text)?.[1]);
  }

  async function append(topic: string, partition: number, bytes: number): Promise<void> {
    const value = Buffer.alloc(bytes, 'value');
    const records = writeBatch({ records: [{ key: null, value, timestampMs: Date.now() }] });
    const topicData = [{ name: topic, partitionData: [{ index: partition, records }] }];
    const wanted = { acks: 1, timeoutMs: 1_000, topicData };
    const answer = await client.ask([produceRequest, produceResponse], wanted, { version: 9 });
    expect(answer.responses[0]?.partitionResponses[0]?.errorCode).to.equal(0);
  }

  async function fetchedBytes(wanted: ReturnType<typeof fetchOf>): Promise<number> {
    const answer = await client.ask([fetchRequest, fetchResponse], wanted, { version: fetchVersion });
    return answer.responses[0]!.partitions.reduce((sum, { records }) => sum + (records?.length ?? 0), 0);
  }

  const fetchOf = (
    topic: string,
    partitions: number,
    limits: { maxWaitMs: number; minBytes: number; maxBytes: number },
  ) => ({
    ...limits,
    topics: [
      {
        topic,
        partitions: Array.from({ length: partitions }, (_, partition) => ({
          partition,
          fetchOffset: 0,
          partitionMaxBytes: limits.maxBytes,
        })),
      },
    ],
  });

  it('holds no more than so much for clients that ask for a lot and read nothing of it', async () => {
    const partitions = 4;
    await createTopic(broker, 'large', { partitions });
    for (let partition = 0; partition < partitions; partition += 1) {
      for (let left = 16; left > 0; left -= 1) await append('large', partition, 1_000_000);
    }
    const before = memory();
    const wanted = fetchOf('large', partitions, { maxWaitMs: 0, minBytes: 1, maxBytes: 0x7fff_ffff });
    const frame = withLength(requestFrame(fetchRequest, wanted, { version: fetchVersion }));
    const slow = await Promise.all(Array.from({ length: 40 }, dial));
    for (const { socket } of slow) {
      socket.pause();
      socket.write(Buffer.concat(Array.from({ length: 100 }, () => frame)));
    }
    let most = 0;
    for (let round = 0; round < 40; round += 1) {
      expect(await isAnswered()).to.equal(true);
      most = Math.max(most, memory() - before);
      await sleep(50);
    }
    expect(most, 'MiB').to.be.below(500);
    // Others get a little meanwhile, and all that they ask for once those are gone.
    expect(await fetchedBytes(wanted)).to.be.above(1_000_000);
    for (const each of slow) each.end();
    await until(async () => ((await fetchedBytes(wanted)) > 60_000_000 ? true : undefined));
  });

  it('lets go of all that connections had which were cut in the middle of a frame', async () => {
    const openFiles = async () => (await readdir(`/proc/${broker.pid}/fd`)).length;
    await isAnswered();
    const [filesBefore, connectionsBefore] = [await openFiles(), await metric('connections')];
    const frame = withLength(requestFrame(apiVersionsRequest, {}, { version: 3 }));
    for (let round = 0; round < 20; round += 1) {
      const some = await Promise.all(Array.from({ length: 50 }, () => WireClient.dial(broker.port)));
      for (const [index, each] of some.entries()) {
        each.socket.write(frame.subarray(0, 1 + (index % frame.length)));
        each.socket.resetAndDestroy();
      }
    }
    expect(await isAnswered()).to.equal(true);
    await until(async () => ((await metric('connections')) <= connectionsBefore ? true : undefined));
    await until(async () => ((await openFiles()) <= filesBefore + 3 ? true : undefined));
    expect(await metric('faults_total')).to.equal(0);
  });

  it('takes memory for what has come, not for what is announced', async () => {
    const before = memory();
    const announced = Buffer.alloc(1_000);
    announced.writeInt32BE(100_000_000);
    for (let index = 0; index < 500; index += 1) (await dial()).socket.write(announced);
    await until(async () => ((await metric('connections')) > 500 ? true : undefined));
    expect(await isAnswered()).to.equal(true);
    expect(memory() - before, 'MiB').to.be.below(100);
  });

  it('leaves with the system what is sent while an earlier request waits', async () => {
    await createTopic(broker, 'quiet');
    const before = memory();
    const wait = fetchOf('quiet', 1, { maxWaitMs: 30_000, minBytes: 1, maxBytes: 1_000 });
    const parked = withLength(requestFrame(fetchRequest, wait, { version: fetchVersion }));
    const topicData = [{ name: 'quiet', partitionData: [{ index: 0, records: Buffer.alloc(1_000_000) }] }];
    const large = withLength(requestFrame(produceRequest, { acks: 1, timeoutMs: 1_000, topicData }, { version: 9 }));
    for (let index = 0; index < 30; index += 1) {
      const { socket } = await dial();
      socket.write(parked);
      for (let left = 40; left > 0; left -= 1) socket.write(large);
    }
    let most = 0;
    for (let round = 0; round < 20; round += 1) {
      expect(await isAnswered()).to.equal(true);
      most = Math.max(most, memory() - before);
      await sleep(50);
    }
    expect(most, 'MiB').to.be.below(300);
  });

  it('wakes fetches that wait for many partitions, and lets appends through meanwhile', async () => {
    const partitions = 200;
    const waiting = 50;
    await createTopic(broker, 'watched', { partitions });
    const wanted = fetchOf('watched', partitions, { maxWaitMs: 40_000, minBytes: 5_000, maxBytes: 1_000_000 });
    const waiters = await Promise.all(Array.from({ length: waiting }, dial));
    const answers = waiters.map((waiter) =>
      waiter.ask([fetchRequest, fetchResponse], wanted, { version: fetchVersion, patienceMs: 35_000 }),
    );
    // Each append is looked at by all that wait, and the last ones wake them.
    for (let number = 0; number < 600; number += 1) await append('watched', number % partitions, 1);
    expect(await isAnswered()).to.equal(true);
    for (const answer of await Promise.all(answers)) {
      const bytes = answer.responses[0]!.partitions.reduce((sum, { records }) => sum + (records?.length ?? 0), 0);
      expect(bytes).to.be.at.least(5_000);
    }
    expect(await metric('faults_total')).to.equal(0);
  });
});
