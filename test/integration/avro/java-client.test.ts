import { expect } from 'chai';
import { avroVersion, javaAvro, runJavaClient } from '../../support/avro/java-client.ts';
import { kafkaName, orSkip, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

// biome-ignore lint/suspicious/noExplicitAny: what Java has printed, which the assertions look into.
type Printed = any;

describe(`Avro ${avroVersion}'s Java client, on ${kafkaName}`, () => {
  let node: NodeProcess | undefined;
  let calls: Printed;

  before(async function () {
    const kafka = await sharedKafka(this);
    const program = await orSkip(this, javaAvro());
    node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: freshTopicName('avro-java') });
    await node.ready();
    calls = await orSkip(this, runJavaClient(program, 'calls', node.avroPort));
  });

  after(async () => {
    await node?.kill();
  });

  const hex = (text: string) => Buffer.from(text).toString('hex');
  const overHttp = async (key: string): Promise<Printed> =>
    (await node!.fetch(`/rpc?key=${encodeURIComponent(key)}`)).json();

  it('sets, gets and deletes by the original protocol', () => {
    const { before, set, get, delete: deleted, after, emptyKey, largeIsTheSame } = calls.original;
    expect({ before, set, get, deleted, after }).to.deep.equal({
      before: { value: null },
      set: { value: null },
      get: { value: 'Málaga ☀' },
      deleted: { value: null },
      after: { value: null },
    });
    expect(emptyKey.error).to.match(/^key_empty: /);
    expect(largeIsTheSame).to.equal(true);
  });

  it('puts, gets and deletes bytes by ours, with versions and what belongs to them', () => {
    const { absent, put, get, remove, removed: afterwards } = calls.ours;
    expect(absent.value).to.deep.include({ found: null, source: 'LOG', partition: 0 });
    expect(put.value).to.include({ partition: 0, applied: true });
    const { offset, timestampMs } = put.value;
    const { expiresAtMs, ...found } = get.value.found;
    expect(found).to.deep.equal({ value: '800102', partition: 0, offset, timestampMs, contentType: 'image/x' });
    expect(expiresAtMs).to.be.greaterThan(timestampMs + 3_000_000);
    expect(get.value.position).to.be.greaterThan(offset);
    expect(remove.value.offset).to.be.greaterThan(offset);
    expect(afterwards.value.found).to.equal(null);
    expect(afterwards.value.position).to.be.greaterThan(remove.value.offset);
  });

  it('reads within a session and linearizably, and writes without waiting for the node', () => {
    const { session, linearizable, logged } = calls.ours;
    for (const { value } of [session, linearizable]) expect(value.found.value).to.equal(hex('1'));
    expect(logged.value.offset).to.be.a('number');
  });

  it('gets typed errors, with the codes and statuses of HTTP', () => {
    const { emptyKey, badTtl } = calls.ours;
    expect(emptyKey.failure).to.include({ code: 'key_empty', status: 400 });
    expect(badTtl.failure).to.include({ code: 'parameter_invalid', status: 400 });
    expect(badTtl.failure.detail).to.match(/^ttlMs /);
  });

  it('gets an answer for each key and each write of a call, in their order', () => {
    const { multiPut, multiGet, none, tooMany } = calls.batches;
    const [a, noKey, deleted, empty] = multiPut.value;
    expect(noKey).to.include({ code: 'key_empty', status: 400 });
    expect([deleted.offset, empty.offset]).to.deep.equal([a.offset + 1, a.offset + 2]);
    const [readA, readNoKey, readDeleted, readEmpty] = multiGet.value;
    expect(readA.found).to.include({ value: hex('1'), offset: a.offset });
    expect(readNoKey).to.include({ code: 'key_empty' });
    expect(readDeleted.found).to.equal(null);
    expect(readEmpty.found).to.include({ value: '', contentType: 'text/plain', offset: empty.offset });
    expect(none.value).to.deep.equal([]);
    expect(tooMany.failure).to.include({ code: 'parameter_invalid' });
  });

  it('writes and reads a value of the greatest size, and none above it', () => {
    const { greatestIsTheSame, greater } = calls.sizes;
    expect(greatestIsTheSame).to.equal(true);
    expect(greater.failure).to.include({ code: 'value_too_large', status: 413 });
  });

  it('is served with an older protocol, which has fewer parameters and fields', () => {
    const { put, get, emptyKey } = calls.older;
    expect(put.value).to.have.all.keys('offset');
    expect(get.value).to.deep.equal({ found: { offset: put.value.offset, value: hex('old') } });
    expect(emptyKey.failure).to.deep.equal({ code: 'key_empty' });
  });

  it('is served with a newer protocol, and only what the node does not know fails', () => {
    const { put, get, emptyKey, scanIsAnError, afterwards } = calls.newer;
    const { offset } = put.value;
    expect(put.value).to.deep.equal({ offset, replicas: -1 });
    const reading = { source: 'LOG', found: { value: hex('new'), offset, writer: 'unknown' } };
    expect(get.value).to.deep.equal(reading);
    expect(emptyKey.failure).to.deep.equal({ retryAfterMs: null, code: 'key_empty' });
    expect(scanIsAnError).to.equal(true);
    expect(afterwards.value).to.deep.equal(reading);
  });

  it('is told so in a string when its parameters cannot be read as the node’s, and may go on', () => {
    const { get, remove } = calls.incompatible;
    expect(get.error).to.match(/^message_unknown: .* get /);
    expect(remove.value.offset).to.be.a('number');
  });

  it('gets thousands of answers to calls that do not wait for one another', () => {
    const { asked, right } = calls.pipelined;
    expect(asked).to.equal(4_000);
    expect(right).to.equal(asked);
  });

  it('has written what HTTP reads', async () => {
    expect(await overHttp('by java, original')).to.include({ value: 'Sevilla', source: 'log' });
    expect(await overHttp('by java, ours')).to.include({ value: 'gAEC', encoding: 'base64' });
    expect(await overHttp('pipelined 3 999')).to.include({ value: 'pipelined 3 999' });
    expect((await node!.fetch('/rpc?key=ciudad')).status).to.equal(404);
    expect(await node!.metric('bitacora_avro_calls_total', 'message="setValue",outcome="ok"')).to.equal(3);
  });
});
