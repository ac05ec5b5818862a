import { expect } from 'chai';
import type { Consistency, Database } from '../../../src/database/database.ts';
import { BitacoraError } from '../../../src/kernel/errors.ts';
import { partitioners } from '../../../src/log/partitioner.ts';
import { settled } from '../../support/fake-clock.ts';
import { rejection } from '../../support/log-contract.ts';
import { ReplicaRig } from '../../support/replica-rig.ts';

const readTimeoutMs = 3_000;

describe('reading from the database', () => {
  let rig: ReplicaRig;
  let database: Database;

  beforeEach(() => setUp(1));

  afterEach(() => rig.replica.stop());

  async function setUp(partitions: number): Promise<void> {
    rig = new ReplicaRig({ partitions });
    database = rig.database({ valueBytesMax: 1_000, readTimeoutMs, writeTimeoutMs: 100 });
    await rig.createTopic();
  }

  const read = (key: string) => database.readHere(Buffer.from(key));
  const code = (call: () => unknown) => rejection((async () => call())());
  const value = (key: string) => read(key).found?.value.toString();

  /** What a consistent read ends with: a value, `nothing`, or an error's code; undefined while it waits. */
  function consistently(key: string, consistency: Consistency): () => string | undefined {
    let result: string | undefined;
    (async () => database.readConsistently(Buffer.from(key), consistency))().then(
      ({ found }) => {
        result = found?.value.toString() ?? 'nothing';
      },
      (error: { code: string }) => {
        result = error.code;
      },
    );
    return () => result;
  }

  describe('from memory', () => {
    it('knows no key before the log has told how many partitions there are', async () => {
      rig.log.down = true;
      await rig.run();
      expect(await code(() => read('a'))).to.equal('not_caught_up');
      expect(await code(() => database.peek(Buffer.from('a')))).to.equal('not_caught_up');
    });

    it('tells a key that it has not read yet from one that is not there', async () => {
      rig.write('a', '1');
      rig.write('b', '1');
      await rig.log.holdReader();
      await rig.run();
      expect(await code(() => read('a'))).to.equal('not_caught_up');
      expect(database.peek(Buffer.from('a'))).to.deep.equal({
        partition: 0,
        position: 0,
        found: undefined,
        source: 'log',
        caughtUp: false,
        topic: '-/topic',
      });
      rig.log.releaseReader();
      await settled();
      expect(value('a')).to.equal('1');
      expect(read('nothing')).to.deep.equal({ partition: 0, position: 2, found: undefined, source: 'log' });
    });

    it('answers what it has read while it is still reading: a value, and a deletion', async () => {
      rig.write('value', '1');
      rig.write('deleted', '1');
      rig.write('deleted', null);
      rig.log.ends = async () => [{ partition: 0, earliest: 0, end: 10 }];
      await rig.run();
      expect(rig.replica.isCaughtUp(0)).to.equal(false);
      expect(value('value')).to.equal('1');
      expect(read('deleted')).to.deep.equal({ partition: 0, position: 3, found: undefined, source: 'log' });
      expect(await code(() => read('unknown'))).to.equal('not_caught_up');
    });

    it('looks at each partition for itself', async () => {
      await setUp(2);
      const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
      const home = (key: string) => partitioners.murmur2(Buffer.from(key), 2);
      const key0 = keys.find((key) => home(key) === 0)!;
      const key1 = keys.find((key) => home(key) === 1)!;
      rig.write(key1, '1');
      await rig.log.holdReader();
      await rig.run();
      expect(read(key0)).to.deep.equal({ partition: 0, position: 0, found: undefined, source: 'log' });
      expect(await code(() => read(key1))).to.equal('not_caught_up');
    });

    it('says where a value is from, and does not serve one that has expired', async () => {
      await rig.run();
      const expiresAtMs = rig.clock.nowMs() + 5_000;
      await database.put(Buffer.from('a'), Buffer.from('1'), { wait: 'applied', expiresAtMs, contentType: 'x/y' });
      const timestampMs = rig.clock.nowMs();
      const { found, position } = read('a');
      expect(position).to.equal(1);
      expect(found).to.deep.include({ partition: 0, offset: 0, timestampMs, expiresAtMs, contentType: 'x/y' });
      await rig.clock.pass(4_999);
      expect(value('a')).to.equal('1');
      await rig.clock.pass(1);
      expect(value('a')).to.equal(undefined);
    });

    it('takes keys of 1 to 65,536 bytes', async () => {
      await rig.run();
      expect(await code(() => database.readHere(Buffer.alloc(0)))).to.equal('key_empty');
      expect(await code(() => database.peek(Buffer.alloc(0)))).to.equal('key_empty');
      expect(database.readHere(Buffer.alloc(1)).found).to.equal(undefined);
      expect(database.readHere(Buffer.alloc(65_536)).found).to.equal(undefined);
      expect(await code(() => database.readHere(Buffer.alloc(65_537)))).to.equal('key_too_long');
    });
  });

  describe('at a session’s positions', () => {
    const at = (position: number, partition = 0): Consistency => ({
      level: 'session',
      positions: new Map([[partition, position]]),
    });

    beforeEach(async () => {
      rig.write('a', 'old');
      await rig.run();
      await rig.log.holdReader();
    });

    it('answers at once when it is there, and for partitions that the key is not in', async () => {
      const [there, elsewhere] = [consistently('a', at(1)), consistently('a', at(100, 7))];
      await settled();
      expect([there(), elsewhere()]).to.deep.equal(['old', 'old']);
    });

    it('waits until it is there', async () => {
      const { offset } = rig.write('a', 'new');
      const result = consistently('a', at(offset + 1));
      await rig.clock.pass(2_000);
      expect(result()).to.equal(undefined);
      rig.log.releaseReader();
      await settled();
      expect(result()).to.equal('new');
    });

    it('waits for the end of the log as well while the node is reading it: a record at its position may be compacted', async () => {
      await rig.replica.stop();
      await setUp(1);
      rig.write('a', 'of before');
      const { ends } = rig.log;
      rig.log.ends = async () => [{ partition: 0, earliest: 0, end: 5 }];
      await rig.run();
      rig.log.ends = ends;
      await rig.log.holdReader();
      // The client's own write was at 1, and the one that replaces it is at 4.
      for (const key of ['x', 'y', 'z']) rig.write(key, '1');
      rig.write('a', 'new');
      rig.log.reportGap(0, 2);
      expect([rig.replica.position(0), rig.value('a')]).to.deep.equal([2, 'of before']);
      const [result, elsewhere] = [consistently('a', at(2)), consistently('a', at(2, 7))];
      await rig.clock.pass(2_000);
      expect([result(), elsewhere()]).to.deep.equal([undefined, 'of before']);
      rig.log.releaseReader();
      await settled();
      expect(result()).to.equal('new');
    });

    it('gives up after its time', async () => {
      const result = consistently('a', at(2));
      await rig.clock.pass(readTimeoutMs - 1);
      expect(result()).to.equal(undefined);
      await rig.clock.pass(1);
      expect(result()).to.equal('position_not_reached');
    });

    it('gives up when what it waited for means nothing any more', async () => {
      const result = consistently('a', at(2));
      await rig.log.remake(await rig.topicWith());
      await rig.clock.pass(2_000);
      expect(result()).to.equal('position_not_reached');
    });
  });

  describe('linearizably', () => {
    const linearizable: Consistency = { level: 'linearizable' };
    let asked: number;

    beforeEach(async () => {
      rig.write('a', 'old');
      await rig.run();
      asked = rig.log.asked.ends;
    });

    it('sees everything that was in the log when it came', async () => {
      const timers = rig.clock.pending;
      await rig.log.holdReader();
      rig.write('a', 'new');
      const result = consistently('a', linearizable);
      await settled();
      expect(result()).to.equal(undefined);
      rig.log.releaseReader();
      await settled();
      expect(result()).to.equal('new');
      expect(rig.log.asked.ends - asked).to.equal(1);
      expect(rig.clock.pending).to.equal(timers);
    });

    it('shares one question among all that come while another is under way', async () => {
      const { ends } = rig.log;
      let letGo: () => void = () => {};
      const gate = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      rig.log.ends = async () => {
        const answer = await ends.call(rig.log);
        await gate;
        return answer;
      };
      const first = consistently('a', linearizable);
      await settled();
      rig.write('a', 'new');
      await rig.log.holdReader();
      rig.write('a', 'newest');
      const others = Array.from({ length: 50 }, () => consistently('a', linearizable));
      await settled();
      expect(rig.log.asked.ends - asked).to.equal(1);
      letGo();
      await settled();
      expect(rig.log.asked.ends - asked).to.equal(2);
      expect(first()).to.not.equal(undefined);
      expect(new Set(others.map((result) => result()))).to.deep.equal(new Set([undefined]));
      rig.log.releaseReader();
      await settled();
      expect(new Set(others.map((result) => result()))).to.deep.equal(new Set(['newest']));
    });

    it('says when the log cannot be asked', async () => {
      rig.log.down = true;
      const result = consistently('a', linearizable);
      await settled();
      expect(result()).to.equal('log_unavailable');
    });

    it('says when the log does not answer in time', async () => {
      const { ends } = rig.log;
      rig.log.ends = () => new Promise((resolve) => rig.clock.after(10_000, () => resolve(ends.call(rig.log))));
      const result = consistently('a', linearizable);
      await rig.clock.pass(readTimeoutMs);
      expect(result()).to.equal('log_unavailable');
      rig.log.ends = ends;
      await rig.clock.pass(10_000);
    });

    it('has one time for the question and the wait together', async () => {
      const { ends } = rig.log;
      rig.log.ends = () => new Promise((resolve) => rig.clock.after(1_500, () => resolve(ends.call(rig.log))));
      await rig.log.holdReader();
      rig.write('a', 'new');
      const result = consistently('a', linearizable);
      await rig.clock.pass(readTimeoutMs - 1);
      expect(result()).to.equal(undefined);
      await rig.clock.pass(1);
      expect(result()).to.equal('position_not_reached');
      rig.log.ends = ends;
      await rig.clock.pass(1_500);
    });
  });

  describe('many keys at once', () => {
    const keys = (...names: string[]) => names.map((name) => Buffer.from(name));
    const told = (answers: Awaited<ReturnType<Database['readMany']>>) =>
      answers.map((answer) => (answer instanceof BitacoraError ? answer.code : answer.found?.value.toString()));

    it('answers each by itself, in their order', async () => {
      rig.write('a', '1');
      rig.write('b', '2');
      await rig.run();
      const answers = await database.readMany(keys('b', 'nothing', '', 'a', 'x'.repeat(65_537)), { level: 'local' });
      expect(told(answers)).to.deep.equal(['2', undefined, 'key_empty', '1', 'key_too_long']);
    });

    it('waits once for a partition, however many keys are in it', async () => {
      await rig.run();
      let asked = 0;
      const { ends } = rig.log;
      rig.log.ends = () => {
        asked += 1;
        return ends.call(rig.log);
      };
      rig.write('a', '1');
      const answers = await database.readMany(keys('a', 'b', 'c', 'a'), { level: 'linearizable' });
      expect(told(answers)).to.deep.equal(['1', undefined, undefined, '1']);
      expect(asked).to.equal(1);
    });

    it('gives up for the partition that is not there in time, and answers the others', async () => {
      await setUp(2);
      await rig.run();
      const home = (key: string) => partitioners.murmur2(Buffer.from(key), 2);
      const names = Array.from({ length: 300 }, (_, i) => `key-${i}`);
      const reading = database.readMany(keys(...names), { level: 'session', positions: new Map([[1, 99]]) });
      let answers: string[] | undefined;
      void reading.then((all) => {
        answers = told(all).map((each) => each ?? 'nothing');
      });
      while (answers === undefined) await rig.clock.pass(readTimeoutMs);
      expect(answers).to.deep.equal(names.map((key) => (home(key) === 1 ? 'position_not_reached' : 'nothing')));
    });
  });
});
