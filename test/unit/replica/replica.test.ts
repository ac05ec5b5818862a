import { expect } from 'chai';
import { BitacoraError } from '../../../src/kernel/errors.ts';
import { settled } from '../../support/fake-clock.ts';
import { maxMessageBytes, ReplicaRig } from '../../support/replica-rig.ts';

const retentionMs = 86_400_000;

describe('replica', () => {
  let rig: ReplicaRig;

  beforeEach(() => {
    rig = new ReplicaRig();
  });

  afterEach(async () => {
    await rig.replica.stop();
    expect(rig.log.isRead).to.equal(false);
  });

  describe('start', () => {
    it('creates a topic that is not there, and serves it', async () => {
      rig = new ReplicaRig({ partitions: 3 });
      await rig.run();
      expect(await rig.log.inner.describe()).to.deep.include({ partitions: 3, maxMessageBytes });
      expect(rig.replica.partitions).to.equal(3);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true, logAnswers: true, lagMs: 0 });
    });

    it('reads a topic that is there from its beginning, and leaves it as it is', async () => {
      await rig.createTopic();
      rig.write('a', '1');
      rig.write('b', '2');
      rig.write('a', null);
      rig.write('c', '3');
      await rig.run();
      expect(rig.log.asked.create).to.equal(0);
      expect(['a', 'b', 'c'].map((key) => rig.value(key))).to.deep.equal([undefined, '2', '3']);
      expect(rig.replica.position(0)).to.equal(4);
      expect(rig.replica.isCaughtUp(0)).to.equal(true);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true });
    });

    it('reads from the first offset that is still there', async () => {
      await rig.createTopic();
      for (const key of ['a', 'b', 'c']) rig.write(key, '1');
      rig.log.earliest = 2;
      await rig.run();
      expect(rig.value('a')).to.equal(undefined);
      expect(rig.value('c')).to.equal('1');
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true });
    });

    it('catches up with a log that ends in offsets without records', async () => {
      await rig.createTopic();
      rig.write('a', '1');
      rig.log.inner.appendGap(0, 5);
      await rig.run();
      expect(rig.replica.position(0)).to.equal(6);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true });
      expect(await rig.replica.reaches(0, 6, 0)).to.equal(true);
    });

    it('is not ready before it has read what there was when it started, each partition for itself', async () => {
      rig = new ReplicaRig({ partitions: 2 });
      await rig.createTopic();
      const { partition } = rig.write('a', '1');
      await rig.log.holdReader();
      await rig.run();
      expect(rig.replica.isCaughtUp(partition)).to.equal(false);
      expect(rig.replica.isCaughtUp(1 - partition)).to.equal(true);
      expect(rig.replica.status()).to.deep.include({ state: 'catching-up', ready: false });
      expect(rig.replica.status().progress).to.deep.include({ offsetsDone: 0, offsetsTotal: 1, percent: 0 });
      rig.write('b', 'later');
      rig.log.releaseReader();
      await settled();
      expect(rig.replica.isCaughtUp(partition)).to.equal(true);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true, progress: undefined });
    });

    it('tells how far it has come', async () => {
      await rig.createTopic();
      for (const key of ['a', 'b', 'c']) rig.write(key, '1');
      rig.log.ends = async () => [{ partition: 0, earliest: 1, end: 5 }];
      await rig.run();
      await rig.clock.pass(1_000);
      expect(rig.replica.status().partitions).to.deep.equal([{ partition: 0, position: 3, end: 5, lag: 2 }]);
      expect(rig.replica.status().progress).to.deep.equal({
        offsetsDone: 2,
        offsetsTotal: 4,
        percent: 50,
        offsetsPerSecond: 2,
        remainingMs: 1_000,
      });
    });

    it('keeps trying, ever more slowly, while the log does not answer', async () => {
      rig.log.down = true;
      await rig.run();
      expect(rig.replica.status()).to.deep.include({ state: 'connecting', ready: false, logAnswers: false });
      expect(rig.replica.partitions).to.equal(undefined);
      await rig.clock.pass(10_000);
      const early = rig.log.asked.describe;
      expect(early).to.be.within(4, 7);
      await rig.clock.pass(600_000);
      expect(rig.log.asked.describe - early).to.be.within(18, 35);
      expect(rig.lines.filter((line) => line.startsWith('warn: The log does not answer'))).to.have.length(
        rig.log.asked.describe,
      );
      expect(rig.fatal).to.deep.equal([]);
      rig.log.down = false;
      await rig.clock.pass(30_000);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true, logAnswers: true });
    });

    it('ends the process for a topic that is not compacted only', async () => {
      rig.log.describedAs = { cleanupPolicy: 'compact,delete' };
      await rig.run();
      expect(rig.fatal.map(({ message }) => message)).to.have.length(1);
      expect(rig.fatal[0]?.message).to.contain('cleanup.policy=compact,delete');
      expect(rig.replica.status().ready).to.equal(false);
      expect(rig.log.isRead).to.equal(false);
    });

    it('ends the process when the log refuses it', async () => {
      rig.log.describe = async () => {
        throw new BitacoraError('log_rejected', 'Kafka refused the login.');
      };
      await rig.run();
      expect(rig.fatal.map(({ message }) => message)).to.deep.equal(['Kafka refused the login.']);
    });

    it('warns of settings that work but not well, once', async () => {
      rig.log.describedAs = { maxMessageBytes: 1_000 };
      await rig.run();
      await rig.clock.pass(300_000);
      const warnings = rig.lines.filter((line) => line.startsWith('warn: '));
      expect(warnings).to.have.length(2);
      expect(warnings[0]).to.contain('1 replica');
      expect(warnings[1]).to.contain('max.message.bytes=1000');
    });

    it('can be stopped while it waits for the log', async () => {
      rig.log.down = true;
      await rig.run();
      await rig.replica.stop();
      rig.log.down = false;
      await rig.clock.pass(60_000);
      expect(rig.log.asked.create).to.equal(0);
      expect(rig.fatal).to.deep.equal([]);
    });

    it('can be stopped between the log’s answer and its use', async () => {
      await rig.createTopic();
      rig.write('a', '1');
      await rig.replica.run();
      await rig.replica.stop();
      expect(rig.log.isRead).to.equal(false);
      expect(rig.fatal).to.deep.equal([]);
    });
  });

  describe('serving', () => {
    beforeEach(async () => {
      await rig.createTopic();
      rig.write('a', '1');
      await rig.run();
    });

    it('applies what is written, and tells who waits for it', async () => {
      expect(await rig.replica.reaches(0, 1, 0)).to.equal(true);
      const reached = rig.replica.reaches(0, 3, 5_000);
      rig.write('a', '2');
      await settled();
      expect(rig.value('a')).to.equal('2');
      rig.write('b', '1');
      expect(await reached).to.equal(true);
      expect(rig.value('b')).to.equal('1');
      expect(rig.replica.position(0)).to.equal(3);
    });

    it('goes forward over a gap, and never back', async () => {
      const reached = rig.replica.reaches(0, 5, 1_000);
      rig.log.reportGap(0, 5);
      expect(await reached).to.equal(true);
      rig.log.reportGap(0, 3);
      expect(rig.replica.position(0)).to.equal(5);
    });

    it('tells who waits in vain', async () => {
      const [late, stopped] = [rig.replica.reaches(0, 2, 5_000), rig.replica.reaches(0, 2, 50_000)];
      await rig.clock.pass(5_000);
      expect(await late).to.equal(false);
      await rig.replica.stop();
      expect(await stopped).to.equal(false);
    });

    it('applies nothing once it has stopped', async () => {
      await rig.replica.stop();
      rig.write('a', '2');
      await settled();
      expect(rig.value('a')).to.equal('1');
    });

    it('stays ready for a while when it falls behind, then says so, and is ready again when it is not', async () => {
      await rig.log.holdReader();
      rig.write('a', '2');
      await rig.clock.pass(8_000);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true });
      expect(rig.replica.status().partitions).to.deep.equal([{ partition: 0, position: 1, end: 2, lag: 1 }]);
      await rig.clock.pass(8_000);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: false });
      expect(rig.replica.status().reason).to.match(/ms behind the log/);
      rig.log.releaseReader();
      await settled();
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true, lagMs: 0, reason: undefined });
    });

    it('stays ready while the log is away: reads go on', async () => {
      rig.log.down = true;
      await rig.clock.pass(600_000);
      expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true, logAnswers: false });
      expect(rig.lines.filter((line) => line.includes('reads go on from memory'))).to.have.length(1);
      rig.log.down = false;
      await rig.clock.pass(2_000);
      expect(rig.replica.status()).to.deep.include({ ready: true, logAnswers: true });
      expect(rig.replica.refusal).to.equal(undefined);
      expect(await rig.metric('bitacora_rebuilds_total')).to.equal(0);
    });

    it('keeps tombstones for the topic’s delete.retention.ms, which may change', async () => {
      expect(rig.store.tombstoneRetentionMs).to.equal(retentionMs);
      rig.log.describedAs = { deleteRetentionMs: 90_000 };
      await rig.clock.pass(60_000);
      expect(rig.store.tombstoneRetentionMs).to.equal(90_000);
      rig.write('a', null);
      await rig.clock.pass(88_000);
      expect(rig.store.size.tombstones).to.equal(1);
      await rig.clock.pass(6_000);
      expect(rig.store.size.tombstones).to.equal(0);
    });

    it('counts what it does', async () => {
      rig.log.inner.appendForeign(0, null, Buffer.from('v'), 0);
      await settled();
      const text = await rig.metrics.text();
      for (const line of [
        'bitacora_position{partition="0"} 2',
        'bitacora_records_total{result="applied"} 1',
        'bitacora_records_total{result="without_key"} 1',
        'bitacora_ready 1',
        'bitacora_log_answers 1',
        'bitacora_values 1',
        'bitacora_key_bytes 1',
      ]) {
        expect(text).to.contain(`\n${line}\n`);
      }
    });
  });

  it('stops although a question to the log is not answered', async () => {
    await rig.createTopic();
    await rig.run();
    rig.log.ends = () => new Promise(() => {});
    await rig.clock.pass(2_000);
    let stopped = false;
    void rig.replica.stop().then(() => {
      stopped = true;
    });
    await settled();
    expect(stopped).to.equal(true);
  });
});
