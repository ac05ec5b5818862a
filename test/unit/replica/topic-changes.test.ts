import { expect } from 'chai';
import { settled } from '../../support/fake-clock.ts';
import { ReplicaRig } from '../../support/replica-rig.ts';

/** Until the end of the log is looked at next, and until the topic is. */
const lookMs = 2_000;
const guardMs = 62_000;

describe('replica, when the topic changes under it', () => {
  let rig: ReplicaRig;

  beforeEach(async () => {
    rig = new ReplicaRig();
    await rig.createTopic();
    for (const key of ['a', 'b', 'c']) {
      rig.write(key, 'old');
      await rig.clock.pass(1);
    }
    await rig.run();
    await rig.clock.pass(guardMs);
  });

  afterEach(async () => {
    await rig.replica.stop();
    expect(rig.fatal).to.deep.equal([]);
  });

  const values = (...keys: string[]) => keys.map((key) => rig.value(key));

  async function expectRebuilt(times = 1): Promise<void> {
    expect(await rig.metric('bitacora_rebuilds_total')).to.equal(times);
    expect(rig.replica.status()).to.deep.include({ state: 'serving', ready: true });
    expect(rig.replica.refusal).to.equal(undefined);
  }

  async function expectRefused(because: RegExp): Promise<void> {
    expect(rig.replica.refusal).to.match(because);
    expect(rig.replica.status()).to.deep.include({ state: 'refused', ready: false });
    expect(rig.replica.status().reason).to.match(because);
    expect(values('a', 'b', 'c')).to.deep.equal(['old', 'old', 'old']);
    expect(await rig.metric('bitacora_rebuilds_total')).to.equal(0);
    expect(rig.lines.filter((line) => line.startsWith('error: '))).to.have.length(1);
  }

  it('does nothing as long as it stays the same', async () => {
    await rig.clock.pass(10 * guardMs);
    await expectRebuilt(0);
    expect(values('a', 'b', 'c')).to.deep.equal(['old', 'old', 'old']);
  });

  describe('what only a person can mend: no writes, not ready, reads go on', () => {
    it('more partitions, seen at the next look', async () => {
      rig.log.partitionsAdded = 1;
      await rig.clock.pass(lookMs);
      await expectRefused(/has 2 partitions and had 1/);
      await rig.clock.pass(guardMs);
      await expectRefused(/has 2 partitions and had 1/);
    });

    it('another cleanup policy', async () => {
      rig.log.describedAs = { cleanupPolicy: 'delete' };
      await rig.clock.pass(guardMs);
      await expectRefused(/cleanup\.policy=delete/);
    });

    it('a topic that is gone', async () => {
      rig.log.deleted = true;
      await rig.clock.pass(lookMs);
      await expectRefused(/no longer exists/);
    });

    it('and is read from its beginning once it is mended, for it may have lost records', async () => {
      rig.log.describedAs = { cleanupPolicy: 'delete' };
      await rig.clock.pass(guardMs);
      await expectRefused(/cleanup\.policy=delete/);
      rig.log.describedAs = {};
      await rig.clock.pass(lookMs);
      await expectRebuilt();
      expect(values('a', 'b', 'c')).to.deep.equal(['old', 'old', 'old']);
    });
  });

  describe('what is read anew', () => {
    it('a log that ends before the position: truncated, or another topic', async () => {
      const waiting = rig.replica.reaches(0, 100, 1e6);
      await rig.log.remake(await rig.topicWith('c', 'd'));
      await rig.clock.pass(lookMs);
      await expectRebuilt();
      expect(values('a', 'b', 'c', 'd')).to.deep.equal([undefined, undefined, 'new', 'new']);
      expect(rig.replica.position(0)).to.equal(2);
      expect(await waiting).to.equal(false);
      expect(
        rig.lines.some((line) => /error: partition 0 ends at offset 2 and was read up to 3: /.test(line)),
      ).to.equal(true);
    });

    it('a log that begins after the position: records were deleted unread', async () => {
      await rig.log.holdReader();
      for (const key of ['d', 'e', 'f']) rig.write(key, 'new');
      rig.log.earliest = 5;
      await rig.clock.pass(lookMs);
      expect(rig.replica.position(0)).to.equal(5);
      rig.log.releaseReader();
      await settled();
      await expectRebuilt();
      expect(values('a', 'e', 'f')).to.deep.equal([undefined, undefined, 'new']);
    });

    it('a topic made anew that has grown past the position', async () => {
      await rig.log.remake(await rig.topicWith('d', 'e', 'f', 'g'));
      await rig.clock.pass(guardMs);
      await expectRebuilt();
      expect(values('a', 'd', 'e', 'f', 'g')).to.deep.equal([undefined, 'new', 'new', 'new', 'new']);
    });

    it('the same, at once, when the reader has noticed something', async () => {
      await rig.log.remake(await rig.topicWith('d', 'e', 'f', 'g'));
      rig.log.disturb('read at offset 0 instead of 3');
      await settled();
      await expectRebuilt();
      expect(values('a', 'd')).to.deep.equal([undefined, 'new']);
    });

    it('the same, when the reader notices while another look is under way', async () => {
      const { ends } = rig.log;
      let letGo: () => void = () => {};
      rig.log.ends = async () => {
        rig.log.ends = ends;
        const answer = await ends.call(rig.log);
        await new Promise<void>((resolve) => {
          letGo = resolve;
        });
        return answer;
      };
      await rig.clock.pass(lookMs);
      await rig.log.remake(await rig.topicWith('d', 'e', 'f', 'g'));
      rig.log.disturb('read at offset 0 instead of 3');
      letGo();
      await settled();
      await expectRebuilt();
      expect(values('a', 'd')).to.deep.equal([undefined, 'new']);
    });

    it('the same, in the first minute after it has caught up', async () => {
      await rig.replica.stop();
      rig = new ReplicaRig();
      await rig.createTopic();
      for (const key of ['a', 'b', 'c']) {
        rig.write(key, 'old');
        await rig.clock.pass(1);
      }
      await rig.log.holdReader();
      await rig.run();
      await rig.clock.pass(lookMs);
      rig.log.releaseReader();
      await settled();
      await rig.log.remake(await rig.topicWith('d', 'e', 'f', 'g'));
      rig.log.disturb('read at offset 0 instead of 3');
      await settled();
      await expectRebuilt();
      expect(values('a', 'd')).to.deep.equal([undefined, 'new']);
    });

    it('a cluster of another identity', async () => {
      rig.log.describedAs = { clusterId: 'another' };
      await rig.clock.pass(guardMs);
      await expectRebuilt();
    });

    it('and while it is being read, nothing is known to be absent, and nothing is there', async () => {
      await rig.log.remake(await rig.topicWith('d'));
      await rig.log.holdReader();
      await rig.clock.pass(lookMs);
      expect(rig.replica.status()).to.deep.include({ state: 'catching-up', ready: false });
      expect(rig.replica.isCaughtUp(0)).to.equal(false);
      expect(values('a', 'd')).to.deep.equal([undefined, undefined]);
      rig.log.releaseReader();
      await settled();
      await expectRebuilt();
      expect(values('a', 'd')).to.deep.equal([undefined, 'new']);
    });

    it('a disturbance that turns out to be nothing changes nothing', async () => {
      rig.log.disturb('a seek');
      await settled();
      await expectRebuilt(0);
      expect(rig.replica.position(0)).to.equal(3);
    });
  });

  describe('a node cut off from the log', () => {
    const retentionMs = 120_000;

    beforeEach(async () => {
      rig.log.describedAs = { deleteRetentionMs: retentionMs };
      await rig.clock.pass(guardMs);
    });

    async function cutOffFor(durationMs: number, ...written: string[]): Promise<void> {
      rig.log.down = true;
      await rig.log.holdReader();
      await rig.clock.leap(durationMs);
      for (const key of written) rig.write(key, 'new');
      rig.log.down = false;
      await rig.clock.pass(lookMs);
      rig.log.releaseReader();
      await settled();
    }

    it('for longer than tombstones are kept reads everything anew', async () => {
      await cutOffFor(retentionMs + 1, 'd');
      await expectRebuilt();
      expect(values('a', 'd')).to.deep.equal(['old', 'new']);
    });

    it('for less than that goes on', async () => {
      await cutOffFor(retentionMs - 2 * lookMs, 'd');
      await expectRebuilt(0);
      expect(values('a', 'd')).to.deep.equal(['old', 'new']);
    });

    it('for longer than they are kept by now, since that was lowered meanwhile, reads everything anew', async () => {
      rig.log.describedAs = { deleteRetentionMs: retentionMs / 2 + lookMs };
      await cutOffFor(retentionMs - 2 * lookMs, 'd');
      await expectRebuilt();
    });

    it('goes on when nothing was written meanwhile', async () => {
      await cutOffFor(10 * retentionMs);
      await expectRebuilt(0);
    });

    it('is given a minute at least, however short a time the topic keeps tombstones', async () => {
      rig.log.describedAs = { deleteRetentionMs: 100 };
      await rig.clock.pass(guardMs);
      await cutOffFor(55_000, 'd');
      await expectRebuilt(0);
      await cutOffFor(65_000, 'e');
      await expectRebuilt();
    });
  });

  it('sees that a topic of records of one millisecond was made anew', async () => {
    const single = new ReplicaRig();
    await single.createTopic();
    for (const key of ['a', 'b']) single.write(key, 'old');
    await single.run();
    await single.clock.pass(guardMs);
    await single.log.remake(await single.topicWith('d', 'e', 'f', 'g'));
    await single.clock.pass(guardMs);
    const rebuilds = await single.metric('bitacora_rebuilds_total');
    await single.replica.stop();
    expect(rebuilds).to.equal(1);
  });

  it('sees that it was cut off although the reader has caught up before the next look', async () => {
    rig.log.describedAs = { deleteRetentionMs: 120_000 };
    await rig.clock.pass(guardMs);
    rig.log.down = true;
    await rig.log.holdReader();
    await rig.clock.leap(500_000);
    rig.write('d', 'new');
    rig.log.releaseReader();
    await settled();
    rig.log.down = false;
    await rig.clock.pass(lookMs);
    expect(await rig.metric('bitacora_rebuilds_total')).to.equal(1);
  });
});
