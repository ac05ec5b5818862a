import { expect } from 'chai';
import { conformance } from '../support/conformance/conformance.ts';
import { type Ended, run, runWell } from '../support/conformance/program.ts';
import { freshTopic } from '../support/conformance/topics.ts';
import { orSkip } from '../support/kafka/kafka.ts';
import { freshTopicName } from '../support/kafka/topics.ts';
import { Unavailable } from '../support/kafka/unavailable.ts';

const lines = (count: number): string => Array.from({ length: count }, (_, i) => `key-${i}:value-${i}\n`).join('');

interface Metadata {
  readonly brokers: readonly { id: number; name: string }[];
  readonly topics: readonly {
    topic: string;
    partitions: readonly { partition: number; leader: number; replicas: { id: number }[]; isrs: { id: number }[] }[];
  }[];
}

async function requireKcat(): Promise<void> {
  await run('kcat', ['-V']).catch(() => {
    throw new Unavailable('there is no kcat');
  });
}

conformance('librdkafka', (suite) => {
  before(async function () {
    await orSkip(this, requireKcat());
  });

  const kcat = (args: readonly string[], stdin = ''): Promise<Ended> =>
    runWell('kcat', ['-b', suite.brokerList, ...args], { stdin });

  const produce = (topic: string, input: string, ...settings: string[]): Promise<Ended> =>
    kcat(['-P', '-t', topic, '-K', ':', '-X', 'linger.ms=5', ...settings], input);

  /** From the beginning to the present end, a line a record. */
  const consume = async (topic: string, format: string, ...settings: string[]): Promise<string[]> => {
    const { stdout } = await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-f', `${format}\n`, ...settings]);
    return stdout.split('\n').slice(0, -1);
  };

  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    suite.test(`reads what it wrote with compression ${codec}`, async () => {
      const topic = await freshTopic(suite, 'kcat-codec');
      await produce(topic, lines(1000), '-z', codec);
      expect(await consume(topic, '%k:%s')).to.deep.equal(lines(1000).split('\n').slice(0, -1));
    });
  }

  suite.test('writes with a codec that others read, and smaller than without', async () => {
    const topic = await freshTopic(suite, 'kcat-small', { config: { 'max.message.bytes': '5000' } });
    const large = `key:${'x'.repeat(20_000)}\n`;
    const refused = await run('kcat', ['-b', suite.brokerList, '-P', '-t', topic, '-K', ':', '-z', 'none'], {
      stdin: large,
    });
    expect(refused.stderr).to.match(/Message size too large/);
    // librdkafka compresses nothing when the broker’s range of Produce versions does not start low enough.
    await produce(topic, large, '-z', 'lz4');
    expect(await consume(topic, '%S')).to.deep.equal(['20000']);
  });

  suite.test('keeps keys, headers, empty values, tombstones and partitions', async () => {
    const topic = await freshTopic(suite, 'kcat-parts', { partitions: 2 });
    await produce(topic, 'one:1\n', '-p', '1', '-H', 'a=first', '-H', 'a=second', '-H', 'b=');
    await produce(topic, 'two:\n', '-p', '1');
    await produce(topic, 'two:\n', '-p', '1', '-Z');
    expect(await consume(topic, '%p %o %k %S %h')).to.deep.equal([
      '1 0 one 1 a=first,a=second,b=',
      '1 1 two 0 ',
      '1 2 two -1 ',
    ]);
  });

  suite.test('spreads keys over the partitions and reads them all', async () => {
    const topic = await freshTopic(suite, 'kcat-spread', { partitions: 4 });
    await produce(topic, lines(200));
    const partitions = await consume(topic, '%p');
    expect(partitions).to.have.length(200);
    expect(new Set(partitions).size).to.equal(4);
  });

  suite.test('lists brokers, topics and partitions', async () => {
    const topic = await freshTopic(suite, 'kcat-list', { partitions: 3 });
    const metadata = JSON.parse((await kcat(['-L', '-J'])).stdout) as Metadata;
    expect(metadata.brokers.map(({ name }) => name)).to.deep.equal([suite.brokerList]);
    const { id } = metadata.brokers[0]!;
    const partitions = metadata.topics.find((each) => each.topic === topic)?.partitions;
    expect(partitions).to.deep.equal(
      [0, 1, 2].map((partition) => ({ partition, leader: id, replicas: [{ id }], isrs: [{ id }] })),
    );
  });

  suite.test('finds offsets by time, and the ends', async () => {
    const topic = await freshTopic(suite, 'kcat-times');
    const beforeMs = Date.now() - 1;
    await produce(topic, lines(5));
    const query = async (time: string): Promise<string> => {
      const { stdout } = await kcat(['-Q', '-t', `${topic}:0:${time}`]);
      return stdout.trim();
    };
    expect(await query(String(beforeMs))).to.equal(`${topic} [0] offset 0`);
    expect(await query('-1')).to.equal(`${topic} [0] offset 5`);
    expect(await query('-2')).to.equal(`${topic} [0] offset 0`);
    expect(await query(String(Date.now() + 3_600_000))).to.equal(`${topic} [0] offset -1`);
  });

  suite.test('starts at an offset, at a time, and so many records before the end', async () => {
    const topic = await freshTopic(suite, 'kcat-from');
    await produce(topic, lines(10));
    const from = async (offset: string): Promise<number> => {
      const { stdout } = await kcat(['-C', '-t', topic, '-p', '0', '-o', offset, '-e', '-q']);
      return stdout.split('\n').length - 1;
    };
    expect(await from('4')).to.equal(6);
    expect(await from('-3')).to.equal(3);
    expect(await from('s@0')).to.equal(10);
    expect(await from('end')).to.equal(0);
  });

  suite.test('waits at the end of a topic for the next record', async () => {
    const topic = await freshTopic(suite, 'kcat-wait');
    const waiting = kcat(['-C', '-t', topic, '-o', 'beginning', '-c', '3', '-q', '-f', '%s ']);
    await produce(topic, lines(2));
    await produce(topic, 'key:last\n');
    expect((await waiting).stdout).to.equal('value-0 value-1 last ');
  });

  for (const strategy of ['range,roundrobin', 'cooperative-sticky']) {
    suite.test(`reads as a group with ${strategy}, commits, and goes on where it stopped`, async () => {
      const topic = await freshTopic(suite, 'kcat-group', { partitions: 2 });
      const group = freshTopicName('kcat-group');
      const settings = ['-X', 'auto.offset.reset=earliest', '-X', `partition.assignment.strategy=${strategy}`];
      const read = async (): Promise<string[]> => {
        const { stdout } = await kcat(['-G', group, '-e', '-q', ...settings, topic]);
        return stdout.split('\n').slice(0, -1).sort();
      };
      await produce(topic, lines(20));
      expect(await read()).to.have.length(20);
      await produce(topic, 'key-20:later\n');
      expect(await read()).to.deep.equal(['later']);
      expect(await read()).to.deep.equal([]);
    });
  }

  suite.test('shares a topic between two members of a group', async () => {
    const topic = await freshTopic(suite, 'kcat-two', { partitions: 2 });
    const group = freshTopicName('kcat-two');
    const settings = ['-X', 'auto.offset.reset=earliest', '-X', 'heartbeat.interval.ms=200'];
    const member = () => run('kcat', ['-b', suite.brokerList, '-G', group, '-c', '50', '-q', ...settings, topic]);
    const shared = Promise.all([member(), member()]);
    for (let i = 0; i < 2; i += 1) {
      const records = Array.from({ length: 50 }, (_, n) => `k:${i}-${n}\n`).join('');
      await produce(topic, records, '-p', String(i));
    }
    const read = (await shared).flatMap(({ stdout }) => stdout.split('\n').slice(0, -1));
    expect(new Set(read).size).to.equal(100);
  });

  suite.test('writes idempotently', async () => {
    const topic = await freshTopic(suite, 'kcat-idempotent', { partitions: 2 });
    await produce(topic, lines(2000), '-X', 'enable.idempotence=true', '-X', 'batch.num.messages=50');
    const keys = await consume(topic, '%k');
    expect(keys).to.have.length(2000);
    expect(new Set(keys).size).to.equal(2000);
  });

  suite.test('writes in a transaction, seen by readers of committed records', async () => {
    const topic = await freshTopic(suite, 'kcat-transaction');
    const { stderr } = await produce(topic, lines(10), '-X', `transactional.id=${freshTopicName('kcat')}`);
    expect(stderr).to.match(/Transaction successfully committed/);
    await produce(topic, 'key:plain\n');
    // The marker takes an offset.
    expect(await consume(topic, '%o', '-X', 'isolation.level=read_committed')).to.deep.equal(
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11].map(String),
    );
  });

  suite.test('says that a topic does not exist', async () => {
    const topic = freshTopicName('kcat-none');
    const { exitCode, stderr } = await run('kcat', ['-b', suite.brokerList, '-C', '-t', topic, '-e']);
    expect(exitCode).to.equal(1);
    expect(stderr).to.match(/Unknown topic or partition/);
  });
});
