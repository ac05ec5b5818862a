import { expect } from 'chai';
import type { Database, WriteOptions, Written } from '../../../src/database/database.ts';
import { partitioners } from '../../../src/log/partitioner.ts';
import { settled } from '../../support/fake-clock.ts';
import { rejection } from '../../support/log-contract.ts';
import { CollectingReader } from '../../support/read-log.ts';
import { ReplicaRig } from '../../support/replica-rig.ts';

const valueBytesMax = 1_000;
const writeTimeoutMs = 5_000;
const applied: WriteOptions = { wait: 'applied' };
const logged: WriteOptions = { wait: 'logged' };

describe('writing to the database', () => {
  let rig: ReplicaRig;
  let database: Database;

  beforeEach(() => setUp(1));

  afterEach(() => rig.replica.stop());

  async function setUp(partitions: number): Promise<void> {
    rig = new ReplicaRig({ partitions });
    database = rig.database({ valueBytesMax, readTimeoutMs: 100, writeTimeoutMs });
    await rig.createTopic();
  }

  const put = (key: string, value: string, options = applied) =>
    database.put(Buffer.from(key), Buffer.from(value), options);
  const remove = (key: string, options = applied) => database.delete(Buffer.from(key), options);
  const value = (key: string) => database.readHere(Buffer.from(key)).found?.value.toString();

  function watched(write: Promise<Written>): () => Written | undefined {
    let result: Written | undefined;
    write.then(
      (written) => {
        result = written;
      },
      () => {},
    );
    return () => result;
  }

  describe('while serving', () => {
    beforeEach(() => rig.run());

    it('answers when its own reads see the write', async () => {
      const timestampMs = rig.clock.nowMs();
      expect(await put('a', '1')).to.deep.equal({ partition: 0, offset: 0, timestampMs, applied: true });
      expect(value('a')).to.equal('1');
      expect(await remove('a')).to.deep.include({ offset: 1, applied: true });
      expect(value('a')).to.equal(undefined);
      expect(await remove('never there')).to.deep.include({ offset: 2, applied: true });
    });

    it('answers when the log has it, where that is enough', async () => {
      await rig.log.holdReader();
      const written = watched(put('a', '1', logged));
      await settled();
      expect(written()).to.deep.include({ offset: 0, applied: false });
    });

    it('waits no longer for its own reads than it may, and has written all the same', async () => {
      await rig.log.holdReader();
      const written = watched(put('a', '1'));
      await rig.clock.pass(writeTimeoutMs - 1);
      expect(written()).to.equal(undefined);
      await rig.clock.pass(1);
      expect(written()).to.deep.include({ offset: 0, applied: false });
    });

    it('counts the time that the log took towards it', async () => {
      const { append } = rig.log;
      rig.log.append = async (record) => {
        await new Promise<void>((resolve) => rig.clock.after(4_000, resolve));
        return append.call(rig.log, record);
      };
      await rig.log.holdReader();
      const written = watched(put('a', '1'));
      await rig.clock.pass(writeTimeoutMs - 1);
      expect(written()).to.equal(undefined);
      await rig.clock.pass(1);
      expect(written()).to.deep.include({ offset: 0, applied: false });
    });

    it('writes nothing but the bytes: no headers when there is nothing to say', async () => {
      await put('a', '');
      await put('b', '2', { wait: 'applied', expiresAtMs: 123, contentType: 'text/plain; x="ÿ"' });
      await remove('a');
      // One reader at a time.
      await rig.replica.stop();
      const reader = new CollectingReader(rig.log.inner, [0]);
      await reader.reach([3]);
      await reader.stop();
      const [empty, withHeaders, tombstone] = reader.records;
      expect(empty).to.deep.include({ key: Buffer.from('a'), value: Buffer.alloc(0), headers: {} });
      expect(Object.keys(withHeaders?.headers ?? {})).to.deep.equal(['bitacora-expires-at', 'content-type']);
      expect(withHeaders?.headers['bitacora-expires-at']).to.equal('123');
      expect(tombstone).to.deep.include({ value: null, headers: {} });
    });

    it('takes keys of 1 to 65,536 bytes', async () => {
      const [tooShort, tooLong] = [Buffer.alloc(0), Buffer.alloc(65_537)];
      const some = Buffer.from('v');
      expect(await rejection(database.put(tooShort, some, applied))).to.equal('key_empty');
      expect(await rejection(database.delete(tooShort, applied))).to.equal('key_empty');
      expect(await rejection(database.put(tooLong, some, applied))).to.equal('key_too_long');
      expect(await rejection(database.delete(tooLong, applied))).to.equal('key_too_long');
      expect((await database.put(Buffer.alloc(1), some, applied)).offset).to.equal(0);
      expect((await database.put(Buffer.alloc(65_536), some, applied)).offset).to.equal(1);
      expect(rig.store.size.values).to.equal(2);
    });

    it('takes values of 0 bytes up to the limit', async () => {
      const key = Buffer.from('k');
      expect(await rejection(database.put(key, Buffer.alloc(valueBytesMax + 1), applied))).to.equal('value_too_large');
      expect((await database.put(key, Buffer.alloc(valueBytesMax), applied)).offset).to.equal(0);
      expect((await database.put(key, Buffer.alloc(0), applied)).offset).to.equal(1);
    });

    it('passes on what the log says', async () => {
      rig.log.down = true;
      expect(await rejection(put('a', '1'))).to.equal('log_unavailable');
    });

    it('takes no writes to a topic that has changed, and goes on reading', async () => {
      await put('a', '1');
      rig.log.partitionsAdded = 1;
      await rig.clock.pass(2_000);
      expect(await rejection(put('a', '2'))).to.equal('topic_unusable');
      expect(await rejection(remove('a'))).to.equal('topic_unusable');
      expect(value('a')).to.equal('1');
      expect((await rig.log.inner.ends())[0]?.end).to.equal(1);
    });
  });

  it('writes each key to its home partition', async () => {
    await setUp(5);
    await rig.run();
    for (let i = 0; i < 20; i += 1) {
      const key = `key-${i}`;
      expect((await put(key, 'v')).partition).to.equal(partitioners.murmur2(Buffer.from(key), 5));
      expect(value(key)).to.equal('v');
    }
  });

  it('takes no writes before the log has answered', async () => {
    rig.log.down = true;
    await rig.run();
    expect(await rejection(put('a', '1'))).to.equal('log_unavailable');
  });

  it('does not wait for its own reads while it is catching up', async () => {
    rig.write('before', '1');
    await rig.log.holdReader();
    await rig.run();
    const written = watched(put('a', '1'));
    await settled();
    expect(written()).to.deep.include({ offset: 1, applied: false });
  });
});
