import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { CountingLoad, TransactionalLoad } from '../../support/broker/acknowledged-load.ts';
import { dumpLogSegments } from '../../support/broker/dump-log-segments.ts';
import { type Tear, tearTail } from '../../support/broker/torn-tail.ts';
import { until } from '../../support/conformance/until.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { type KafkaTools, kafkaTools } from '../../support/kafka/tools.ts';
import { createTopic, type RawRecord, rawRecords } from '../../support/kafka/topics.ts';
import { Random } from '../../support/protocol/mutations.ts';

/** `CHAOS_ROUNDS=50` kills so often, `CHAOS_SEED=n` does it with what was random another time. */
const rounds = Number(process.env.CHAOS_ROUNDS ?? 8);
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 2 ** 30);

const keys = 40;
const partitions = 2;
const small = { 'segment.bytes': '20000', 'index.interval.bytes': '500' };
const compacted = { ...small, 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01' };
const tears: readonly Tear[] = ['noise', 'zeroes', 'half a batch', 'a batch with another CRC', 'the last batch cut'];

describe('the embedded broker, killed again and again under load', function () {
  this.timeout(60_000 + rounds * 15_000);
  const random = new Random(seed);
  const progress: number[] = [];
  const torn: { folder: string; tear: Tear; isTold: boolean }[] = [];
  let broker: EmbeddedBroker;
  let counting: CountingLoad[];
  let transacting: TransactionalLoad;

  const numberOf = ({ headers }: RawRecord): number => Number(headers.number?.toString());

  before(async () => {
    broker = await EmbeddedBroker.launch({ flags: ['--flush', 'acks-all'] });
    await createTopic(broker, 'counted', { partitions: 3, config: small });
    await createTopic(broker, 'compacted', { partitions, config: compacted });
    for (const topic of ['from', 'to']) await createTopic(broker, topic, { partitions, config: small });
    const load = (topic: string, partition: number, keys: number) =>
      new CountingLoad({ broker, topic, partition, keys, random });
    counting = [
      ...[0, 1, 2].map((partition) => load('counted', partition, 0)),
      ...[0, 1].map((partition) => load('compacted', partition, keys)),
    ];
    transacting = new TransactionalLoad({
      ...{ broker, topics: ['from', 'to'], partitions, random },
      transactionalId: 'mover',
      groupId: 'moved',
    });
    for (const each of [...counting, transacting]) each.start();
    for (let round = 0; round < rounds; round += 1) await killOnce();
    await Promise.all([...counting, transacting].map((each) => each.stop()));
  });
  after(() => broker?.stop());

  /** Waits for some work to be acknowledged, kills in the middle of more, and breaks what a loss of power might break. */
  async function killOnce(): Promise<void> {
    const before = counting.map(({ acknowledged }) => acknowledged);
    const committedBefore = transacting.outcomes.length;
    await until(
      () =>
        counting.every(({ acknowledged }, index) => acknowledged > before[index]! + 20) &&
        transacting.outcomes.length > committedBefore + 1,
    );
    progress.push(counting.reduce((sum, { acknowledged }) => sum + acknowledged, 0));
    await sleep(random.below(300));
    await broker.kill();
    // What the broker has sent still arrives.
    await sleep(100);
    const printedBefore = broker.output.length;
    const tornNow: { folder: string; tear: Tear }[] = [];
    for (const { topic, partition, endOffset } of counting) {
      const [folder, tear] = [join(broker.dataDir, 'log', `${topic}-${partition}`), random.pick(tears)];
      if (random.below(2) === 0 && (await tearTail(folder, tear, endOffset, random))) tornNow.push({ folder, tear });
    }
    await broker.start();
    const told = broker.output.slice(printedBefore);
    for (const each of tornNow) torn.push({ ...each, isTold: told.includes(each.folder) });
  }

  it('has taken on work after every start', () => {
    expect(progress).to.have.length(rounds);
    expect(transacting.outcomes.filter((outcome) => outcome === 'committed')).to.have.length.above(rounds);
  });

  it('has cut what was torn, and said so', () => {
    expect(
      torn.filter(({ isTold }) => !isTold),
      `CHAOS_SEED=${seed}`,
    ).to.deep.equal([]);
    expect(torn).to.have.length.above(0);
  });

  it('has everything that was acknowledged, once and in order', async () => {
    const records = await rawRecords(broker, 'counted');
    for (const { topic, partition, acknowledged } of counting.filter((each) => each.topic === 'counted')) {
      const numbers = records.filter((record) => record.partition === partition).map(numberOf);
      const wrong = numbers.findIndex((number, index) => number !== index);
      expect(wrong, `CHAOS_SEED=${seed}: ${topic}-${partition} has ${numbers.slice(wrong - 2, wrong + 3)}`).to.equal(
        -1,
      );
      expect(numbers.length, `CHAOS_SEED=${seed}: ${topic}-${partition}`).to.equal(acknowledged);
    }
  });

  it('has the last record of every key where it was compacted', async () => {
    const records = await rawRecords(broker, 'compacted');
    for (const { partition, acknowledged } of counting.filter((each) => each.topic === 'compacted')) {
      const numbers = records.filter((record) => record.partition === partition).map(numberOf);
      expect(numbers, `CHAOS_SEED=${seed}`).to.deep.equal([...new Set(numbers)].sort((one, other) => one - other));
      const latest = Array.from({ length: keys }, (_, index) => acknowledged - keys + index);
      expect(numbers.slice(-keys), `CHAOS_SEED=${seed}`).to.deep.equal(latest);
      expect(numbers.length).to.be.below(acknowledged);
    }
  });

  it('has every committed transaction whole, and nothing of the others', async () => {
    const found = new Map<string, number>();
    for (const topic of ['from', 'to']) {
      for (const { key, value } of await rawRecords(broker, topic)) {
        const id = `${key}: ${topic} ${value}`;
        found.set(id, (found.get(id) ?? 0) + 1);
      }
    }
    const wrong = transacting.outcomes.flatMap((outcome, number) => {
      const counts = ['from', 'to'].flatMap((topic) =>
        Array.from(
          { length: TransactionalLoad.recordsPerTopic },
          (_, index) => found.get(`transaction ${number}: ${topic} ${index}`) ?? 0,
        ),
      );
      const isWhole = counts.every((count) => count === 1);
      const isAbsent = counts.every((count) => count === 0);
      const isRight = { committed: isWhole, aborted: isAbsent, unknown: isWhole || isAbsent }[outcome];
      return isRight ? [] : [{ number, outcome, counts }];
    });
    expect(wrong, `CHAOS_SEED=${seed}`).to.deep.equal([]);
  });

  it('has the offset of the last committed transaction', async () => {
    const { outcomes } = transacting;
    const last = outcomes.lastIndexOf('committed');
    const possible = [last, ...outcomes.keys()].filter(
      (number) => number === last || (number > last && outcomes[number] === 'unknown'),
    );
    const admin = kafkajsClient(broker).admin();
    await admin.connect();
    try {
      const [committed] = await admin.fetchOffsets({ groupId: 'moved', topics: ['from'] });
      expect(Number(committed?.partitions[0]?.offset), `CHAOS_SEED=${seed}`).to.be.oneOf(possible);
    } finally {
      await admin.disconnect();
    }
  });

  describe('and then ended in order', () => {
    let tools: KafkaTools;

    before(async function () {
      tools = await kafkaTools(this);
      await broker.shutDown();
    });

    it("leaves files that Kafka's DumpLogSegments reads without a complaint", async () => {
      const { files, complaints } = await dumpLogSegments(tools, join(broker.dataDir, 'log'));
      // Compaction leaves gaps between offsets, which the tool tells of as it does with Kafka's own files.
      expect(
        complaints.filter((line) => !/consecutive/.test(line)),
        `CHAOS_SEED=${seed}`,
      ).to.deep.equal([]);
      expect(files).to.be.above(20);
    });
  });
});
