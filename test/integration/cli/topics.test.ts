import { expect } from 'chai';
import { failureOf, outputOf, runCli } from '../../support/cli-process.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { freshTopicName, produceRaw } from '../../support/kafka/topics.ts';

interface Description {
  readonly topic: string;
  readonly partitions: ReadonlyArray<{
    partition: number;
    leader: number;
    isr: number[];
    earliest: number;
    end: number;
  }>;
  readonly configs: Record<string, string>;
}

describe(`bitacora topics on ${kafkaName}`, function () {
  this.timeout(120_000);
  let kafka: Kafka;
  const made: string[] = [];

  before(async function () {
    kafka = await sharedKafka(this);
  });

  after(async () => {
    if (kafka?.how === 'given') for (const topic of made) await runCli(kafka, ['topics', 'delete', topic]);
  });

  async function create(...argv: string[]): Promise<string> {
    const topic = freshTopicName('cli');
    await outputOf(kafka, ['topics', 'create', topic, ...argv]);
    made.push(topic);
    return topic;
  }

  async function describeTopic(topic: string): Promise<Description> {
    const [description] = JSON.parse(await outputOf(kafka, ['topics', 'describe', topic, '--json'])) as Description[];
    return description!;
  }

  it('create makes what describe shows and list lists', async () => {
    const topic = await create(
      '--partitions',
      '3',
      '--config',
      'cleanup.policy=compact',
      '--config',
      'segment.ms=60000',
    );
    await produceRaw(kafka, topic, [
      { key: 'a', value: '1', partition: 2 },
      { key: 'b', value: '2', partition: 2 },
    ]);
    const { partitions, configs } = await describeTopic(topic);
    expect(configs).to.include({ 'cleanup.policy': 'compact', 'segment.ms': '60000' });
    expect(partitions.map(({ partition, earliest, end }) => [partition, earliest, end])).to.deep.equal([
      [0, 0, 0],
      [1, 0, 0],
      [2, 0, 2],
    ]);
    for (const { leader, isr } of partitions) expect(isr).to.include(leader);
    const listed = JSON.parse(await outputOf(kafka, ['topics', 'list', '--json'])) as object[];
    expect(listed).to.deep.include({ topic, partitions: 3, replicationFactor: 1 });
    const text = await outputOf(kafka, ['topics', 'describe', topic]);
    expect(text)
      .to.match(/^ +cleanup\.policy=compact$/m)
      .and.match(/^ +2 +\d+ +\d+ +\d+ +0 +2$/m);
  });

  it('create leaves to the cluster what it is not told', async () => {
    const { partitions, configs } = await describeTopic(await create());
    expect(partitions).not.to.deep.equal([]);
    expect(configs).to.deep.equal({});
  });

  it('create refuses a topic that exists, unless told to take that for done', async () => {
    const topic = await create('--partitions', '2');
    expect(await failureOf(kafka, ['topics', 'create', topic])).to.include(`topic "${topic}" exists already`);
    await outputOf(kafka, ['topics', 'create', topic, '--partitions', '5', '--if-not-exists']);
    expect((await describeTopic(topic)).partitions).to.have.length(2);
  });

  it('list hides Kafka’s own topics unless asked', async () => {
    const topic = await create();
    await outputOf(kafka, ['consume', topic, '--group', freshTopicName('group'), '--from-beginning', '--exit']);
    const shown = await outputOf(kafka, ['topics', 'list']);
    expect(shown).to.include(topic).and.not.match(/^__/m);
    await outputOf(kafka, ['topics', 'list', '--internal']);
  });

  it('alter changes the configs it names and leaves the others as they are', async () => {
    const topic = await create('--config', 'cleanup.policy=compact', '--config', 'segment.ms=60000');
    await outputOf(kafka, [
      ...['topics', 'alter', topic, '--partitions', '4', '--config', 'retention.ms=123456'],
      ...['--config', 'segment.ms=70000', '--delete-config', 'cleanup.policy'],
    ]);
    const { partitions, configs } = await describeTopic(topic);
    expect(partitions).to.have.length(4);
    expect(configs).to.deep.equal({ 'retention.ms': '123456', 'segment.ms': '70000' });
  });

  it('alter changes nothing when one of the configs is not set or not known', async () => {
    const topic = await create('--config', 'segment.ms=60000');
    const unset = ['topics', 'alter', topic, '--config', 'retention.ms=1', '--delete-config', 'cleanup.policy'];
    expect(await failureOf(kafka, unset)).to.include(
      `topic "${topic}" does not set cleanup.policy: nothing was changed`,
    );
    expect(await failureOf(kafka, ['topics', 'alter', topic, '--config', 'no.such=1'])).to.include('INVALID_CONFIG');
    expect((await describeTopic(topic)).configs).to.deep.equal({ 'segment.ms': '60000' });
  });

  it('alter takes no partitions away', async () => {
    const topic = await create('--partitions', '2');
    expect(await failureOf(kafka, ['topics', 'alter', topic, '--partitions', '1'])).to.include('INVALID_PARTITIONS');
  });

  it('delete deletes', async () => {
    const topic = await create();
    await outputOf(kafka, ['topics', 'delete', topic]);
    expect(await outputOf(kafka, ['topics', 'list'])).not.to.include(topic);
  });

  for (const verb of ['describe', 'delete', 'alter']) {
    it(`${verb} names a topic that is not there`, async () => {
      const argv = ['topics', verb, 'no-such-topic', ...(verb === 'alter' ? ['--partitions', '9'] : [])];
      expect(await failureOf(kafka, argv)).to.include('there is no topic "no-such-topic"');
    });
  }

  it('tell when nothing answers, and where', async () => {
    const brokerList = `127.0.0.1:${await freePort()}`;
    const line = await failureOf({ brokerList }, ['topics', 'list']);
    expect(line).to.match(/^bitacora: Kafka at 127\.0\.0\.1:\d+ did not answer to list topics: .*ECONNREFUSED/);
  });
});
