import { execFileSync } from 'node:child_process';
import * as files from 'node:fs/promises';
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { FatalError } from '../../../src/kernel/errors.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import type { LogReader, ReadFrom, ReadHandler } from '../../../src/log/log.ts';
import { MemoryLog } from '../../../src/log/memory-log.ts';
import { partitioners } from '../../../src/log/partitioner.ts';
import { Replica } from '../../../src/replica/replica.ts';
import { SnapshotFile } from '../../../src/snapshot/snapshot-file.ts';
import type { SnapshotDisk } from '../../../src/snapshot/snapshot-writer.ts';
import { ArenaStore } from '../../../src/store/arena-store.ts';
import { type HashSeed, keyHash } from '../../../src/store/key-hash.ts';
import { FailingDisk } from '../../support/failing-disk.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';
import { keepingLogger, maxMessageBytes } from '../../support/replica-rig.ts';
import { SteeredLog } from '../../support/steered-log.ts';

const retentionMs = 86_400_000;
const intervalMs = 300_000;
const clusterId = 'cluster';
let seeds = 0;

/** A log that tells leader epochs, and keeps from where it was read. */
class EpochLog extends SteeredLog {
  epoch = 3;
  readonly reads: (readonly ReadFrom[])[] = [];

  override read(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    this.reads.push(from);
    return super.read(from, {
      onBatch: (slices) => handler.onBatch({ ...slices, leaderEpoch: this.epoch }),
      onGap: (partition, nextOffset) => handler.onGap(partition, nextOffset, this.epoch),
      onDisturbance: (reason) => handler.onDisturbance(reason),
      onLineageLost: (reason) => handler.onLineageLost(reason),
    });
  }
}

interface NodeOptions {
  readonly ordered?: boolean;
  readonly partitioner?: string;
  readonly disk?: SnapshotDisk;
  /** Else it is a failure of the test. */
  readonly onFatal?: (error: FatalError) => void;
}

function failTest(error: FatalError): void {
  throw error;
}

/** What there is of a node from its start to its end, under one log and clock and with one folder. */
class Run {
  readonly store: ArenaStore;
  readonly replica: Replica;
  readonly lines: string[] = [];
  readonly metrics = new Metrics({ process: false });

  constructor(
    path: string,
    log: SteeredLog,
    clock: FakeClock,
    { ordered = true, partitioner = 'murmur2', disk, onFatal = failTest }: NodeOptions,
  ) {
    seeds += 1;
    const seed: HashSeed = [seeds, -seeds];
    this.store = new ArenaStore({ tombstoneRetentionMs: retentionMs, hash: keyHash(seed), ordered });
    const file = new SnapshotFile({ path, store: this.store, seed, ...(disk !== undefined && { disk }) });
    this.replica = new Replica({
      log,
      store: this.store,
      finishStore: () => this.store.buildIndex(),
      snapshots: { file, intervalMs, partitioner },
      partitioner: partitioners.murmur2,
      settings: { partitions: 1, maxMessageBytes },
      readyLagMaxMs: 10_000,
      clock,
      logger: keepingLogger(this.lines),
      metrics: this.metrics,
      onFatal,
    });
  }

  async metric(name: string): Promise<number | undefined> {
    const line = (await this.metrics.text()).split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }
}

describe('snapshots of a replica', () => {
  let folder: string;
  let clock: FakeClock;
  let log: EpochLog;
  const runs: Run[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-snapshots-'));
    clock = new FakeClock();
    log = new EpochLog();
    log.describedAs = { topicId: 'first', clusterId };
    await log.inner.create({ partitions: 1, maxMessageBytes });
  });

  afterEach(async () => {
    await Promise.all(runs.splice(0).map(({ replica }) => replica.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  const snapshot = () => join(folder, 'snapshots', 'x.snapshot');
  const write = (key: string, value: string | null): void => {
    log.inner.appendForeign(0, Buffer.from(key), value === null ? null : Buffer.from(value), clock.nowMs());
  };

  /** Reading and writing files takes turns of the event loop, and time that is not the clock's. */
  async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isTrue())) await sleep(2);
  }

  async function start(options: NodeOptions = {}): Promise<Run> {
    const run = new Run(snapshot(), log, clock, options);
    runs.push(run);
    await run.replica.run();
    return run;
  }

  async function ready(options: NodeOptions = {}): Promise<Run> {
    const run = await start(options);
    await until(() => run.replica.status().ready);
    return run;
  }

  const written = (run: Run) => run.lines.filter((line) => line.startsWith('info: wrote a snapshot')).length;
  const value = ({ store }: Run, key: string): string | undefined =>
    store.get(Buffer.from(key), clock.nowMs())?.value.toString();
  const values = (run: Run) => ['a', 'b', 'c', 'd'].map((key) => value(run, key));

  /** A node that has read some records, and was stopped: there is a snapshot. */
  async function stopped(): Promise<void> {
    for (const key of ['a', 'b', 'c']) write(key, '1');
    const run = await ready();
    await run.replica.stop();
    expect(written(run)).to.equal(1);
  }

  describe('at a start', () => {
    beforeEach(stopped);

    it('are resumed from: the log is read only from where it was', async () => {
      const run = await ready();
      expect(log.reads.at(-1)).to.deep.equal([{ offset: 3, leaderEpoch: 3, knownTo: 3 }]);
      expect(values(run)).to.deep.equal(['1', '1', '1', undefined]);
      expect(run.replica.position(0)).to.equal(3);
      expect(run.replica.status().startedFrom).to.deep.equal({ place: 'snapshot', keys: 3 });
      expect(run.lines.join('\n')).to.contain('resumed from the snapshot: 3 keys');
      expect(await run.metric('bitacora_snapshot_restored_keys')).to.equal(3);
      expect(await run.metric('bitacora_snapshot_start{outcome="resumed"}')).to.equal(1);
      expect(await run.metric('bitacora_records_total{result="applied"}')).to.equal(0);
    });

    it('and what others wrote and deleted meanwhile comes from the log', async () => {
      write('a', null);
      write('b', '2');
      write('d', '1');
      const run = await ready();
      expect(values(run)).to.deep.equal([undefined, '2', '1', '1']);
      expect(run.store.look(Buffer.from('a'), clock.nowMs())).to.equal('absent');
      await clock.pass(2_000);
      await until(() => run.store.isOrdered);
      const keys = run.store.scan({ limit: 10 }, clock.nowMs()).entries.map(([key]) => key.toString());
      expect(keys).to.deep.equal(['b', 'c', 'd']);
      await run.replica.stop();
      expect(values(await ready())).to.deep.equal([undefined, '2', '1', '1']);
    });

    it('are not ready before they have read on to the end', async () => {
      write('a', '2');
      await log.holdReader();
      const run = await start();
      await until(() => run.replica.status().startedFrom !== undefined && run.replica.partitions === 1);
      expect(run.replica.status()).to.deep.include({ state: 'catching-up', ready: false });
      expect(value(run, 'a')).to.equal('1');
      log.releaseReader();
      await until(() => run.replica.status().ready);
      expect(value(run, 'a')).to.equal('2');
    });

    const refusals: [why: string, code: string, arrange: () => void | Promise<void>, options?: NodeOptions][] = [
      ['the topic was made anew', 'other_topic', () => describedAs({ topicId: 'second' })],
      ['the log tells no topic id', 'no_topic_id', () => describedAs({ topicId: undefined })],
      ['the brokers are of another cluster', 'other_topic', () => describedAs({ clusterId: 'other' })],
      ['the log begins after it', 'not_in_log', () => beginAt(4)],
      ['the log ends before it', 'not_in_log', () => log.remake(new MemoryLog('topic'))],
      ['keys are to be in no order', 'other_settings', () => {}, { ordered: false }],
      ['keys are partitioned otherwise', 'other_settings', () => {}, { partitioner: 'crc32' }],
      ['tombstones may have gone', 'too_old', () => clock.leap(retentionMs * 0.91)],
      ['tombstones may have gone by a setting that has been raised since', 'too_old', () => raisedRetention()],
      ['it was written in the future', 'too_old', () => setBack(1_000_000)],
      ['it is not sound', 'unsound', () => appendFile(snapshot(), 'x')],
      ['there is none', 'absent', () => rm(snapshot())],
    ];
    for (const [why, code, arrange, options] of refusals) {
      it(`are passed over, and the whole log is read, when ${why}`, async () => {
        write('d', '1');
        await arrange();
        if ((await log.inner.describe()) === undefined) await log.inner.create({ partitions: 1, maxMessageBytes });
        if (log.earliest > 0) write('a', '2');
        const run = await ready(options);
        expect(log.reads.at(-1)).to.deep.equal([{ offset: log.earliest, leaderEpoch: -1 }]);
        const { startedFrom } = run.replica.status();
        if (startedFrom?.place !== 'beginning') throw new Error('it resumed');
        expect(run.lines.join('\n')).to.contain(`info: ${startedFrom.because}: the topic is read from its beginning`);
        expect(await run.metric(`bitacora_snapshot_start{outcome="${code}"}`)).to.equal(1);
        const end = (await log.inner.ends())[0]!.end;
        expect(run.store.size.values).to.equal(log.earliest > 0 ? 1 : end);
      });
    }

    it('are resumed from although the remains of another cannot be removed', async () => {
      await files.mkdir(`${snapshot()}.tmp-1`);
      const run = await ready();
      expect(run.replica.status().startedFrom).to.deep.equal({ place: 'snapshot', keys: 3 });
      expect(run.lines.join('\n')).to.contain('warn: an unfinished snapshot could not be removed');
    });

    it('are passed over when the log begins elsewhere: it may have dropped what they hold', async () => {
      log.earliest = 1;
      const run = await ready();
      expect(await run.metric('bitacora_snapshot_start{outcome="not_in_log"}')).to.equal(1);
      expect(values(run)).to.deep.equal([undefined, '1', '1', undefined]);
      // And those that are made of that log are as good as any.
      await run.replica.stop();
      await ready();
      expect(log.reads.at(-1)).to.deep.equal([{ offset: 3, leaderEpoch: 3, knownTo: 3 }]);
    });

    it('are not replaced by a node that has caught up too late, and has not noticed yet', async () => {
      write('d', '1');
      await clock.leap(retentionMs * 0.8);
      await log.holdReader();
      const run = await start();
      await until(() => run.replica.partitions === 1);
      // Nor does it notice: nobody can be asked any more for where the log ends.
      log.down = true;
      await clock.leap(retentionMs * 0.3);
      log.releaseReader();
      await until(() => value(run, 'd') === '1');
      await run.replica.stop();
      expect(written(run)).to.equal(0);
      log.down = false;
      const next = await ready();
      expect(await next.metric('bitacora_snapshot_start{outcome="too_old"}')).to.equal(1);
    });

    it('are resumed from at any age when nothing has been written since', async () => {
      await clock.leap(retentionMs * 5);
      const run = await ready();
      expect(run.replica.status().startedFrom).to.deep.include({ place: 'snapshot' });
      write('a', '2');
      await until(() => value(run, 'a') === '2');
      await clock.pass(10_000);
      expect(await run.metric('bitacora_rebuilds_total')).to.equal(0);
    });

    it('are dropped, and their file with them, when the log has lost what they hold', async () => {
      const run = await ready();
      await log.remake(new MemoryLog('topic'));
      await log.inner.create({ partitions: 1, maxMessageBytes });
      write('a', 'new');
      log.loseLineage('the log was truncated');
      await until(() => value(run, 'a') === 'new' && run.replica.status().ready);
      expect(run.replica.status().startedFrom).to.deep.equal({ place: 'beginning', because: 'the log was truncated' });
      expect(values(run)).to.deep.equal(['new', undefined, undefined, undefined]);
      await until(async () => (await readdir(join(folder, 'snapshots'))).length === 0);
      await run.replica.stop();
      expect(values(await ready())).to.deep.equal(['new', undefined, undefined, undefined]);
      expect(log.reads.at(-1)).to.deep.equal([{ offset: 1, leaderEpoch: 3, knownTo: 1 }]);
    });

    it('can be stopped while one is being read', async () => {
      const run = await start();
      await run.replica.stop();
      expect(run.lines.filter((line) => line.startsWith('error') || line.startsWith('warn: the snap'))).to.deep.equal(
        [],
      );
      expect(values(await ready())).to.deep.equal(['1', '1', '1', undefined]);
    });

    it('do not keep a node from stopping when the disk hangs while one is being read', async () => {
      await rm(snapshot());
      // To be opened for reading, it waits for somebody who writes.
      execFileSync('mkfifo', [snapshot()]);
      const run = await start();
      await until(() => run.replica.status().reason === 'the node is reading its snapshot');
      await run.replica.stop();
      runs.splice(0);
      await (await files.open(snapshot(), 'w')).close();
      expect(run.replica.partitions).to.equal(undefined);
    });

    async function raisedRetention(): Promise<void> {
      await clock.leap(retentionMs * 0.91);
      describedAs({ deleteRetentionMs: retentionMs * 10 });
    }

    function beginAt(offset: number): void {
      log.earliest = offset;
    }

    function setBack(durationMs: number): void {
      clock = new FakeClock(clock.nowMs() - durationMs);
    }

    function describedAs(changes: SteeredLog['describedAs'] | { topicId: undefined }): void {
      log.describedAs = { ...log.describedAs, ...changes } as SteeredLog['describedAs'];
    }
  });

  describe('while a node runs', () => {
    it('are written now and then, if anything has changed', async () => {
      write('a', '1');
      const run = await ready();
      await clock.pass(intervalMs + 5_000);
      await until(() => written(run) === 1);
      expect(await run.metric('bitacora_snapshot_last_success_timestamp_seconds')).to.be.above(1_700_000_000);
      expect(await run.metric('bitacora_snapshot_bytes')).to.be.above(100);
      await clock.pass(intervalMs * 3);
      await settled();
      write('b', '1');
      await until(() => value(run, 'b') === '1');
      await clock.pass(intervalMs);
      await until(() => written(run) === 2);
      // The second was waited for, so one that was written before it would have been seen.
      await run.replica.stop();
      expect(written(run)).to.equal(2);
      runs.splice(0);
      expect(values(await ready())).to.deep.equal(['1', '1', undefined, undefined]);
    });

    it('are made anew before they are too old, although nothing has changed', async () => {
      const run = await ready();
      await clock.pass(intervalMs + 5_000);
      await until(() => written(run) === 1);
      await clock.leap(retentionMs * 0.3);
      await clock.pass(intervalMs);
      await until(() => written(run) === 2);
    });

    it('are dated by the retention of tombstones as it is now', async () => {
      const run = await ready();
      log.describedAs = { ...log.describedAs, deleteRetentionMs: retentionMs / 10 };
      await clock.pass(120_000);
      await until(() => run.store.tombstoneRetentionMs === retentionMs / 10);
      await run.replica.stop();
      log.describedAs = { ...log.describedAs, deleteRetentionMs: retentionMs };
      await clock.leap(retentionMs * 0.2);
      write('a', '1');
      expect(await (await ready()).metric('bitacora_snapshot_start{outcome="too_old"}')).to.equal(1);
    });

    for (const [who, isCutOff] of [
      ['a node', false],
      ['a node that is cut off', true],
    ] as const) {
      it(`are no younger for a clock that was set back, of ${who}`, async () => {
        write('a', '1');
        const run = await ready();
        await clock.pass(5_000);
        log.down = isCutOff;
        clock.setWall(clock.nowMs() - 7_200_000);
        await clock.pass(60_000);
        await run.replica.stop();
        expect(written(run)).to.equal(1);
        log.down = false;
        await clock.leap(retentionMs * 0.92);
        write('b', '1');
        expect(await (await ready()).metric('bitacora_snapshot_start{outcome="too_old"}')).to.equal(1);
      });
    }

    it('of a time that is still to come are made anew', async () => {
      write('a', '1');
      const run = await ready();
      await clock.pass(intervalMs + 5_000);
      await until(() => written(run) === 1);
      clock.setWall(clock.nowMs() - 7_200_000);
      await clock.pass(intervalMs);
      await until(() => written(run) === 2);
      await clock.pass(intervalMs);
      await run.replica.stop();
      expect(written(run)).to.equal(2);
      write('b', '1');
      await ready();
      expect(log.reads.at(-1)?.map(({ offset }) => offset)).to.deep.equal([1]);
    });

    it('are written again when one was given up that had just been put in its place', async () => {
      write('a', '1');
      const rename: SnapshotDisk['rename'] = async (from, to) => {
        await files.rename(from, to);
        if (log.reads.length === 1) log.loseLineage('the log was truncated');
        await until(() => log.reads.length === 2);
      };
      const run = await ready({ disk: { ...files, rename } });
      await clock.pass(intervalMs + 5_000);
      await until(() => log.reads.length === 2);
      await until(() => run.replica.status().ready);
      await run.replica.stop();
      await ready();
      expect(log.reads.at(-1)).to.deep.equal([{ offset: 1, leaderEpoch: 3, knownTo: 1 }]);
    });

    it('are not written by a node that is still reading', async () => {
      write('a', '1');
      await log.holdReader();
      const run = await start();
      await until(() => run.replica.partitions === 1);
      await clock.pass(intervalMs * 2);
      await run.replica.stop();
      expect(written(run)).to.equal(0);
    });

    it('are not written where the log tells no topic id, which is said once', async () => {
      log.describedAs = { clusterId };
      write('a', '1');
      const run = await ready();
      await clock.pass(intervalMs * 3);
      await run.replica.stop();
      expect(written(run)).to.equal(0);
      expect(run.lines.filter((line) => line.includes('no snapshots are written'))).to.have.length(1);
    });

    it('that cannot be written are told, and the node goes on', async () => {
      write('a', '1');
      const disk = new FailingDisk({ failsAt: 1, error: new Error('no space left') });
      const run = await ready({ disk });
      await clock.pass(intervalMs + 5_000);
      await until(async () => (await run.metric('bitacora_snapshot_failures_total')) === 1);
      expect(run.lines.join('\n')).to.match(/warn: .*could not be written: no space left; the one before stays/);
      expect(run.replica.status().ready).to.equal(true);
      await clock.pass(intervalMs);
      await until(() => written(run) === 1);
    });

    it('say from where to read on, and up to where they know', async () => {
      write('a', '1');
      const { disk, release, isHeld } = heldDisk();
      const run = await ready({ disk });
      await clock.pass(intervalMs + 5_000);
      await until(isHeld);
      write('b', '1');
      write('a', '2');
      await until(() => value(run, 'a') === '2');
      log.epoch = 4;
      write('c', '1');
      await until(() => value(run, 'c') === '1');
      release();
      await until(() => written(run) === 1);
      await files.copyFile(snapshot(), join(folder, 'kept'));
      await run.replica.stop();
      await files.copyFile(join(folder, 'kept'), snapshot());

      const next = await ready();
      expect(log.reads.at(-1)).to.deep.equal([{ offset: 1, leaderEpoch: 4, knownTo: 4 }]);
      expect(values(next)).to.deep.equal(['2', '1', '1', undefined]);
      await next.replica.stop();

      // A log that has lost the last of them has no offset that is known, although it goes beyond the position.
      await files.copyFile(join(folder, 'kept'), snapshot());
      await log.remake(new MemoryLog('topic'));
      await log.inner.create({ partitions: 1, maxMessageBytes });
      for (const key of ['a', 'b', 'a']) write(key, 'other');
      expect(values(await ready())).to.deep.equal(['other', 'other', undefined, undefined]);
    });

    it('are given up when the store fails, and the one before stays', async () => {
      await stopped();
      const { disk, release, isHeld } = heldDisk();
      const ends: string[] = [];
      const rename: SnapshotDisk['rename'] = async (from, to) => {
        ends.push('renamed');
        await disk.rename(from, to);
      };
      const unlink: SnapshotDisk['rm'] = async (path, options) => {
        ends.push('removed');
        await disk.rm(path, options);
      };
      const fatal: FatalError[] = [];
      const run = await ready({ disk: { ...disk, rename, rm: unlink }, onFatal: (error) => fatal.push(error) });
      write('d', '1');
      await until(() => value(run, 'd') === '1');
      await clock.pass(intervalMs + 5_000);
      await until(isHeld);
      run.store.put = () => {
        throw new RangeError('Array buffer allocation failed');
      };
      write('e', '1');
      await until(() => fatal.length === 1);
      release();
      await until(() => ends.length > 0);
      expect(ends).to.deep.equal(['removed']);
      await run.replica.stop();
      expect(written(run)).to.equal(0);
      await ready();
      expect(log.reads.at(-1)?.map(({ offset }) => offset)).to.deep.equal([3]);
    });

    it('do not keep a node from stopping when the disk hangs', async () => {
      write('a', '1');
      const { disk, release, isHeld } = heldDisk();
      const run = await ready({ disk });
      let hasStopped = false;
      const stopping = run.replica.stop().then(() => {
        hasStopped = true;
      });
      await until(isHeld);
      await clock.pass(10_000);
      expect(hasStopped).to.equal(false);
      await clock.pass(15_000);
      await stopping;
      expect(run.lines.at(-1)).to.contain('no time for a last snapshot');
      runs.splice(0);
      release();
      await until(async () => (await readdir(join(folder, 'snapshots'))).length === 0);
    });
  });
});

/** A disk whose first file is not opened before it is released. */
function heldDisk(): { disk: SnapshotDisk; release: () => void; isHeld: () => boolean } {
  let release = (): void => {};
  let isHeld = false;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const open = (async (path: string, flags: string, mode: number) => {
    isHeld = true;
    await released;
    return files.open(path, flags, mode);
  }) as SnapshotDisk['open'];
  return { disk: { ...files, open }, release, isHeld: () => isHeld };
}
