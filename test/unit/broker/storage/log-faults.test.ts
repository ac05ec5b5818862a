import { mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { PartitionLog } from '../../../../src/broker/storage/partition-log.ts';
import { writeBatch } from '../../../../src/protocol/record-batch.ts';
import { sealed } from './compressed.ts';
import { append, batchOf, compacted, failureOf, headersOf, LogRig, recordsOf } from './log-rig.ts';

const baseTimestampAt = 27;
const limits = { maxBytes: 1_000, minOneBatch: true, isolation: 'read_uncommitted' } as const;
const keysOf = async (log: PartitionLog) => (await recordsOf(log)).map(({ key, offset }) => `${key}@${offset}`);

describe('partition log when something fails', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  it('flushes again after an attempt for which nothing could be opened', async () => {
    const folder = await rig.folder();
    const log = await rig.open(folder, {}, 'acks-all');
    append(log, ['a']);
    await rename(folder, `${folder}-aside`);
    expect(await failureOf(() => log.flushed(1))).to.equal('KAFKA_STORAGE_ERROR');
    await rename(`${folder}-aside`, folder);
    append(log, ['b']);
    await log.flushed(2);
    expect(log.isWritable).to.equal(true);
  });

  it('compacts once it can, after an attempt that ended before files changed their names', async () => {
    const folder = await rig.folder();
    const log = await rig.open(folder, { ...compacted, segmentBytes: 300 });
    for (let index = 0; index < 20; index += 1) append(log, ['k:v']);
    // The manifest is written over this file.
    const inTheWay = join(folder, 'bitacora-manifest.tmp');
    await mkdir(inTheWay);
    expect(await failureOf(() => log.compact(rig.clock.nowMs()))).to.equal('KAFKA_STORAGE_ERROR');
    expect((await readdir(folder)).filter((name) => name.endsWith('.cleaned'))).to.deep.equal([]);
    await rmdir(inTheWay);
    await log.compact(rig.clock.nowMs());
    expect(await recordsOf(log)).to.have.length.below(10);
  });

  it('goes on with what a compaction has made though its index cannot be written', async () => {
    const folder = await rig.folder();
    const config = { ...compacted, segmentBytes: 2_000 };
    const log = await rig.open(folder, config);
    for (let index = 0; index < 50; index += 1) append(log, [`k${index % 25}:${'v'.repeat(50)}`]);
    // The output has more segments than what it is made of, so that none of their indexes were there before.
    log.configure({ ...config, segmentBytes: 500 });
    const bases = new Set(log.closedSegments.map(({ baseOffset }) => baseOffset));
    const others = Array.from({ length: log.endOffset }, (_, offset) => offset).filter((offset) => !bases.has(offset));
    const inTheWay = others.map((offset) => join(folder, `${String(offset).padStart(20, '0')}.index`));
    for (const path of inTheWay) await mkdir(path);
    await log.compact(rig.clock.nowMs());
    expect(log.closedSegments.some(({ baseOffset }) => !bases.has(baseOffset))).to.equal(true);
    append(log, ['next:v']);
    const found = await keysOf(log);
    expect(new Set(found.map((each) => each.split('@')[0]))).to.have.length(26);
    for (const path of inTheWay) await rmdir(path);
    await log.close();
    expect(await keysOf(await rig.open(folder, config))).to.deep.equal(found);
  });

  it('compacts around a batch with times that it cannot write', async () => {
    const log = await rig.fresh({ ...compacted, segmentBytes: 300 });
    const records = [0, -(2 ** 63) + 2 ** 12].map((timestampMs, index) => {
      return { key: Buffer.from(`k${index}`), value: Buffer.from('v'), timestampMs };
    });
    const poison = writeBatch({ records });
    // Times are differences to this one, and the second one gets too low for 64 bits.
    poison.writeBigInt64BE(BigInt(Number.MIN_SAFE_INTEGER), baseTimestampAt);
    log.append(sealed(poison), { leaderEpoch: 0, origin: 'client' });
    for (let index = 0; index < 20; index += 1) append(log, ['k0:v']);
    await log.compact(rig.clock.nowMs());
    expect(log.isDirtyEnough(rig.clock.nowMs())).to.equal(false);
    const [first, ...others] = await headersOf(log);
    expect(first).to.include({ baseOffset: 0, count: 2 });
    expect(others).to.have.length.below(8);
  });

  it('deletes nothing of another log that has its folder by now', async () => {
    const folder = await rig.folder();
    const old = await rig.open(folder, { segmentBytes: 120 });
    for (let index = 0; index < 5; index += 1) append(old, ['x'.repeat(40)]);
    await old.remove();
    const log = await rig.open(folder, { segmentBytes: 120 });
    for (let index = 0; index < 5; index += 1) append(log, ['x'.repeat(40)]);
    const before = await readdir(folder);
    expect(await failureOf(() => old.dropOldestSegment())).to.equal('KAFKA_STORAGE_ERROR');
    expect(await readdir(folder)).to.deep.equal(before);
  });

  it('writes down an epoch when it can, after it could not', async () => {
    const folder = await rig.folder();
    const log = await rig.open(folder);
    const inTheWay = join(folder, 'leader-epoch-checkpoint.tmp');
    const ofEpoch = (leaderEpoch: number) => log.append(batchOf(['a']), { leaderEpoch, origin: 'client' });
    ofEpoch(1);
    await mkdir(inTheWay);
    expect(await failureOf(() => ofEpoch(3))).to.equal('KAFKA_STORAGE_ERROR');
    await rmdir(inTheWay);
    ofEpoch(3);
    await log.close();
    const again = await rig.open(folder, {}, 'none', 4);
    expect([0, 1].map((offset) => again.epochAt(offset))).to.deep.equal([1, 3]);
  });

  it('ends reads that wait for an index when its folder is removed', async () => {
    const folder = await rig.folder();
    const first = await rig.open(folder, { segmentBytes: 120 });
    for (let index = 0; index < 5; index += 1) append(first, ['x'.repeat(40)]);
    await first.close();
    const log = await rig.open(folder, { segmentBytes: 120 });
    const reads = [() => log.read(0, limits), () => log.offsetForTime(0), () => log.offsetOfMaxTimestamp()].map(
      (read) => failureOf(read),
    );
    await log.remove();
    for (const failure of await Promise.all(reads)) expect(failure).to.be.oneOf([undefined, 'KAFKA_STORAGE_ERROR']);
  });
});
