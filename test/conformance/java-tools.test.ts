import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { conformance } from '../support/conformance/conformance.ts';
import { JavaTools } from '../support/conformance/java-tools.ts';
import { freshTopic } from '../support/conformance/topics.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { type KafkaTools, kafkaTools } from '../support/kafka/tools.ts';
import { freshTopicName } from '../support/kafka/topics.ts';

const mainClasses = {
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-groups': 'org.apache.kafka.tools.GroupsCommand',
  'kafka-get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
  'kafka-console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'kafka-console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'kafka-consumer-perf-test': 'org.apache.kafka.tools.ConsumerPerformance',
  'kafka-verifiable-consumer': 'org.apache.kafka.tools.VerifiableConsumer',
  'kafka-transactions': 'org.apache.kafka.tools.TransactionsCommand',
  'kafka-log-dirs': 'org.apache.kafka.tools.LogDirsCommand',
  'kafka-delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  'kafka-broker-api-versions': 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  'kafka-cluster': 'org.apache.kafka.tools.ClusterTool',
} as const;
const producerPerformance = 'org.apache.kafka.tools.ProducerPerformance';
/** It tells its end to the shutdown hooks of a JVM of its own. */
const verifiableProducer = 'org.apache.kafka.tools.VerifiableProducer';

interface Event {
  readonly name: string;
  readonly [property: string]: unknown;
}

const lines = (count: number): string => Array.from({ length: count }, (_, i) => `key-${i}:value-${i}\n`).join('');
const eventsOf = (stdout: string): Event[] =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Event);

conformance('Kafka’s Java tools', (suite) => {
  let tools: JavaTools;
  let alone: KafkaTools;

  before(async function () {
    alone = await kafkaTools(this);
    tools = await JavaTools.start(this);
  });

  after(async () => {
    await tools?.stop();
  });

  const run = (tool: keyof typeof mainClasses, args: readonly string[], stdin = ''): Promise<string> =>
    tools.runWell(mainClasses[tool], ['--bootstrap-server', suite.brokerList, ...args], stdin);

  /** A tool that must fail; answers what it printed. */
  const refused = async (tool: keyof typeof mainClasses, args: readonly string[]): Promise<string> => {
    const ended = await tools.run(mainClasses[tool], ['--bootstrap-server', suite.brokerList, ...args]);
    expect(ended.exitCode, ended.stdout).to.not.equal(0);
    return ended.stdout + ended.stderr;
  };

  const produce = (topic: string, input: string, ...properties: string[]): Promise<string> =>
    run(
      'kafka-console-producer',
      [
        ...['--topic', topic, '--property', 'parse.key=true', '--property', 'key.separator=:'],
        ...properties.flatMap((property) => ['--producer-property', property]),
      ],
      input,
    );

  const consume = async (topic: string, count: number, ...args: string[]): Promise<string[]> => {
    const limit = ['--max-messages', String(count), '--timeout-ms', '20000'];
    const stdout = await run('kafka-console-consumer', ['--topic', topic, ...limit, ...args]);
    return stdout.split('\n').slice(0, -1);
  };

  const perform = (topic: string, records: number, ...properties: string[]): Promise<string> =>
    tools.runWell(producerPerformance, [
      ...['--topic', topic, '--num-records', String(records), '--record-size', '100', '--throughput', '-1'],
      ...['--producer-props', `bootstrap.servers=${suite.brokerList}`, ...properties],
    ]);

  const endsOf = async (topic: string, time = 'latest'): Promise<string[]> =>
    (await run('kafka-get-offsets', ['--topic', topic, '--time', time])).split('\n').slice(0, -1);

  suite.test('kafka-broker-api-versions finds every API usable that it knows of this broker', async () => {
    const stdout = await run('kafka-broker-api-versions', []);
    expect(stdout).to.include(suite.brokerList);
    for (const api of ['Produce(0)', 'Fetch(1)', 'Metadata(3)', 'JoinGroup(11)', 'EndTxn(26)', 'DescribeCluster(60)']) {
      expect(stdout).to.match(new RegExp(`${api.replace(/[()]/g, '\\$&')}: .*\\[usable: \\d+\\]`));
    }
  });

  suite.test('kafka-cluster tells the cluster’s id', async () => {
    const stdout = await tools.runWell(mainClasses['kafka-cluster'], [
      ...['cluster-id', '--bootstrap-server', suite.brokerList],
    ]);
    expect(stdout).to.match(/^Cluster ID: [\w-]{22}$/m);
  });

  suite.test('kafka-topics creates, lists, describes, alters and deletes', async () => {
    const topic = freshTopicName('tool');
    await run('kafka-topics', [
      ...['--create', '--topic', topic, '--partitions', '2', '--config', 'cleanup.policy=compact'],
    ]);
    expect((await run('kafka-topics', ['--list'])).split('\n')).to.include(topic);
    const described = await run('kafka-topics', ['--describe', '--topic', topic]);
    expect(described).to.match(
      /TopicId: [\w-]{22}\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: .*cleanup.policy=compact/,
    );
    expect(described.match(/Leader: (\d+)\tReplicas: \1\tIsr: \1\t/g)).to.have.length(2);
    expect(await refused('kafka-topics', ['--create', '--topic', topic])).to.include('already exists');
    await run('kafka-topics', ['--alter', '--topic', topic, '--partitions', '3']);
    expect(await run('kafka-topics', ['--describe', '--topic', topic])).to.include('PartitionCount: 3');
    expect(await refused('kafka-topics', ['--alter', '--topic', topic, '--partitions', '3'])).to.match(/partition/i);
    await run('kafka-topics', ['--delete', '--topic', topic]);
    expect((await run('kafka-topics', ['--list'])).split('\n')).to.not.include(topic);
  });

  suite.test('kafka-configs sets, appends to, subtracts from and removes a topic’s settings', async () => {
    const topic = await freshTopic(suite, 'tool-configs');
    const entity = ['--entity-type', 'topics', '--entity-name', topic];
    const alter = (...args: string[]) => run('kafka-configs', ['--alter', ...entity, ...args]);
    const describeTopic = () => run('kafka-configs', ['--describe', ...entity]);
    await alter('--add-config', 'cleanup.policy=[compact,delete],retention.ms=1000000');
    const changed = await describeTopic();
    expect(changed).to.match(/cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:/);
    expect(changed).to.include('retention.ms=1000000');
    await alter('--delete-config', 'retention.ms');
    expect(await describeTopic()).to.not.include('retention.ms');
    expect(await refused('kafka-configs', ['--alter', ...entity, '--add-config', 'retention.ms=soon'])).to.match(
      /Invalid value soon|InvalidConfiguration/,
    );
    const all = await run('kafka-configs', ['--describe', '--all', ...entity]);
    for (const name of ['segment.bytes', 'max.message.bytes', 'min.compaction.lag.ms', 'delete.retention.ms']) {
      expect(all).to.include(`  ${name}=`);
    }
  });

  suite.test('kafka-configs sets, describes and removes the quotas of users and clients', async () => {
    const name = freshTopicName('tool-quotas');
    const alter = (entity: readonly string[], ...args: string[]) =>
      run('kafka-configs', ['--alter', ...entity, ...args]);
    const describeQuotas = (...entity: string[]) => run('kafka-configs', ['--describe', ...entity]);
    const client = ['--entity-type', 'clients', '--entity-name', name];
    const both = ['--entity-type', 'users', '--entity-name', name, '--entity-type', 'clients', '--entity-default'];
    await alter(client, '--add-config', 'consumer_byte_rate=1000000,producer_byte_rate=2000000');
    await alter(both, '--add-config', 'producer_byte_rate=3000000');
    const [consumerRate, producerRate] = [/consumer_byte_rate=1000000/, /producer_byte_rate=2000000/];
    expect(await describeQuotas(...client))
      .to.match(consumerRate)
      .and.match(producerRate);
    expect(await describeQuotas(...both)).to.match(/default client-id.*producer_byte_rate=3000000/);
    await alter(client, '--delete-config', 'consumer_byte_rate');
    expect(await describeQuotas(...client))
      .to.match(producerRate)
      .and.not.match(consumerRate);
    expect(await refused('kafka-configs', ['--alter', ...client, '--add-config', 'producer_byte_rate=0'])).to.match(
      /greater than 0/,
    );
    await alter(client, '--delete-config', 'producer_byte_rate');
    await alter(both, '--delete-config', 'producer_byte_rate');
    expect(await describeQuotas(...client)).to.not.include('byte_rate');
  });

  suite.test('the console’s producer and consumer keep keys, headers and tombstones', async () => {
    const topic = await freshTopic(suite, 'tool-console');
    await run(
      'kafka-console-producer',
      [
        ...['--topic', topic, '--property', 'parse.key=true', '--property', 'parse.headers=true'],
        ...['--property', 'null.marker=NULL'],
      ],
      'h1:a,h2:b\tone\t1\nh1:c\ttwo\tNULL\n',
    );
    const properties = ['print.key=true', 'print.headers=true', 'print.offset=true', 'null.literal=none'];
    expect(
      await consume(topic, 2, '--from-beginning', ...properties.flatMap((each) => ['--property', each])),
    ).to.deep.equal(['Offset:0\th1:a,h2:b\tone\t1', 'Offset:1\th1:c\ttwo\tnone']);
  });

  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    suite.test(`the console’s consumer reads what was produced with ${codec}`, async () => {
      const topic = await freshTopic(suite, 'tool-codec');
      await produce(topic, lines(300), `compression.type=${codec}`);
      expect(await consume(topic, 300, '--from-beginning')).to.deep.equal(
        Array.from({ length: 300 }, (_, i) => `value-${i}`),
      );
    });
  }

  for (const protocol of ['classic', 'consumer']) {
    suite.test(`the console’s consumer goes on where its group stopped, by the ${protocol} protocol`, async () => {
      const topic = await freshTopic(suite, 'tool-group', { partitions: 2 });
      const group = freshTopicName('tool-group');
      const settings = ['--group', group, '--consumer-property', `group.protocol=${protocol}`, '--from-beginning'];
      await produce(topic, lines(10));
      expect(await consume(topic, 10, ...settings)).to.have.length(10);
      await produce(topic, 'late:later\n');
      expect(await consume(topic, 1, ...settings)).to.deep.equal(['later']);
    });
  }

  suite.test('kafka-consumer-groups lists, describes, resets and deletes', async () => {
    const topic = await freshTopic(suite, 'tool-groups', { partitions: 2 });
    const group = freshTopicName('tool-groups');
    const groups = (...args: string[]) => run('kafka-consumer-groups', [...args]);
    await produce(topic, lines(20));
    await consume(topic, 20, '--group', group, '--from-beginning');
    expect((await groups('--list')).split('\n')).to.include(group);
    expect(await run('kafka-groups', ['--list'])).to.match(new RegExp(`^${group} +Classic +consumer`, 'm'));
    expect(await groups('--describe', '--group', group, '--state')).to.match(/ Empty /);

    /** Current offset, end and lag of each partition. */
    const lags = async (): Promise<number[][]> => {
      const rows = (await groups('--describe', '--group', group)).split('\n').filter((row) => row.startsWith(group));
      return rows.map((row) => row.split(/ +/).slice(3, 6).map(Number));
    };
    const ends = (await lags()).map(([, end]) => end!);
    expect(ends.reduce((sum, end) => sum + end, 0)).to.equal(20);
    expect(await lags()).to.deep.equal(ends.map((end) => [end, end, 0]));

    const reset = ['--reset-offsets', '--group', group, '--topic', topic, '--execute'];
    await groups(...reset, '--to-earliest');
    expect(await lags()).to.deep.equal(ends.map((end) => [0, end, end]));
    await groups(...reset, '--to-latest');
    await groups(...reset, '--shift-by', '-1');
    expect(await lags()).to.deep.equal(ends.map((end) => [end - 1, end, 1]));
    await groups(...reset, '--to-datetime', '2020-01-01T00:00:00.000');
    expect(await lags()).to.deep.equal(ends.map((end) => [0, end, end]));

    await groups('--delete-offsets', '--group', group, '--topic', topic);
    expect(await lags()).to.deep.equal([]);
    await groups('--delete', '--group', group);
    expect((await groups('--list')).split('\n')).to.not.include(group);
  });

  suite.test('kafka-consumer-groups shows the members of a group and refuses to reset it', async () => {
    const topic = await freshTopic(suite, 'tool-members', { partitions: 2 });
    const groupId = freshTopicName('tool-members');
    const consumer = kafkajsClient(suite, { clientId: 'a-member' }).consumer({ groupId });
    await consumer.connect();
    try {
      const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
      await consumer.subscribe({ topic });
      await consumer.run({ eachMessage: async () => undefined });
      await joined;
      const members = await run('kafka-consumer-groups', ['--describe', '--group', groupId, '--members', '--verbose']);
      expect(members).to.match(/a-member-\S+ +\/127\.0\.0\.1 +a-member +2 /);
      const reset = ['--reset-offsets', '--group', groupId, '--topic', topic, '--to-earliest', '--execute'];
      const answer = await tools.run(mainClasses['kafka-consumer-groups'], [
        '--bootstrap-server',
        suite.brokerList,
        ...reset,
      ]);
      expect(answer.stdout + answer.stderr).to.include('Assignments can only be reset');
    } finally {
      await consumer.disconnect();
    }
  });

  suite.test('kafka-get-offsets finds the ends, a time and the latest time', async () => {
    const topic = await freshTopic(suite, 'tool-offsets');
    await perform(topic, 100);
    const [latest, earliest] = [await endsOf(topic), await endsOf(topic, 'earliest')];
    const countOf = (rows: readonly string[]) => rows.reduce((sum, row) => sum + Number(row.split(':')[2]), 0);
    expect([countOf(latest), countOf(earliest)]).to.deep.equal([100, 0]);
    expect(await endsOf(topic, '0')).to.deep.equal(earliest);
    expect(await endsOf(topic, '-2')).to.deep.equal(earliest);
    const newest = await endsOf(topic, 'max-timestamp');
    expect(Number(newest[0]!.split(':')[2])).to.be.within(0, 99);
  });

  suite.test('kafka-delete-records moves the start of a partition', async () => {
    const topic = await freshTopic(suite, 'tool-delete');
    await produce(topic, lines(10));
    const offsets = { version: 1, partitions: [{ topic, partition: 0, offset: 6 }] };
    const stdout = await deleteRecords(JSON.stringify(offsets));
    expect(stdout).to.include('low_watermark: 6');
    expect(await endsOf(topic, 'earliest')).to.deep.equal([`${topic}:0:6`]);
    expect(await consume(topic, 4, '--from-beginning')).to.deep.equal(['value-6', 'value-7', 'value-8', 'value-9']);
  });

  for (const [name, properties] of Object.entries({
    'acks=all': ['acks=all'],
    'acks=1, not idempotent': ['acks=1', 'enable.idempotence=false'],
    'zstd and lingering': ['acks=all', 'compression.type=zstd', 'linger.ms=5'],
  })) {
    suite.test(`the performance tools write and read 50,000 records with ${name}`, async () => {
      const topic = await freshTopic(suite, 'tool-perf', { partitions: 2 });
      expect(await perform(topic, 50_000, ...properties)).to.match(/^50000 records sent/m);
      const read = await run('kafka-consumer-perf-test', ['--topic', topic, '--messages', '50000', '--hide-header']);
      expect(read.trim().split(', ')[4]).to.equal('50000');
    });
  }

  suite.test('kafka-producer-perf-test writes transactions', async () => {
    const topic = await freshTopic(suite, 'tool-perf-transactions');
    const settings = [`transactional.id=${freshTopicName('perf')}`, 'transaction.timeout.ms=10000'];
    expect(await perform(topic, 5_000, ...settings)).to.match(/^5000 records sent/m);
    expect(await consume(topic, 5_000, '--from-beginning', '--isolation-level', 'read_committed')).to.have.length(
      5_000,
    );
  });

  suite.test('the verifiable producer’s acknowledged records all reach the verifiable consumer, in order', async () => {
    const topic = await freshTopic(suite, 'tool-verifiable', { partitions: 3 });
    const groupId = freshTopicName('verifiable');
    const args = ['--bootstrap-server', suite.brokerList, '--topic', topic, '--max-messages', '1000', '--acks', '-1'];
    const written = eventsOf((await alone.run(verifiableProducer, args)).stdout);
    expect(written.filter(({ name }) => name === 'producer_send_success')).to.have.length(1000);
    expect(written.at(-1)).to.include({ name: 'tool_data', sent: 1000, acked: 1000 });
    const settings = ['--topic', topic, '--group-id', groupId, '--max-messages', '1000', '--reset-policy', 'earliest'];
    const read = eventsOf(await run('kafka-verifiable-consumer', [...settings, '--verbose']));
    const placeOf = ({ partition, offset, value }: Event): string => `${partition}:${offset}:${value}`;
    expect(read.filter(({ name }) => name === 'record_data').map(placeOf)).to.have.members(
      written.filter(({ name }) => name === 'producer_send_success').map(placeOf),
    );
    expect(read.filter(({ name, success }) => name === 'offsets_committed' && !success)).to.deep.equal([]);
    expect(read.at(-1)?.name).to.equal('shutdown_complete');
  });

  suite.test('kafka-transactions lists, describes and finds a hanging one', async () => {
    const topic = await freshTopic(suite, 'tool-transactions');
    const transactionalId = freshTopicName('tool-transaction');
    const producer = kafkajsClient(suite).producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    try {
      const transactions = (...args: string[]) => run('kafka-transactions', args);
      const open = await producer.transaction();
      await open.send({ topic, messages: [{ value: 'open' }] });
      expect(await transactions('list')).to.match(new RegExp(`${transactionalId}\\s+\\d+\\s+\\d+\\s+Ongoing`));
      const described = await transactions('describe', '--transactional-id', transactionalId);
      expect(described).to.match(/Ongoing/);
      expect(described).to.include(`${topic}-0`);
      const producers = await transactions('describe-producers', '--topic', topic, '--partition', '0');
      expect(producers.trim().split('\n')).to.have.length(2);
      expect(await transactions('find-hanging', '--topic', topic, '--partition', '0')).to.not.include(topic);
      await transactions('abort', '--topic', topic, '--partition', '0', '--start-offset', '0');
      const ended = await transactions('describe-producers', '--topic', topic, '--partition', '0');
      expect(ended).to.match(/None\s*$/);
    } finally {
      await producer.disconnect();
    }
  });

  suite.test('kafka-log-dirs tells the size of a topic', async () => {
    const topic = await freshTopic(suite, 'tool-dirs', { partitions: 2 });
    await produce(topic, lines(50));
    const stdout = await run('kafka-log-dirs', ['--describe', '--topic-list', topic]);
    const { brokers } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      brokers: { logDirs: { error: unknown; partitions: { partition: string; size: number }[] }[] }[];
    };
    const [folder] = brokers[0]!.logDirs;
    expect(folder!.error).to.equal(null);
    expect(folder!.partitions.map(({ partition }) => partition)).to.have.members([`${topic}-0`, `${topic}-1`]);
    expect(folder!.partitions.reduce((sum, { size }) => sum + size, 0)).to.be.greaterThan(500);
  });

  /** The tool takes its offsets from a file. */
  async function deleteRecords(offsets: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'bitacora-delete-records-'));
    try {
      const path = join(folder, 'offsets.json');
      await writeFile(path, offsets);
      return await run('kafka-delete-records', ['--offset-json-file', path]);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
});
