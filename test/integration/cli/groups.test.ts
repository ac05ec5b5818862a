import { expect } from 'chai';
import { CliProcess, failureOf, outputOf } from '../../support/cli-process.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { createTopic, freshTopicName, keepsOldRecords, produceRaw } from '../../support/kafka/topics.ts';

interface Details {
  readonly state: string;
  readonly members: ReadonlyArray<{ clientId: string; assignment: Record<string, number[]> }>;
  readonly offsets: ReadonlyArray<{ topic: string; partition: number; offset: number; end: number; lag: number }>;
}

const day = Date.UTC(2024, 0, 1);

describe(`bitacora groups on ${kafkaName}`, function () {
  this.timeout(120_000);
  let kafka: Kafka;
  let topic: string;
  let group: string;

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    topic = freshTopicName('cli-groups');
    group = freshTopicName('cli-group');
    await createTopic(kafka, topic, { partitions: 2, config: keepsOldRecords });
    const records = [0, 1, 2, 3].map((i) => ({ value: `v${i}`, partition: 0, timestamp: String(day + i * 1_000) }));
    await produceRaw(kafka, topic, [...records, { value: 'other', partition: 1, timestamp: String(day) }]);
  });

  const readAll = (): Promise<string> =>
    outputOf(kafka, ['consume', topic, '--group', group, '--from-beginning', '--exit']);

  async function details(): Promise<Details> {
    const [described] = JSON.parse(await outputOf(kafka, ['groups', 'describe', group, '--json'])) as Details[];
    return described!;
  }

  async function offsets(): Promise<number[]> {
    return (await details()).offsets.map(({ offset }) => offset);
  }

  it('list and describe show a group with its offsets and lag', async () => {
    await readAll();
    await produceRaw(kafka, topic, [{ value: 'more', partition: 1 }]);
    const listed = JSON.parse(await outputOf(kafka, ['groups', 'list', '--json'])) as object[];
    expect(listed).to.deep.include({ group, type: 'consumer', state: 'Empty', members: 0 });
    expect(await details()).to.deep.include({
      state: 'Empty',
      members: [],
      offsets: [
        { topic, partition: 0, offset: 4, end: 4, lag: 0 },
        { topic, partition: 1, offset: 1, end: 2, lag: 1 },
      ],
    });
    expect(await outputOf(kafka, ['groups', 'describe', group]))
      .to.match(/ 1 +1 +2 +1$/m)
      .and.include('no members');
  });

  it('describe shows who reads what, and a group with members is neither reset nor deleted', async () => {
    const member = new CliProcess(kafka, ['consume', topic, '--group', group, '--from-beginning']);
    try {
      await member.shows('other');
      const { state, members } = await details();
      expect(state).to.equal('Stable');
      expect(members).to.have.length(1);
      expect(members[0]).to.deep.include({ clientId: 'bitacora-cli', assignment: { [topic]: [0, 1] } });
      const reset = ['groups', 'reset-offsets', group, '--topic', topic, '--to', 'earliest'];
      for (const argv of [reset, [...reset, '--dry-run']]) {
        expect(await failureOf(kafka, argv)).to.match(/has 1 member\(s\) and is Stable: stop its consumers/);
      }
      expect(await failureOf(kafka, ['groups', 'delete', group])).to.include('NON_EMPTY_GROUP');
    } finally {
      member.child.kill('SIGINT');
    }
    expect((await member.result()).code).to.equal(0);
    expect((await details()).state).to.equal('Empty');
  });

  const targets: ReadonlyArray<[to: string, after: readonly number[]]> = [
    ['earliest', [0, 0]],
    ['latest', [4, 1]],
    ['2', [2, 1]],
    [new Date(day + 1_500).toISOString(), [2, 1]],
    [`@${day + 3_000}`, [3, 1]],
    [`@${day + 3_001}`, [4, 1]],
  ];
  for (const [to, after] of targets) {
    it(`reset-offsets --to ${to} moves a group there, and shows it first when asked`, async () => {
      await readAll();
      await outputOf(kafka, ['groups', 'reset-offsets', group, '--topic', topic, '--to', '1']);
      const argv = ['groups', 'reset-offsets', group, '--topic', topic, '--to', to, '--json'];
      const plan = await outputOf(kafka, [...argv, '--dry-run']);
      expect(JSON.parse(plan)).to.deep.equal([
        { topic, partition: 0, before: 1, after: after[0] },
        { topic, partition: 1, before: 1, after: after[1] },
      ]);
      expect(await offsets()).to.deep.equal([1, 1]);
      expect(await outputOf(kafka, argv)).to.equal(plan);
      expect(await offsets()).to.deep.equal(after);
    });
  }

  it('reset-offsets moves only the partitions it is told', async () => {
    await readAll();
    await outputOf(kafka, ['groups', 'reset-offsets', group, '--topic', `${topic}:0`, '--to', 'earliest']);
    expect(await offsets()).to.deep.equal([0, 1]);
    expect(await readAll()).to.equal('v0\nv1\nv2\nv3\n');
  });

  it('reset-offsets gives offsets to a group that has none yet', async () => {
    await outputOf(kafka, ['groups', 'reset-offsets', group, '--topic', topic, '--to', '3']);
    expect(await offsets()).to.deep.equal([3, 1]);
  });

  it('reset-offsets knows which topics and partitions there are', async () => {
    const reset = (where: string) => failureOf(kafka, ['groups', 'reset-offsets', group, '-t', where, '--to', '0']);
    expect(await reset('no-such-topic')).to.include('there is no topic "no-such-topic"');
    expect(await reset(`${topic}:2`)).to.include(`topic "${topic}" has no partition 2`);
  });

  it('delete deletes a group that has no members', async () => {
    await readAll();
    await outputOf(kafka, ['groups', 'delete', group]);
    expect(await outputOf(kafka, ['groups', 'list'])).not.to.include(group);
    for (const verb of ['describe', 'delete']) {
      expect(await failureOf(kafka, ['groups', verb, group])).to.include(`there is no group "${group}"`);
    }
  });
});
