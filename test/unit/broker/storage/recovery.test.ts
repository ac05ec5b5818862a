import { cp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { append, batchOf, compacted, defaults, LogRig, recordsOf } from './log-rig.ts';

const small = { segmentBytes: 400 };
const name = (offset: number, suffix: string): string => `${String(offset).padStart(20, '0')}${suffix}`;

describe('recovery of a partition log', () => {
  const rig = new LogRig();
  let folder: string;
  beforeEach(async () => {
    folder = await rig.folder();
  });
  afterEach(() => rig.clean());

  const fill = async (count: number, config = small): Promise<void> => {
    const log = await rig.open(folder, config);
    for (let index = 0; index < count; index += 1)
      append(log, [`key${index % 3}:value ${index}`], { timestampMs: 1_000 + index });
    await log.close();
  };

  it('does not trust index files: damaged or missing, they are made anew', async () => {
    await fill(40);
    for (const file of await readdir(folder)) {
      const path = join(folder, file);
      if (file.endsWith('.index')) await writeFile(path, Buffer.alloc(8 * 3, 0x11));
      if (file.endsWith('.timeindex')) await rm(path);
    }
    const log = await rig.open(folder, small);
    for (let offset = 0; offset < 40; offset += 1) {
      expect((await recordsOf(log, { from: offset }))[0]?.offset).to.equal(offset);
      expect((await log.offsetForTime(1_000 + offset))?.offset).to.equal(offset);
    }
  });

  it('finds aborted transactions again when their index is lost', async () => {
    const log = await rig.open(folder, small);
    const producer = { producerId: 1, producerEpoch: 0, isTransactional: true };
    append(log, ['a:aborted'], { ...producer, baseSequence: 0 });
    log.appendMarker({ producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, commit: false, leaderEpoch: 0 });
    for (let index = 0; index < 20; index += 1) append(log, [`b:${index}`]);
    await log.close();
    await rm(join(folder, name(0, '.txnindex')));
    const again = await rig.open(folder, small);
    const committed = await recordsOf(again, { isolation: 'read_committed' });
    expect(committed.map(({ key }) => key)).to.not.include('a');
    expect(committed).to.have.length(20);
  });

  it('has open transactions and sequences again, with and without the snapshot', async () => {
    for (const keepsSnapshots of [true, false]) {
      folder = await rig.folder();
      const log = await rig.open(folder, small);
      const producer = { producerId: 4, producerEpoch: 2, isTransactional: true };
      for (let index = 0; index < 10; index += 1) append(log, [`a:${index}`], { ...producer, baseSequence: index });
      await log.close();
      for (const file of await readdir(folder)) {
        if (!keepsSnapshots && file.endsWith('.snapshot')) await rm(join(folder, file));
      }
      const again = await rig.open(folder, small);
      expect(again.lastStableOffset).to.equal(0);
      expect([...again.activeProducers()]).to.deep.equal([
        {
          producerId: 4,
          producerEpoch: 2,
          lastSequence: 9,
          lastTimestampMs: 1_700_000_000_000,
          coordinatorEpoch: -1,
          currentTxnStartOffset: 0,
        },
      ]);
      expect(append(again, ['a:9'], { ...producer, baseSequence: 9 })).to.include({ baseOffset: 9, isDuplicate: true });
      expect(append(again, ['a:10'], { ...producer, baseSequence: 10 })).to.include({
        baseOffset: 10,
        isDuplicate: false,
      });
    }
  });

  it('removes what lies behind a hole, and takes offsets from there on', async () => {
    await fill(30);
    await rm(join(folder, 'bitacora-manifest'));
    const segments = (await readdir(folder)).filter((file) => file.endsWith('.log')).sort();
    const torn = segments[1]!;
    await truncate(join(folder, torn), 100);
    const log = await rig.open(folder, small);
    expect(log.endOffset).to.be.within(Number(torn.slice(0, 20)), Number(segments[2]!.slice(0, 20)) - 1);
    expect(await recordsOf(log)).to.have.length(log.endOffset);
    const left = (await readdir(folder)).filter((file) => /\d{20}\./.test(file));
    for (const file of left) expect(Number(file.slice(0, 20))).to.be.at.most(log.endOffset);
  });

  it('keeps the start of the log, even when all that was behind it is lost', async () => {
    const log = await rig.open(folder);
    append(log, ['a', 'b', 'c', 'd']);
    append(log, ['e']);
    log.deleteRecordsBefore(3);
    await log.close();
    let again = await rig.open(folder);
    expect(again.logStartOffset).to.equal(3);
    expect((await recordsOf(again)).map(({ value }) => value)).to.deep.equal(['d', 'e']);
    await again.close();
    await truncate(join(folder, name(0, '.log')), 0);
    again = await rig.open(folder);
    expect([again.logStartOffset, again.endOffset]).to.deep.equal([3, 3]);
    expect(append(again, ['f']).baseOffset).to.equal(3);
  });

  it('ends a swap of segments that was complete, and drops output of a compaction that was not', async () => {
    await fill(30);
    const before = await rig.folder();
    await cp(folder, before, { recursive: true });
    const log = await rig.open(folder, { ...compacted, segmentBytes: 100_000, segmentMs: 1 });
    await rig.clock.pass(10);
    await log.compact(rig.clock.nowMs());
    const compact = await recordsOf(log);
    expect(compact).to.have.length(3);
    await log.close();
    const [output] = (await readdir(folder)).filter((file) => file.endsWith('.log')).sort();

    const halfSwapped = await rig.folder();
    await cp(before, halfSwapped, { recursive: true });
    await cp(join(folder, output!), join(halfSwapped, `${output}.swap`));
    await rename(join(halfSwapped, output!), join(halfSwapped, `${output}.deleted`));
    const swapped = await rig.open(halfSwapped, { ...compacted, ...small });
    expect(await recordsOf(swapped)).to.deep.equal(compact);
    expect(swapped.endOffset).to.equal(30);

    const halfWritten = await rig.folder();
    await cp(before, halfWritten, { recursive: true });
    await cp(join(folder, output!), join(halfWritten, `${output}.cleaned`));
    await cp(join(folder, output!), join(halfWritten, `${name(29, '.log')}.swap`));
    const whole = await rig.open(halfWritten, { ...compacted, ...small });
    expect(await recordsOf(whole)).to.have.length(30);
    for (const each of [halfSwapped, halfWritten]) {
      expect((await readdir(each)).filter((file) => /\.(swap|cleaned|deleted|tmp)$/.test(file))).to.deep.equal([]);
    }
  });

  it('takes over a folder that has nothing but logs', async () => {
    await fill(30);
    const bare = await rig.folder();
    for (const file of await readdir(folder)) if (file.endsWith('.log')) await cp(join(folder, file), join(bare, file));
    const log = await rig.open(bare, small);
    expect(await recordsOf(log)).to.have.length(30);
    expect(log.endOffsetForEpoch(0)).to.deep.equal({ leaderEpoch: 0, endOffset: 30 });
  });

  it('leaves the files as they are when nothing was appended in between', async () => {
    await fill(30);
    const files = async () =>
      new Map(
        await Promise.all(
          (await readdir(folder)).sort().map(async (file) => [file, await readFile(join(folder, file))] as const),
        ),
      );
    const before = await files();
    const log = await rig.open(folder, small);
    await recordsOf(log);
    await log.close();
    expect(await files()).to.deep.equal(before);
  });

  it('cuts off a batch that is sound but out of its place', async () => {
    await fill(2, { segmentBytes: defaults.segmentBytes });
    const path = join(folder, name(0, '.log'));
    const stray = batchOf(['key:stray'], { baseOffset: 1 });
    await writeFile(path, Buffer.concat([await readFile(path), stray]));
    const log = await rig.open(folder);
    expect(log.endOffset).to.equal(2);
    expect((await readFile(path)).includes('stray')).to.equal(false);
  });
});
