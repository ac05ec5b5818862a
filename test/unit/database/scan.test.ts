import { expect } from 'chai';
import type { Consistency, Database, KeyRange, Scan } from '../../../src/database/database.ts';
import type { PartitionEnds } from '../../../src/log/log.ts';
import type { ArenaStore } from '../../../src/store/arena-store.ts';
import { settled } from '../../support/fake-clock.ts';
import { rejection } from '../../support/log-contract.ts';
import { orderedStore, ReplicaRig } from '../../support/replica-rig.ts';

const readTimeoutMs = 3_000;
const local: Consistency = { level: 'local' };

describe('scanning the database', () => {
  let rig: ReplicaRig;
  let database: Database;
  let store: ArenaStore;

  beforeEach(() => {
    store = orderedStore();
    return setUp(new ReplicaRig({ partitions: 3, store }));
  });

  afterEach(() => rig.replica.stop());

  async function setUp(next: ReplicaRig): Promise<void> {
    rig = next;
    database = rig.database({ valueBytesMax: 1_000, readTimeoutMs, writeTimeoutMs: 100 });
    await rig.createTopic();
  }

  /** Runs until the keys are in order. */
  async function run(): Promise<void> {
    await rig.run();
    await database.scan(local).catch(() => undefined);
    for (;;) {
      const code = await rejection(database.scan(local)).catch(() => 'ready');
      if (code !== 'scan_not_ready') return;
      await settled();
    }
  }

  async function pagesOf(scan: Scan, range: KeyRange): Promise<string[][]> {
    const pages: string[][] = [];
    for await (const { entries } of scan.pages(range)) pages.push(entries.map(([key]) => key.toString()));
    return pages;
  }

  const keysOf = async (range: Partial<KeyRange> = {}, consistency: Consistency = local): Promise<string[]> =>
    (await pagesOf(await database.scan(consistency), { limit: 100, ...range })).flat();

  /** What a scan ends with: its keys, or an error's code; undefined while it waits. */
  function begun(consistency: Consistency): () => string | undefined {
    let result: string | undefined;
    keysOf({}, consistency).then(
      (keys) => {
        result = keys.join();
      },
      (error: { code: string }) => {
        result = error.code;
      },
    );
    return () => result;
  }

  const names = (count: number) => Array.from({ length: count }, (_, i) => `key-${String(i).padStart(5, '0')}`);

  it('has the keys of all partitions in byte order, within every bound', async () => {
    for (const key of ['b', 'a', 'ab', 'c', 'aa', 'ü', 'gone']) rig.write(key, `of ${key}`);
    rig.write('gone', null);
    await run();
    expect(await keysOf()).to.deep.equal(['a', 'aa', 'ab', 'b', 'c', 'ü']);
    expect(new Set(['a', 'b', 'c', 'aa'].map((key) => store.get(Buffer.from(key), 0)?.partition)).size).to.equal(3);
    expect(await keysOf({ prefix: Buffer.from('a'), after: Buffer.from('a') })).to.deep.equal(['aa', 'ab']);
    expect(await keysOf({ from: Buffer.from('ab'), to: Buffer.from('c') })).to.deep.equal(['ab', 'b']);
    const { entries } = (await database.scan(local)).page({ prefix: Buffer.from('ü'), limit: 1 });
    expect(entries[0]![1].value.toString()).to.equal('of ü');
  });

  it('gives an answer in short pages, with turns for others in between, up to the limit', async () => {
    const keys = names(3_500);
    for (const key of keys) rig.write(key, '1');
    await run();
    const scan = await database.scan(local);
    let turns = 0;
    const count = () => {
      turns += 1;
      turning = setImmediate(count);
    };
    let turning = setImmediate(count);
    const pages = await pagesOf(scan, { limit: 2_300 });
    clearImmediate(turning);
    expect(pages.map(({ length }) => length)).to.deep.equal([500, 500, 500, 500, 300]);
    expect(pages.flat()).to.deep.equal(keys.slice(0, 2_300));
    expect(turns).to.be.at.least(4);
  });

  it('ends an answer that has many bytes, and says where to go on', async () => {
    const keys = names(200);
    for (const key of keys) rig.write(key, 'v'.repeat(40_000));
    await run();
    const scan = await database.scan(local);
    const seen: string[] = [];
    let after: Buffer | undefined;
    let answers = 0;
    do {
      let bytes = 0;
      for await (const page of scan.pages({ after, limit: 10_000 })) {
        for (const [key, { latin1 }] of page.entries) {
          seen.push(key.toString());
          bytes += latin1.length;
        }
        after = page.after;
      }
      expect(bytes).to.be.below(1_400_000);
      answers += 1;
    } while (after !== undefined);
    expect(seen).to.deep.equal(keys);
    expect(answers).to.be.within(6, 9);
  });

  it('leaves values where they are when only keys are asked for', async () => {
    for (const key of names(200)) rig.write(key, 'v'.repeat(40_000));
    await run();
    const scan = await database.scan(local);
    const { entries, after } = scan.page({ limit: 1_000, keysOnly: true });
    expect(after).to.equal(undefined);
    expect(entries.map(([, { latin1 }]) => latin1)).to.deep.equal(new Array(200).fill(''));
  });

  it('has the positions of all partitions, none of which is below what was seen', async () => {
    for (const key of names(50)) rig.write(key, '1');
    await run();
    const scan = await database.scan(local);
    expect(scan.positions).to.have.length(3);
    const { entries } = scan.page({ limit: 100 });
    for (const [, { partition, offset }] of entries) expect(scan.positions[partition]).to.be.greaterThan(offset);
    rig.write('later', '1');
    await settled();
    expect(scan.positions.reduce((sum, position) => sum + position)).to.equal(51);
  });

  describe('is refused', () => {
    it('before the log has answered', async () => {
      rig.log.down = true;
      await rig.run();
      expect(await rejection(database.scan(local))).to.equal('not_caught_up');
    });

    it('while one partition is not read to its end, though it has keys of the others', async () => {
      for (const key of names(20)) rig.write(key, '1');
      const ends = await rig.log.ends();
      rig.log.ends = async () =>
        ends.map((bounds) => ({ ...bounds, end: bounds.end + (bounds.partition === 2 ? 1 : 0) }));
      await rig.run();
      expect([0, 1, 2].map((partition) => rig.replica.isCaughtUp(partition))).to.deep.equal([true, true, false]);
      for (const consistency of [
        local,
        { level: 'linearizable' },
        { level: 'session', positions: new Map() },
      ] as const) {
        expect(await rejection(database.scan(consistency))).to.equal('not_caught_up');
      }
    });

    it('while the keys are not in order yet, and not for ever', async () => {
      for (const key of names(20)) rig.write(key, '1');
      const buildIndex = store.buildIndex.bind(store);
      let mayFinish = false;
      store.buildIndex = () => mayFinish && buildIndex();
      await rig.run();
      expect(rig.replica.status().ready).to.equal(true);
      expect(await rejection(database.scan(local))).to.equal('scan_not_ready');
      mayFinish = true;
      await run();
      expect(await keysOf()).to.have.length(20);
    });

    it('no longer than that, though the log is silent when the node has caught up', async () => {
      for (const key of names(20)) rig.write(key, '1');
      await rig.log.holdReader();
      await rig.run();
      rig.log.ends = () => new Promise<readonly PartitionEnds[]>(() => {});
      await rig.clock.pass(5_000);
      rig.log.releaseReader();
      await run();
      expect(await keysOf()).to.have.length(20);
    });

    it('by a node that keeps no order', async () => {
      await rig.replica.stop();
      await setUp(new ReplicaRig());
      await rig.run();
      expect(await rejection(database.scan(local))).to.equal('scan_disabled');
    });

    it('in the middle, when everything is read anew', async () => {
      for (const key of names(1_500)) rig.write(key, '1');
      await run();
      const scan = await database.scan(local);
      const pages = scan.pages({ limit: 10_000 });
      expect((await pages.next()).value?.entries).to.have.length(500);
      await rig.log.holdReader();
      rig.log.loseLineage('the topic is another one');
      await settled();
      await settled();
      expect(await rejection(pages.next())).to.equal('not_caught_up');
      expect(await rejection((async () => scan.page({ limit: 1 }))())).to.equal('not_caught_up');
    });
  });

  describe('as a session', () => {
    it('waits for the positions that the client has seen, in every partition', async () => {
      rig.write('a', '1');
      await run();
      await rig.log.holdReader();
      const written = ['b', 'c', 'd', 'e', 'f'].map((key) => rig.write(key, '1'));
      expect(new Set(written.map(({ partition }) => partition)).size).to.equal(3);
      const positions = new Map<number, number>();
      for (const { partition, offset } of written) positions.set(partition, offset + 1);
      const scan = begun({ level: 'session', positions });
      const behind = begun({ level: 'session', positions: new Map([[0, 0]]) });
      await settled();
      expect([scan(), behind()]).to.deep.equal([undefined, 'a']);
      rig.log.releaseReader();
      await settled();
      await settled();
      expect(scan()).to.equal('a,b,c,d,e,f');
    });

    it('gives up when one partition is not there in time', async () => {
      await run();
      const scan = begun({ level: 'session', positions: new Map([[1, 5]]) });
      await rig.clock.pass(readTimeoutMs);
      expect(scan()).to.equal('position_not_reached');
    });
  });

  describe('as a linearizable read', () => {
    it('waits for what was in the log of every partition, asked once', async () => {
      rig.write('a', '1');
      await run();
      await rig.log.holdReader();
      for (const key of ['b', 'c', 'd', 'e', 'f']) rig.write(key, '1');
      const askedBefore = rig.log.asked.ends;
      const scan = begun({ level: 'linearizable' });
      await settled();
      expect([scan(), rig.log.asked.ends - askedBefore]).to.deep.equal([undefined, 1]);
      rig.log.releaseReader();
      await settled();
      await settled();
      expect(scan()).to.equal('a,b,c,d,e,f');
    });

    it('is refused when the log does not say where it ends, or leaves a partition out', async () => {
      await run();
      rig.log.ends = () => new Promise<readonly PartitionEnds[]>(() => {});
      const silent = begun({ level: 'linearizable' });
      await rig.clock.pass(readTimeoutMs);
      expect(silent()).to.equal('log_unavailable');
    });
  });
});
