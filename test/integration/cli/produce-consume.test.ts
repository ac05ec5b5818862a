import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { CliProcess, failureOf, outputOf, runCli } from '../../support/cli-process.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { kafkaTools } from '../../support/kafka/tools.ts';
import {
  abortedTransaction,
  createTopic,
  freshTopicName,
  keepsOldRecords,
  produceRaw,
  rawRecords,
} from '../../support/kafka/topics.ts';

describe(`bitacora produce and consume on ${kafkaName}`, function () {
  this.timeout(120_000);
  let kafka: Kafka;
  let topic: string;

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    topic = freshTopicName('cli-records');
    await createTopic(kafka, topic, { partitions: 3, config: keepsOldRecords });
  });

  const produce = (argv: readonly string[], input: string | Buffer): Promise<string> =>
    outputOf(kafka, ['produce', topic, ...argv], input);
  const consume = (...argv: string[]): Promise<string> =>
    outputOf(kafka, ['consume', topic, '--from-beginning', '--exit', ...argv]);

  it('write keys, values, headers and tombstones as any client reads them', async () => {
    const { stderr, code } = await runCli(
      kafka,
      ['produce', topic, '-K', '=', '--null-value', 'NULL', '-H', 'a=1', '-H', 'a=2', '-H', 'b='],
      'city=Sevilla=ES\nriver=\ncity=NULL\n',
    );
    expect([code, stderr]).to.deep.equal([0, `3 records written to ${topic}\n`]);
    const records = await rawRecords(kafka, topic);
    const seen = records.map(({ key, value }) => [key?.toString(), value?.toString() ?? null]);
    expect(seen).to.have.deep.members([
      ['city', 'Sevilla=ES'],
      ['river', ''],
      ['city', null],
    ]);
    for (const { headers } of records) {
      expect(headers).to.deep.equal({ a: [Buffer.from('1'), Buffer.from('2')], b: Buffer.from('') });
    }
  });

  it('find the partition of a key as the Java client does', async function () {
    const tools = await kafkaTools(this);
    const keys = Array.from({ length: 30 }, (_, i) => `key-${i}`);
    await produce(['-K', ':'], keys.map((key) => `${key}:ours\n`).join(''));
    await tools.consoleProduce(
      kafka,
      topic,
      keys.map((key) => `${key}=theirs`),
    );
    const places = new Map<string, Set<number>>();
    for (const { key, partition } of await rawRecords(kafka, topic)) {
      const place = places.get(String(key)) ?? new Set();
      places.set(String(key), place.add(partition));
    }
    expect(places.size).to.equal(keys.length);
    for (const [key, partitions] of places) expect([...partitions], key).to.have.length(1);
  });

  it('write to the partition they are told, and to none that is not there', async () => {
    await produce(['--partition', '2', '--key', 'k'], 'a\nb\n');
    expect((await rawRecords(kafka, topic)).map(({ partition, key }) => [partition, String(key)])).to.deep.equal([
      [2, 'k'],
      [2, 'k'],
    ]);
    expect(await failureOf(kafka, ['produce', topic, '-p', '3'], 'a\n')).to.include('has no partition 3');
  });

  for (const compression of ['none', 'gzip', 'snappy', 'lz4']) {
    it(`write batches (${compression}) that Java reads, and read them back in order`, async function () {
      const tools = await kafkaTools(this);
      const lines = Array.from({ length: 5_000 }, (_, i) => `line ${i} ${'x'.repeat(i % 50)}`);
      await produce(['--compression', compression, '--partition', '1'], lines.join('\n'));
      expect(await consume()).to.equal(`${lines.join('\n')}\n`);
      const records = await tools.consoleConsume(kafka, topic, { maxRecords: lines.length });
      expect(records.map(({ value }) => value)).to.deep.equal(lines);
    });
  }

  it('carry any bytes as one value', async () => {
    const bytes = randomBytes(300_000);
    await produce(['--whole', '--key', 'photo'], bytes);
    const { stdout } = await runCli(kafka, ['consume', topic, '--from-beginning', '--exit']);
    expect(stdout.equals(Buffer.concat([bytes, Buffer.from('\n')]))).to.equal(true);
  });

  it('copy a topic through JSON: keys, values, headers, partitions and times', async () => {
    await produceRaw(kafka, topic, [
      { key: 'a', value: Buffer.from([0xff, 0x0a]), partition: 0, timestamp: '1700000000000', headers: { h: 'ü' } },
      { key: null, value: 'no key', partition: 1, timestamp: '1700000000001' },
      {
        key: 'gone',
        value: null,
        partition: 2,
        timestamp: '1700000000002',
        headers: { h: ['1', Buffer.from([0xfe])] },
      },
    ]);
    const copy = freshTopicName('cli-copy');
    await createTopic(kafka, copy, { partitions: 3, config: keepsOldRecords });
    const json = await consume('--format', 'json');
    expect(json.split('\n')).to.include(
      `{"topic":"${topic}","partition":0,"offset":0,"timestamp":1700000000000,"key":"a","value":{"base64":"/wo="},"headers":{"h":"ü"}}`,
    );
    await outputOf(kafka, ['produce', copy, '--format', 'json'], json);
    expect(await rawRecords(kafka, copy)).to.deep.equal(await rawRecords(kafka, topic));
  });

  it('name the line that is no record, and how much was written', async () => {
    const line = await failureOf(kafka, ['produce', topic, '--format', 'json'], '{"value":"a"}\nnonsense\n');
    expect(line).to.match(/^bitacora: line 2 of the input: not JSON .*\(0 written\)$/);
  });

  it('tell a record that is too large, or lacks a key, by what to do', async () => {
    const large = Buffer.alloc(2 * 1024 * 1024, 'x');
    expect(await failureOf(kafka, ['produce', topic, '--whole'], large)).to.include('max.message.bytes');
    const compacted = freshTopicName('cli-compacted');
    await createTopic(kafka, compacted, { config: { 'cleanup.policy': 'compact' } });
    expect(await failureOf(kafka, ['produce', compacted], 'a\n')).to.match(/without a key .*INVALID_RECORD/);
  });

  it('know which topics there are', async () => {
    for (const verb of ['produce', 'consume']) {
      expect(await failureOf(kafka, [verb, 'no-such-topic'])).to.include('there is no topic "no-such-topic"');
    }
  });

  it('start where they are told', async () => {
    await produce(['--partition', '0'], 'a\nb\nc\n');
    await produce(['--partition', '1'], 'x\ny\n');
    const read = (...argv: string[]) => outputOf(kafka, ['consume', topic, '--exit', ...argv]);
    const lines = async (...argv: string[]) => (await read(...argv)).split('\n').slice(0, -1).sort();
    expect(await lines('--offset', '1')).to.deep.equal(['b', 'c', 'y']);
    expect(await lines('--offset', '-1')).to.deep.equal(['c', 'y']);
    expect(await lines('--offset', '-100')).to.deep.equal(['a', 'b', 'c', 'x', 'y']);
    expect(await lines('--from-beginning', '--partition', '1')).to.deep.equal(['x', 'y']);
    expect(await lines()).to.deep.equal([]);
    expect(await lines('--offset', '2', '--partition', '0')).to.deep.equal(['c']);
  });

  it('read several topics', async () => {
    const other = freshTopicName('cli-other');
    await createTopic(kafka, other);
    await produce([], 'a\n');
    await outputOf(kafka, ['produce', other], 'b\n');
    const output = await outputOf(kafka, ['consume', topic, other, '--from-beginning', '--exit']);
    expect(output.split('\n').sort()).to.deep.equal(['', 'a', 'b']);
  });

  it('end at the end though an aborted transaction is the last thing there', async () => {
    await produce(['--partition', '0'], 'committed\n');
    await abortedTransaction(kafka, topic, [{ value: 'aborted', partition: 0 }]);
    expect(await consume()).to.equal('committed\n');
    expect(await consume('--isolation', 'read_uncommitted')).to.equal('committed\naborted\n');
  });

  it('commit for a group what they printed, and go on there', async () => {
    const group = freshTopicName('cli-group');
    await produce(['--partition', '0'], 'a\nb\nc\nd\n');
    expect(await consume('--group', group, '-n', '3')).to.equal('a\nb\nc\n');
    expect(await consume('--group', group)).to.equal('d\n');
    expect(await consume('--group', group)).to.equal('');
  });

  it('leave no group behind without one', async () => {
    await produce([], 'a\n');
    const reader = new CliProcess(kafka, ['consume', topic, '--from-beginning']);
    await reader.shows('a');
    expect(await outputOf(kafka, ['groups', 'list'])).to.match(/^bitacora-cli-/m);
    reader.child.kill('SIGINT');
    expect((await reader.result()).code).to.equal(0);
    expect(await outputOf(kafka, ['groups', 'list'])).not.to.match(/^bitacora-cli-/m);
  });

  it('follow the topic until Ctrl-C', async () => {
    await produce([], 'before\n');
    const reader = new CliProcess(kafka, ['consume', topic, '--offset', '-1']);
    await reader.shows('before\n');
    const writer = new CliProcess(kafka, ['produce', topic]);
    writer.child.stdin!.write('typed\n');
    await reader.shows('typed\n');
    writer.child.stdin!.end('last');
    await reader.shows('last\n');
    expect((await writer.result()).code).to.equal(0);
    reader.child.kill('SIGINT');
    expect(await reader.result()).to.deep.include({ code: 0, stderr: '' });
  });

  it('tell that the input was cut short by Ctrl-C, with what was written before', async () => {
    const writer = new CliProcess(kafka, ['produce', topic]);
    writer.child.stdin!.write('a\n');
    const reader = new CliProcess(kafka, ['consume', topic, '--from-beginning', '-n', '1']);
    await reader.result();
    writer.child.kill('SIGINT');
    const { code, stderr } = await writer.result();
    expect([code, stderr]).to.deep.equal([1, 'bitacora: interrupted before the end of the input (1 written)\n']);
  });

  it('end without a word when nobody reads their output any more', async () => {
    await produce([], `${'x'.repeat(1_000)}\n`.repeat(5_000));
    const reader = new CliProcess(kafka, ['consume', topic, '--from-beginning']);
    await reader.shows('x');
    reader.child.stdout!.destroy();
    expect(await reader.result()).to.deep.include({ code: 0, stderr: '' });
  });

  it('lose nothing when the reader of their output stops for a while', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i} ${'x'.repeat(500)}`);
    await produce(['--partition', '0'], lines.join('\n'));
    const reader = new CliProcess(kafka, ['consume', topic, '--from-beginning', '--exit']);
    await reader.shows('0 x');
    reader.child.stdout!.pause();
    // Long enough to read all of it, were there nobody to wait for.
    await sleep(1_000);
    reader.child.stdout!.resume();
    const { code, stdout } = await reader.result();
    expect(code).to.equal(0);
    expect(stdout.toString()).to.equal(`${lines.join('\n')}\n`);
  });
});
