import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import { expect } from 'chai';
import { type Clock, systemClock } from '../../../../src/kernel/clock.ts';
import { Metrics } from '../../../../src/kernel/metrics.ts';
import type { ReadFrom } from '../../../../src/log/log.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { Brokers } from '../../../../src/log/wire/brokers.ts';
import { DirectReader, DirectReaderStats } from '../../../../src/log/wire/direct-reader.ts';
import type { IsolationLevel } from '../../../../src/log/wire/fetch-loop.ts';
import { PartitionCursor } from '../../../../src/log/wire/partition-cursor.ts';
import { registerReaderMetrics } from '../../../../src/log/wire/reader-metrics.ts';
import { kafkaErrors } from '../../../../src/protocol/errors.ts';
import { type NewBatch, writeBatch } from '../../../../src/protocol/record-batch.ts';
import { FastClock } from '../../../support/fast-clock.ts';
import { CollectingReader } from '../../../support/read-log.ts';
import { keepingLogger } from '../../../support/replica-rig.ts';
import { ScriptedCluster } from '../../../support/wire/scripted-cluster.ts';

const record = (key: string) => ({ key: Buffer.from(key), value: Buffer.from(key), timestampMs: 1 });
const batchOf = (...keys: string[]): NewBatch => ({ records: keys.map(record) });
/** The marker that ends a transaction: version 0, and 0 for an abort or 1 for a commit. */
const marker = (producerId: number, type: 0 | 1): NewBatch => ({
  producerId,
  producerEpoch: 0,
  isTransactional: true,
  isControl: true,
  records: [{ key: Buffer.from([0, 0, 0, type]), value: Buffer.alloc(6), timestampMs: 1 }],
});
const transactional = (producerId: number, ...keys: string[]): NewBatch => ({
  ...batchOf(...keys),
  producerId,
  producerEpoch: 0,
  baseSequence: 0,
  isTransactional: true,
});

interface ReadOptions {
  readonly isolation?: IsolationLevel;
  readonly topicId?: string;
  readonly beforeBatch?: () => Promise<void>;
  readonly clock?: Clock;
}

/** Pauses between tries take seconds, of which there is nothing to be seen here. */
const fastClock = new FastClock(20);

describe('the direct reader', () => {
  let cluster: ScriptedCluster;
  let reader: CollectingReader | undefined;
  let stats: DirectReaderStats;
  let lines: string[];
  const groupId = 'scripted-group';

  beforeEach(() => {
    stats = new DirectReaderStats();
    lines = [];
  });

  afterEach(async () => {
    await reader?.stop();
    reader = undefined;
    await cluster.stop();
  });

  function read(
    from: readonly (number | ReadFrom)[] = [0],
    { isolation = 'read_committed', topicId, beforeBatch, clock = fastClock }: ReadOptions = {},
  ): CollectingReader {
    const logger = keepingLogger(lines);
    const connection = {
      brokers: cluster.brokers.map(({ hostPort }) => hostPort),
      clientId: 'reader',
      tls: undefined,
      sasl: undefined,
    };
    reader = new CollectingReader(
      {
        read: (places, handler) => {
          const brokers = new Brokers({ connection, clock, logger });
          const { topic } = cluster;
          return new DirectReader(
            { brokers, topic, topicId, groupId, from: places, handler, isolation, clock, logger },
            stats,
          );
        },
      },
      from,
      beforeBatch,
    );
    return reader;
  }

  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await sleep(5);
  };
  const fetchOffsets = (): number[] =>
    cluster.brokers
      .flatMap((broker) => broker.asked(apis.fetch))
      .map(({ topics }) => topics[0]!.partitions[0]!.fetchOffset);
  const keys = (): string[] => reader!.records.map(({ key }) => `${key}`);
  const linesOf = (level: 'error' | 'warn' | 'info'): string[] =>
    lines.filter((line) => line.startsWith(`${level}: `)).map((line) => line.slice(level.length + 2));

  it('reads what several brokers lead, in order within each partition', async () => {
    cluster = await ScriptedCluster.start({ brokers: 3, partitions: 5 });
    for (const [index, partition] of cluster.partitions.entries()) {
      partition.leader = index % 3;
      partition.append(batchOf(`${index}a`, `${index}b`), batchOf(`${index}c`));
    }
    await read([0, 0, 0, 0, 0]).reach([3, 3, 3, 3, 3]);
    for (const index of [0, 1, 2, 3, 4]) {
      const read = reader!.records.filter(({ partition }) => partition === index);
      expect(read.map(({ key }) => `${key}`)).to.deep.equal([`${index}a`, `${index}b`, `${index}c`]);
    }
    cluster.partitions[4]!.put('later');
    await reader!.reach([3, 3, 3, 3, 4]);
    expect(keys().at(-1)).to.equal('later');
    expect(cluster.fetchesAtOnceMax).to.equal(1);
  });

  it('reads from many brokers, and Node.js sees no leak in that', async () => {
    const many = Array.from({ length: 14 }, (_, index) => index);
    cluster = await ScriptedCluster.start({ brokers: many.length, partitions: many.length });
    for (const index of many) {
      cluster.partitions[index]!.leader = index;
      cluster.partitions[index]!.put(`of ${index}`);
    }
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on('warning', note);
    try {
      await read(many.map(() => 0)).reach(many.map(() => 1));
      await sleep(20);
    } finally {
      process.off('warning', note);
    }
    expect(warnings).to.deep.equal([]);
  });

  it('calls the handler for one batch at a time, and asks for the next meanwhile', async () => {
    cluster = await ScriptedCluster.start({ brokers: 2, partitions: 2 });
    cluster.partitions[1]!.leader = 1;
    for (const partition of cluster.partitions) partition.append(batchOf('a'), batchOf('b'));
    let inside = 0;
    let most = 0;
    const gate = new Gate();
    const beforeBatch = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await gate.opened;
      await sleep(5);
      inside -= 1;
    };
    read([0, 0], { beforeBatch });
    // Both brokers have been asked for what is behind that, and nobody for more.
    await until(() => fetchOffsets().filter((offset) => offset === 2).length === 2);
    expect(keys()).to.deep.equal([]);
    gate.open();
    await reader!.reach([2, 2]);
    expect(most).to.equal(1);
  });

  it('leaves a partition to one broker until all is handed on that came from there', async () => {
    cluster = await ScriptedCluster.start({ brokers: 2, partitions: 2 });
    const [log, other] = cluster.partitions;
    other!.leader = 1;
    log!.append(batchOf('a'), batchOf('b'));
    const gate = new Gate();
    read([0, 0], { beforeBatch: () => gate.opened });
    await until(() => fetchOffsets().includes(2));
    log!.leader = 1;
    log!.leaderEpoch = 1;
    // Whoever is refused here asks who leads, and so hears of the new leader of the other partition.
    const ofBroker1 = () => cluster.brokers[1]!.asked(apis.fetch).map(({ topics }) => topics[0]!.partitions);
    other!.fetchErrors.push(kafkaErrors.NOT_LEADER_OR_FOLLOWER.code);
    const asked = ofBroker1().length;
    await until(() => other!.fetchErrors.length === 0 && ofBroker1().length >= asked + 2);
    expect(ofBroker1().every((partitions) => partitions.every(({ partition }) => partition === 1))).to.equal(true);
    gate.open();
    log!.put('c');
    await reader!.reach([3, 0]);
    expect(keys()).to.deep.equal(['a', 'b', 'c']);
    const [first] = ofBroker1().flatMap((partitions) => partitions.filter(({ partition }) => partition === 0));
    expect(first!.fetchOffset).to.equal(2);
  });

  it('passes over markers, aborted records and emptied batches, and says up to where', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.append(transactional(7, 'aborted 1'), transactional(8, 'kept'), transactional(7, 'aborted 2'));
    log!.append(marker(7, 0), transactional(7, 'kept too'), marker(7, 1), marker(8, 1), batchOf('plain'));
    log!.append({ records: [], lastOffsetDelta: 9 });
    log!.abortedTransactions = [{ producerId: 7, firstOffset: 0 }];
    await read().reach([18]);
    expect(keys()).to.deep.equal(['kept', 'kept too', 'plain']);
    expect(reader!.gaps).to.deep.equal(['0:1', '0:3', '0:4', '0:6', '0:7', '0:18']);
  });

  it('delivers aborted records where it is told to read uncommitted ones, and still no markers', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.append(transactional(7, 'aborted'), marker(7, 0));
    log!.abortedTransactions = [{ producerId: 7, firstOffset: 0 }];
    await read([0], { isolation: 'read_uncommitted' }).reach([2]);
    expect(keys()).to.deep.equal(['aborted']);
    expect(cluster.brokers[0]!.asked(apis.fetch)[0]!.isolationLevel).to.equal(0);
  });

  it('delivers nothing before its position, although the answer begins before it', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.append(batchOf('a', 'b', 'c', 'd'), { ...batchOf('e'), lastOffsetDelta: 3 });
    await read([2]).reach([8]);
    expect(reader!.records.map(({ offset, key }) => `${offset}${key}`)).to.deep.equal(['2c', '3d', '4e']);
  });

  it('follows a leader that moves, and says nothing of it', async () => {
    cluster = await ScriptedCluster.start({ brokers: 2 });
    const [log] = cluster.partitions;
    log!.put('a');
    await read().reach([1]);
    log!.leader = 1;
    log!.leaderEpoch = 1;
    log!.put('b');
    await reader!.reach([2]);
    expect(keys()).to.deep.equal(['a', 'b']);
    expect(reader!.lost).to.deep.equal([]);
    expect(linesOf('warn')).to.deep.equal([]);
    // It has asked the new leader whether what was read is still there.
    const [check] = cluster.brokers[1]!.asked(apis.offsetForLeaderEpoch);
    expect(check!.topics[0]!.partitions[0]).to.deep.include({ leaderEpoch: 0, currentLeaderEpoch: 1 });
  });

  it('goes on after a fenced and an unknown leader epoch', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.put('a');
    await read().reach([1]);
    const { FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH } = kafkaErrors;
    log!.fetchErrors.push(FENCED_LEADER_EPOCH.code, UNKNOWN_LEADER_EPOCH.code);
    log!.put('b');
    await reader!.reach([2]);
    expect(keys()).to.deep.equal(['a', 'b']);
    expect(log!.fetchErrors).to.deep.equal([]);
  });

  it('takes no word of an earlier leader for news, until there is no other', async () => {
    cluster = await ScriptedCluster.start({ brokers: 2 });
    const [log] = cluster.partitions;
    log!.leaderEpoch = 5;
    log!.put('a');
    await read().reach([1]);
    // As after a restore of the cluster's metadata: the same topic, and epochs that begin again.
    log!.leader = 1;
    log!.leaderEpoch = 3;
    log!.endOfEpoch = (epoch) => ({ leaderEpoch: epoch, endOffset: 1 });
    log!.put('b');
    await reader!.reach([2]);
    const [check] = cluster.brokers[1]!.asked(apis.offsetForLeaderEpoch);
    expect(check!.topics[0]!.partitions[0]).to.deep.include({ leaderEpoch: 5, currentLeaderEpoch: 3 });
  });

  it('finds out that the log was truncated below what it has read, and delivers nothing more', async () => {
    cluster = await ScriptedCluster.start({ brokers: 2 });
    const [log] = cluster.partitions;
    log!.append(batchOf('a', 'b', 'c'));
    await read().reach([3]);
    // Another leader had only two records of epoch 0, and has three others since.
    log!.batches.splice(0);
    log!.append(batchOf('a', 'b'));
    log!.leader = 1;
    log!.leaderEpoch = 1;
    log!.append(batchOf('other c', 'other d'));
    log!.endOfEpoch = (epoch) => (epoch === 0 ? { leaderEpoch: 0, endOffset: 2 } : { leaderEpoch: 1, endOffset: 4 });
    await until(() => reader!.lost.length > 0);
    expect(reader!.lost).to.deep.equal(['partition 0 was truncated to offset 2 and was read up to 3']);
    await sleep(50);
    expect(keys()).to.deep.equal(['a', 'b', 'c']);
  });

  it('looks at the start already whether what was read before is still there', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.leaderEpoch = 9;
    log!.append(batchOf('a', 'b', 'c', 'd'));
    log!.endOfEpoch = (epoch) => ({ leaderEpoch: epoch, endOffset: 1 });
    read([{ offset: 3, leaderEpoch: 4 }]);
    await until(() => reader!.lost.length > 0);
    expect(reader!.lost).to.deep.equal(['partition 0 was truncated to offset 1 and was read up to 3']);
    expect(cluster.brokers[0]!.asked(apis.fetch)).to.deep.equal([]);
    expect(cluster.brokers[0]!.asked(apis.offsetForLeaderEpoch)[0]!.topics[0]!.partitions[0]!.leaderEpoch).to.equal(4);
  });

  it('looks whether what a snapshot knows beyond the position is still there, until it has read that again', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.append(batchOf('a', 'b'));
    log!.append(batchOf('c', 'd'));
    log!.endOfEpoch = (epoch) => ({ leaderEpoch: epoch, endOffset: epoch === 4 ? 3 : 4 });
    read([{ offset: 1, leaderEpoch: 4, knownTo: 4 }]);
    await until(() => reader!.lost.length > 0);
    expect(reader!.lost).to.deep.equal(['partition 0 was truncated to offset 3 and was read up to 4']);
    expect(keys()).to.deep.equal([]);
    await reader!.stop();

    log!.endOfEpoch = (epoch) => ({ leaderEpoch: epoch, endOffset: 4 });
    await read([{ offset: 1, leaderEpoch: 4, knownTo: 4 }]).reach([4]);
    expect(keys()).to.deep.equal(['b', 'c', 'd']);
    const cursor = new PartitionCursor(0, { offset: 1, leaderEpoch: 4, knownTo: 4 });
    cursor.moved(2, 3);
    expect(cursor).to.include({ position: 2, knownTo: 4, readEpoch: 4 });
    cursor.moved(5, 5);
    expect(cursor).to.include({ position: 5, knownTo: 5, readEpoch: 5 });
  });

  it('takes an epoch that the leader has never heard of for a log that is another one', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.append(batchOf('a', 'b', 'c', 'd'));
    log!.endOfEpoch = () => ({ leaderEpoch: -1, endOffset: -1 });
    read([{ offset: 3, leaderEpoch: 4 }]);
    await until(() => reader!.lost.length > 0);
    expect(reader!.lost[0]).to.equal('partition 0 knows nothing of leader epoch 4, in which it was read up to 3');
  });

  it('goes on from a position whose epoch the leader confirms', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.append(batchOf('a', 'b', 'c'));
    await read([{ offset: 2, leaderEpoch: 0 }]).reach([3]);
    expect(keys()).to.deep.equal(['c']);
  });

  it('finds out that another topic has the name', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    await read().reach([1]);
    const first = cluster.topicId;
    cluster.topicId = '99999999-2222-4333-8444-555555555555';
    await until(() => reader!.lost.length > 0);
    expect(reader!.lost).to.deep.equal([`topic "scripted" was made anew: its id is ${cluster.topicId}, not ${first}`]);
  });

  it('finds out at the start that the topic is not the one that was described', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    read([0], { topicId: '99999999-2222-4333-8444-555555555555' });
    await until(() => reader!.lost.length > 0);
    expect(keys()).to.deep.equal([]);
  });

  it('waits for a topic that is gone, with a line when it goes and one when it is back', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.put('a');
    await read().reach([1]);
    cluster.exists = false;
    await until(() => linesOf('warn').length > 0);
    cluster.exists = true;
    log!.put('b');
    await reader!.reach([2]);
    expect(reader!.lost).to.deep.equal([]);
    expect(linesOf('warn')[0]).to.match(/topic "scripted" cannot be read \(UNKNOWN_TOPIC_OR_PARTITION\); trying again/);
    expect(linesOf('info')).to.include('topic "scripted" can be read again');
  });

  it('keeps its position when the log has no such offset, and says so each time it asks', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.startOffset = 10;
    log!.put('a');
    read([4]);
    await until(() => reader!.disturbances.length >= 2);
    expect(new Set(reader!.disturbances)).to.deep.equal(new Set(['partition 0 has no offset 4']));
    const asked = cluster.brokers[0]!.asked(apis.fetch).map(({ topics }) => topics[0]!.partitions[0]!.fetchOffset);
    expect(new Set(asked)).to.deep.equal(new Set([4]));
    expect(stats.disturbances).to.be.at.least(2);
    expect([keys(), reader!.gaps, reader!.lost]).to.deep.equal([[], [], []]);
  });

  it('reads on when its broker comes back, with one line for the loss and one for the return', async () => {
    cluster = await ScriptedCluster.start();
    const [log] = cluster.partitions;
    log!.put('a');
    await read().reach([1]);
    await cluster.brokers[0]!.stop();
    await until(() => stats.restarts >= 3);
    log!.put('b');
    await cluster.restart(0);
    await reader!.reach([2]);
    expect(keys()).to.deep.equal(['a', 'b']);
    const ofBroker = (level: 'warn' | 'info') =>
      linesOf(level).filter((line) => line.startsWith('what broker 0 leads'));
    expect([ofBroker('warn').length, ofBroker('info').length]).to.deep.equal([1, 1]);
  });

  it('reads from the others while one broker is away', async () => {
    cluster = await ScriptedCluster.start({ brokers: 2, partitions: 2 });
    cluster.partitions[1]!.leader = 1;
    for (const partition of cluster.partitions) partition.put('a');
    await read([0, 0]).reach([1, 1]);
    await cluster.brokers[1]!.stop();
    cluster.partitions[0]!.put('b');
    await reader!.reach([2, 1]);
    // The partition gets another leader, and nobody need wait for the lost one.
    cluster.partitions[1]!.leader = 0;
    cluster.partitions[1]!.leaderEpoch = 1;
    cluster.partitions[1]!.put('c');
    await reader!.reach([2, 2]);
    expect(keys()).to.have.members(['a', 'a', 'b', 'c']);
  });

  describe('before a batch that cannot be read', () => {
    const sound = batchOf('sound');
    const damaged = (batch: Buffer, write: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(batch);
      write(bytes);
      return bytes;
    };
    const second = writeBatch({ ...batchOf('second'), baseOffset: 1, leaderEpoch: 0 });
    const gzipped = (content: Buffer): Buffer => {
      const plain = writeBatch({ ...batchOf('second'), baseOffset: 1, leaderEpoch: 0 });
      const bytes = Buffer.concat([plain.subarray(0, 61), content]);
      bytes.writeInt32BE(bytes.length - 12, 8);
      bytes.writeInt16BE(1, 21);
      return withCrc(bytes);
    };
    const cases: { name: string; reason: keyof DirectReaderStats['unreadable']; bytes: () => Buffer; says: string }[] =
      [
        {
          name: 'whose CRC is wrong',
          reason: 'crc',
          bytes: () => damaged(second, (bytes) => (bytes[70]! ^= 1)),
          says: 'CRC',
        },
        {
          name: 'whose records are not what the header says',
          reason: 'format',
          bytes: () => withCrc(damaged(second, (bytes) => (bytes[61]! = 0x7e))),
          says: 'a record announces',
        },
        {
          name: 'whose header cannot be',
          reason: 'format',
          bytes: () => damaged(second, (bytes) => bytes.writeInt32BE(-1, 57)),
          says: 'a batch has -1 records',
        },
        {
          name: 'of the format before Kafka 0.11',
          reason: 'old_format',
          bytes: () => damaged(second, (bytes) => (bytes[16]! = 1)),
          says: 'LOG_READER=kafkajs',
        },
        {
          name: 'that does not unpack',
          reason: 'codec',
          bytes: () => gzipped(Buffer.from('no gzip')),
          says: 'not a complete stream',
        },
        {
          name: 'that unpacks to more than is allowed',
          reason: 'too_large',
          bytes: () => gzipped(gzipSync(Buffer.alloc(129 * 1024 * 1024))),
          says: 'holds more than 134217728 bytes',
        },
      ];
    for (const { name, reason, bytes, says } of cases) {
      it(`${name}, it waits and says so once, while other partitions go on; it reads on when the batch is sound`, async () => {
        cluster = await ScriptedCluster.start({ partitions: 2 });
        const [log, other] = cluster.partitions;
        log!.append(sound);
        log!.plant(bytes());
        read([0, 0]);
        await until(() => stats.unreadable[reason] >= 3);
        other!.put('elsewhere');
        await reader!.reach([1, 1]);
        expect(keys()).to.have.members(['sound', 'elsewhere']);
        expect(reader!.gaps).to.deep.equal([]);
        const errors = linesOf('error');
        expect(errors).to.have.length(1);
        expect(errors[0]).to.contain('the batch at offset 1 of partition 0 of topic "scripted" cannot be read');
        expect(errors[0]).to.contain(says);
        log!.batches.pop();
        log!.plant(second);
        log!.put('third');
        await reader!.reach([3, 1]);
        expect(keys().filter((key) => key !== 'elsewhere')).to.deep.equal(['sound', 'second', 'third']);
      });
    }

    it('of which the broker sends only a part, for ever, it does not wait in silence', async () => {
      cluster = await ScriptedCluster.start();
      cluster.partitions[0]!.append(sound);
      await read().reach([1]);
      const cut = second.subarray(0, 40);
      cluster.brokers[0]!.on(apis.fetch, ({ body }) => ({
        responses: body.topics.map((each) => ({
          ...each,
          partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 2, records: cut }],
        })),
      }));
      await until(() => stats.unreadable.format >= 2);
      expect(linesOf('error')[0]).to.contain('the broker sends a part of it only');
    });

    it('that the broker itself cannot read, it asks again', async () => {
      cluster = await ScriptedCluster.start();
      const [log] = cluster.partitions;
      log!.fetchErrors.push(kafkaErrors.CORRUPT_MESSAGE.code);
      log!.put('a');
      await read().reach([1]);
      expect(stats.unreadable.broker).to.equal(1);
    });
  });

  it('is not kept busy by a broker that answers at once and with nothing', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    await read([0], { clock: systemClock }).reach([1]);
    let answers = 0;
    cluster.brokers[0]!.on(apis.fetch, ({ body }) => {
      answers += 1;
      return {
        responses: body.topics.map((each) => ({
          ...each,
          partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 1, records: Buffer.alloc(0) }],
        })),
      };
    });
    const startedMs = systemClock.monotonicMs();
    await until(() => answers >= 20);
    // Each but the first waited for 50 ms.
    expect(systemClock.monotonicMs() - startedMs).to.be.at.least(18 * 50);
  });

  it('asks no sooner than a broker that throttles it allows', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    await read().reach([1]);
    const throttleTimeMs = 1_000;
    let answers = 0;
    cluster.brokers[0]!.on(apis.fetch, () => {
      answers += 1;
      return { throttleTimeMs, responses: [] };
    });
    await until(() => answers >= 1);
    const startedMs = fastClock.monotonicMs();
    await until(() => answers >= 12);
    expect(fastClock.monotonicMs() - startedMs).to.be.at.least(10 * throttleTimeMs);
  });

  it('does not let a large batch of one partition starve another', async () => {
    cluster = await ScriptedCluster.start({ partitions: 3 });
    for (const partition of cluster.partitions) partition.put('a');
    await read([0, 0, 0]).reach([1, 1, 1]);
    const orders = cluster.brokers[0]!.asked(apis.fetch).map(({ topics }) =>
      topics[0]!.partitions.map(({ partition }) => partition),
    );
    cluster.partitions[0]!.put('b');
    await reader!.reach([2, 1, 1]);
    await until(() => cluster.brokers[0]!.asked(apis.fetch).length > orders.length + 1);
    const last = cluster.brokers[0]!.asked(apis.fetch)
      .at(-1)!
      .topics[0]!.partitions.map(({ partition }) => partition);
    expect(last).to.deep.equal([1, 2, 0]);
  });

  it('commits its positions without joining the group, and last of all when it stops', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.append(batchOf('a', 'b'));
    await read().reach([2]);
    await until(() => cluster.commits.length > 0);
    expect(cluster.commits[0]).to.deep.equal({ groupId, memberId: '', generation: -1, offsets: [2] });
    cluster.partitions[0]!.put('c');
    await reader!.reach([3]);
    await reader!.stop();
    expect(cluster.commits.at(-1)!.offsets).to.deep.equal([3]);
  });

  it('reads on when its offsets are refused, with one line', async () => {
    cluster = await ScriptedCluster.start();
    cluster.commitError = kafkaErrors.UNKNOWN_MEMBER_ID.code;
    cluster.partitions[0]!.put('a');
    await read().reach([1]);
    await until(() => cluster.commits.length >= 3);
    cluster.partitions[0]!.put('b');
    await reader!.reach([2]);
    expect(linesOf('warn')).to.have.length(1);
    expect(linesOf('warn')[0]).to.contain('UNKNOWN_MEMBER_ID: somebody else is a member of the group');
  });

  it('stops at once while a fetch hangs, and calls nobody afterwards', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    await read().reach([1]);
    let asked = false;
    cluster.brokers[0]!.on(apis.fetch, () => {
      asked = true;
      return undefined;
    });
    await until(() => asked);
    await reader!.stop();
    await until(() => cluster.brokers[0]!.open === 0);
    cluster.partitions[0]!.put('b');
    await sleep(50);
    expect(keys()).to.deep.equal(['a']);
  });

  it('reads on after a fault of its own, also when the broker has just asked it to wait', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    const [broker] = cluster.brokers;
    const bytes = cluster.partitions[0]!.batches[0]!.bytes;
    let fetches = 0;
    broker!.on(apis.fetch, ({ body }) => {
      fetches += 1;
      const [topic] = body.topics;
      const partitions = [{ partitionIndex: 0, highWatermark: 1, records: bytes }];
      // Half of the time after which a loop that has failed is replaced.
      return { throttleTimeMs: fetches === 1 ? 500 : 0, responses: [{ ...topic, partitions }] };
    });
    let calls = 0;
    const beforeBatch = async (): Promise<void> => {
      calls += 1;
      if (calls === 1) throw new Error('a fault of the handler');
    };
    await read([0], { beforeBatch }).reach([1]);
    expect(keys()).to.deep.equal(['a']);
    expect(linesOf('error')[0]).to.contain('reading from broker 0 failed');
  });

  it('asks by name where the brokers have no topic ids', async () => {
    cluster = await ScriptedCluster.start();
    for (const each of cluster.brokers[0]!.served) {
      if (each.apiKey === apis.metadata.request.apiKey) each.maxVersion = 8;
    }
    cluster.partitions[0]!.put('a');
    await read().reach([1]);
    const [request] = cluster.brokers[0]!.requests.filter(({ api }) => api === apis.fetch);
    expect(request!.version).to.equal(12);
    expect(keys()).to.deep.equal(['a']);
  });

  it('counts what it fetches', async () => {
    cluster = await ScriptedCluster.start();
    cluster.partitions[0]!.put('a');
    const metrics = new Metrics({ process: false });
    registerReaderMetrics(metrics, stats, { restarts: 2, disturbances: 3 });
    await read().reach([1]);
    const text = await metrics.text();
    expect(text).to.match(/^bitacora_log_fetches_total [1-9]/m);
    expect(text).to.match(/^bitacora_log_fetched_bytes_total [1-9]\d\d/m);
    expect(text).to.contain('bitacora_log_reader_restarts_total 2');
    expect(text).to.contain('bitacora_log_reader_disturbances_total 3');
    expect(text).to.contain('bitacora_log_corrupt_batches_total{reason="crc"} 0');
  });
});

/** What waits for it goes on when a test says so. */
class Gate {
  open: () => void = () => undefined;
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

/** Sets the CRC that the bytes have now. */
function withCrc(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(crc32c(copy.subarray(21)), 17);
  return copy;
}
