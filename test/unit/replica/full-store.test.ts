import { expect } from 'chai';
import type { RecordSlices } from '../../../src/log/log.ts';
import type { ArenaStore } from '../../../src/store/arena-store.ts';
import { settled } from '../../support/fake-clock.ts';
import { rejection } from '../../support/log-contract.ts';
import { orderedStore, ReplicaRig } from '../../support/replica-rig.ts';

/** References of this store reach one chunk, the first of which has 64 KiB. */
const sizes = { chunkBytes: 2 ** 34, segmentSlots: 64, leafIds: 32 };
const limits = { valueBytesMax: 100_000, readTimeoutMs: 3_000, writeTimeoutMs: 3_000 };

const oneRecord: RecordSlices = {
  partition: 0,
  count: 1,
  buffer: Buffer.from('kv'),
  offsets: Float64Array.of(0),
  timestampsMs: Float64Array.of(0),
  keyStarts: Float64Array.of(0),
  keyLengths: Int32Array.of(1),
  valueStarts: Float64Array.of(1),
  valueLengths: Int32Array.of(1),
  headers: undefined,
  nextOffset: 1,
  leaderEpoch: -1,
};

describe('a replica whose store takes no more', () => {
  let rig: ReplicaRig;
  let store: ArenaStore;

  beforeEach(async () => {
    store = orderedStore(sizes);
    rig = new ReplicaRig({ store });
    await rig.createTopic();
  });

  afterEach(() => rig.replica.stop());

  const fill = () => {
    for (let i = 0; i < 8; i += 1) rig.write(`key-${i}`, 'v'.repeat(10_000));
  };

  /** Ends the process with the line, and does nothing from then on but say so. */
  async function expectEnded(line: RegExp): Promise<void> {
    expect(rig.fatal).to.have.length(1);
    expect(rig.fatal[0]!.message).to.match(line).and.not.include('\n');
    const database = rig.database(limits);
    const key = Buffer.from('key-0');
    const expectSilent = async () => {
      expect(rig.replica.status()).to.deep.include({ state: 'refused', ready: false, reason: rig.fatal[0]!.message });
      expect(rig.log.isRead).to.equal(false);
      expect(await rejection((async () => database.read(key))())).to.equal('not_caught_up');
      expect(await rejection((async () => database.peek(key))())).to.equal('not_caught_up');
      expect(await rejection(database.scan({ level: 'local' }))).to.equal('not_caught_up');
      expect(await rejection(database.put(key, key, { wait: 'logged' }))).to.equal('topic_unusable');
    };
    await expectSilent();
    const { size } = store;
    rig.write('later', '1');
    await rig.clock.pass(600_000);
    await expectSilent();
    expect(store.size).to.deep.equal(size);
    expect(rig.fatal).to.have.length(1);
    expect(await rig.metric('bitacora_rebuilds_total')).to.equal(0);
  }

  it('ends with a line that says so, while it reads what there was', async () => {
    fill();
    await rig.run();
    await expectEnded(/^the topic does not fit: a node holds 16 GiB$/);
  });

  it('ends with a line that says so, having served for a while', async () => {
    rig.write('a', '1');
    await rig.run();
    await rig.clock.pass(10_000);
    expect(rig.replica.status().ready).to.equal(true);
    const waiting = rig.replica.reaches(0, 9, 60_000);
    fill();
    await settled();
    expect(await waiting).to.equal(false);
    await settled();
    await expectEnded(/^the topic does not fit: a node holds 16 GiB$/);
  });

  it('ends although its reader had the first records before anybody could watch', async () => {
    store.put = () => {
      throw new RangeError('Array buffer allocation failed');
    };
    const read = rig.log.read.bind(rig.log);
    rig.log.read = (from, handler) => {
      void handler.onBatch(oneRecord);
      return read(from, handler);
    };
    await rig.run();
    await expectEnded(/memory of this machine/);
  });

  it('does not take what it holds of a batch for the whole of it', async () => {
    await rig.run();
    const put = store.put.bind(store);
    let puts = 0;
    store.put = (record) => {
      puts += 1;
      if (puts === 2) throw new RangeError('Array buffer allocation failed');
      return put(record);
    };
    for (const key of ['a', 'b', 'c']) rig.write(key, '1');
    await settled();
    await settled();
    expect(puts).to.equal(2);
    await expectEnded(/^the topic does not fit into the memory of this machine: Array buffer allocation failed$/);
  });

  it('ends by a fault of ours too, rather than go on with a hole', async () => {
    await rig.run();
    store.delete = () => {
      throw new TypeError('of ours');
    };
    rig.write('a', null);
    await settled();
    await settled();
    await expectEnded(/^a record could not be applied: of ours$/);
  });

  it('ends when a sweep needs memory that there is not', async () => {
    rig.write('a', '1');
    await rig.run();
    store.sweep = () => {
      throw new RangeError('Array buffer allocation failed');
    };
    await rig.clock.pass(5_000);
    await expectEnded(/memory of this machine/);
  });

  it('ends when putting the keys in order needs memory that there is not', async () => {
    rig.write('a', '1');
    store.buildIndex = () => {
      throw new RangeError('Array buffer allocation failed');
    };
    await rig.run();
    await rig.clock.pass(5_000);
    await expectEnded(/memory of this machine/);
  });

  it('says nothing more when it is being stopped', async () => {
    fill();
    await rig.run();
    await rig.replica.stop();
    await rig.clock.pass(60_000);
    expect(rig.fatal).to.have.length(1);
  });
});
