import { expect } from 'chai';
import { Client, connect, DatabaseError } from '../../../src/client/client.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { createTopic, freshTopicName, rawRecords } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

const compacted = { config: { 'cleanup.policy': 'compact' } };
/** Longer than any test. */
const timeoutMs = 120_000;

describe(`the client of nodes on ${kafkaName}`, function () {
  this.timeout(120_000);
  let kafka: Kafka;
  let topic: string;
  const nodes: NodeProcess[] = [];
  const clients: Client[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    topic = freshTopicName('client');
    await createTopic(kafka, topic, { partitions: 3, ...compacted });
  });

  afterEach(async () => {
    const closing = clients.splice(0).map((client) => client.close());
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
    await Promise.all(closing);
  });

  async function start(environment: Record<string, string> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: topic, ...environment });
    nodes.push(node);
    return node.ready();
  }

  async function clientOf(...to: readonly NodeProcess[]): Promise<Client> {
    const client = await connect({ nodes: to.map(({ avroPort }) => `127.0.0.1:${avroPort}`), timeoutMs });
    clients.push(client);
    return client;
  }

  const text = (entry: { value: Buffer } | undefined) => entry?.value.toString();
  const names = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);

  it('does what the database does: values with their versions, times and types, deletes, many at once', async () => {
    const client = await clientOf(await start());
    const bytes = Buffer.from([0xff, 0x00, 0xfe]);
    const written = await client.put(bytes, bytes, { ttlMs: 3_600_000, contentType: 'image/x' });
    expect(written).to.include({ offset: 0, applied: true });
    const entry = (await client.get(bytes))!;
    expect(entry).to.include({ partition: written.partition, offset: 0, timestampMs: written.timestampMs });
    expect(entry).to.include({ contentType: 'image/x', source: 'log' });
    expect(entry.value.equals(bytes)).to.equal(true);
    expect(entry.expiresAtMs! - written.timestampMs).to.be.within(3_599_000, 3_601_000);

    await client.put('empty', '');
    expect(text(await client.get('empty', { consistency: 'linearizable' }))).to.equal('');
    await client.delete(bytes);
    expect(await client.get(bytes)).to.equal(undefined);

    const writes = await client.putMany([
      { key: 'a', value: '1' },
      { key: '', value: '2' },
      { key: 'empty', value: null },
    ]);
    expect(writes.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled']);
    const [a, nothing, gone] = await client.getMany(['a', '', 'empty']);
    expect(a!.status === 'fulfilled' && text(a!.value)).to.equal('1');
    expect((nothing as PromiseRejectedResult).reason)
      .to.be.instanceOf(DatabaseError)
      .and.include({ code: 'key_empty' });
    expect(gone).to.deep.equal({ status: 'fulfilled', value: undefined });
  });

  it('gets the error of the table for what a node does not take, and goes on', async () => {
    const client = await clientOf(await start({ VALUE_BYTES_MAX: '1000' }));
    const refused: [Promise<unknown>, string, number][] = [
      [client.get(''), 'key_empty', 400],
      [client.get(Buffer.alloc(65_537, 'k')), 'key_too_long', 400],
      [client.put('k', Buffer.alloc(1_001)), 'value_too_large', 413],
      [client.put('k', 'v', { ttlMs: 0 }), 'parameter_invalid', 400],
      [client.put('k', 'v', { contentType: 'naïve' }), 'parameter_invalid', 400],
      [client.getMany(names(5_001)), 'parameter_invalid', 400],
    ];
    await Promise.allSettled(refused.map(([call]) => call));
    for (const [call, code, status] of refused) expect(await fault(call)).to.include({ code, status });
    // Of more bytes than any message may have there: it is told, and connects again.
    expect(await fault(client.put('k', Buffer.alloc(32 * 1024 * 1024)))).to.include({
      code: 'value_too_large',
      status: 413,
    });
    await client.put('k', Buffer.alloc(1_000));
    expect((await client.get('k'))!.value.length).to.equal(1_000);
  });

  it('has 10,000 calls under way at one time', async () => {
    const client = await clientOf(await start());
    const writes = await Promise.all(names(10_000).map((key) => client.put(key, `of ${key}`)));
    expect(new Set(writes.map(({ partition, offset }) => `${partition}:${offset}`)).size).to.equal(10_000);
    const entries = await Promise.all(names(10_000).map((key) => client.get(key)));
    expect(entries.map(text)).to.deep.equal(names(10_000).map((key) => `of ${key}`));
    const many = await client.getMany(names(5_000));
    expect(many.map((each) => each.status === 'fulfilled' && text(each.value))).to.deep.equal(
      names(5_000).map((key) => `of ${key}`),
    );
  });

  it('writes a key in the order of its calls, though it awaits none of them', async () => {
    const client = await clientOf(await start());
    const writes = await Promise.all(Array.from({ length: 500 }, (_, i) => client.put('k', String(i))));
    const offsets = writes.map(({ offset }) => offset);
    expect(offsets).to.deep.equal([...offsets].sort((a, b) => a - b));
    expect(text(await client.get('k'))).to.equal('499');
  });

  it('reads its own writes at another node that was behind', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    const client = await clientOf(first, second);
    second.pause();
    for (const wait of ['logged', 'applied'] as const) {
      await Promise.all(names(100).map((key) => client.put(`${wait} ${key}`, `of ${key}`, { wait })));
    }
    await client.delete('logged k7', { wait: 'logged' });
    await first.kill();
    // Asked while the node hangs, answered when it comes to itself: it must not answer of what it knew before.
    const reads = Promise.all(
      ['logged', 'applied'].flatMap((wait) => names(100).map((key) => client.get(`${wait} ${key}`))),
    );
    second.resume();
    const values = (await reads).map(text);
    expect(values[7]).to.equal(undefined);
    expect(values.filter((_, index) => index !== 7)).to.deep.equal(
      [...names(100), ...names(100)].map((key) => `of ${key}`).filter((_, index) => index !== 7),
    );
  });

  /** Writers that each write their key over and over with new values, and readers, until `fault` is over. */
  async function load(client: Client, fault: () => Promise<unknown>) {
    const writers = names(16).map((key) => ({ key, acknowledged: [] as string[] }));
    const errors: unknown[] = [];
    /** Of which a node has said that they were not done; reads count as refusals too. */
    const refused: string[] = [];
    let refusals = 0;
    let isOver = false;
    const running = writers.map(async ({ key, acknowledged }) => {
      for (let i = 0; !isOver || acknowledged.length === 0; i += 1) {
        const value = `${key} ${i}`;
        try {
          await client.put(key, value);
          acknowledged.push(value);
          const seen = text(await client.get(key));
          if (seen !== value) errors.push(new Error(`wrote ${value} and read ${seen}`));
        } catch (error) {
          if (error instanceof DatabaseError && error.code === 'write_outcome_unknown') continue;
          if (error instanceof DatabaseError && error.status === 503) {
            refusals += 1;
            if (!acknowledged.includes(value)) refused.push(value);
          } else errors.push(error);
        }
      }
    });
    while (writers.some(({ acknowledged }) => acknowledged.length < 3))
      await new Promise((resolve) => setTimeout(resolve, 5));
    await fault();
    const after = writers.map(({ acknowledged }) => acknowledged.length);
    while (writers.some(({ acknowledged }, i) => acknowledged.length < after[i]! + 3))
      await new Promise((resolve) => setTimeout(resolve, 5));
    isOver = true;
    await Promise.all(running);
    const inLog = (await rawRecords(kafka, topic)).map(({ value }) => value!.toString());
    return { writers, errors, refused, refusals, inLog };
  }

  function expectSound({ writers, errors, refused, inLog }: Awaited<ReturnType<typeof load>>): void {
    expect(errors).to.deep.equal([]);
    expect(inLog.length, 'each write is in the log at most once').to.equal(new Set(inLog).size);
    const logged = new Set(inLog);
    expect(
      refused.filter((value) => logged.has(value)),
      'refused and in the log',
    ).to.deep.equal([]);
    for (const { acknowledged } of writers) {
      expect(
        acknowledged.filter((value) => !logged.has(value)),
        'acknowledged and not in the log',
      ).to.deep.equal([]);
    }
  }

  it('goes on at another node when one is killed: no read fails, no write is lost or doubled', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    const client = await clientOf(first, second);
    const outcome = await load(client, () => first.kill());
    expectSound(outcome);
    expect(outcome.refusals).to.equal(0);
  });

  it('says of a write that a killed node had not answered that it is unknown, and goes on at another node', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    const client = await clientOf(first, second);
    await client.put('k', '1');
    first.pause();
    const caught = fault(client.put('k', '2'));
    await new Promise(setImmediate);
    await first.kill();
    expect(await caught).to.include({ code: 'write_outcome_unknown', status: 504 });
    await client.put('k', '3');
    expect(text(await client.get('k'))).to.equal('3');
  });

  it('goes on at another node when one is told to stop', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    const client = await clientOf(first, second);
    const outcome = await load(client, async () => expect(await first.stop()).to.equal(0));
    expectSound(outcome);
    expect(outcome.refusals).to.equal(0);
  });

  it('goes on at the only node when that has started again at its port', async () => {
    const first = await start();
    const client = await clientOf(first);
    const again = { API_PORT: String(first.port), AVRO_PORT: String(first.avroPort) };
    const outcome = await load(client, async () => {
      await first.stop();
      await start(again);
    });
    // The node answers before it knows its log, and says so: there is no other to ask.
    expectSound(outcome);
  });

  it('finds a node that starts later than it does', async () => {
    const ports = await start();
    await ports.kill();
    const client = new Client({ nodes: [`127.0.0.1:${ports.avroPort}`], timeoutMs });
    clients.push(client);
    const found = client.ping();
    const later = await start({ API_PORT: String(ports.port), AVRO_PORT: String(ports.avroPort) });
    await found;
    // It answers before it knows its log.
    await later.ready();
    expect(await client.put('early', '1')).to.include({ offset: 0 });
  });
});

async function fault(call: Promise<unknown>): Promise<DatabaseError> {
  const error = await call.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  );
  expect(error).to.be.instanceOf(DatabaseError);
  return error as DatabaseError;
}
