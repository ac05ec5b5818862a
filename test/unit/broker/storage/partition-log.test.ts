import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import { readHeader, writeBatch } from '../../../../src/protocol/record-batch.ts';
import { gzipped, sealed } from './compressed.ts';
import { append, batchOf, compacted, failureOf, headersOf, LogRig, recordsOf } from './log-rig.ts';

const client = { leaderEpoch: 0, origin: 'client' as const };
const hourMs = 3_600_000;
const numbered = (offsetDelta: number) => ({ key: null, value: Buffer.from('a'), timestampMs: 0, offsetDelta });

/** Has a batch say that it holds so many records. */
function claim(batch: Buffer, count: number): void {
  batch.writeInt32BE(count - 1, 23);
  batch.writeInt32BE(count, 57);
}

describe('partition log', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  describe('refuses', () => {
    const damaged: readonly [what: string, error: string | undefined, make: () => Buffer, config?: object][] = [
      ['nothing that is right', undefined, () => batchOf(['a', 'b'])],
      ['a batch with a wrong CRC', 'CORRUPT_MESSAGE', () => changed((batch) => batch.writeUInt8(0, 65))],
      ['no bytes', 'CORRUPT_MESSAGE', () => Buffer.alloc(0)],
      ['half a batch', 'CORRUPT_MESSAGE', () => batchOf(['a']).subarray(0, 64)],
      ['two batches', 'INVALID_RECORD', () => Buffer.concat([batchOf(['a']), batchOf(['b'])])],
      ['an old format', 'UNSUPPORTED_FOR_MESSAGE_FORMAT', () => changed((batch) => batch.writeInt8(1, 16))],
      ['an unknown format', 'CORRUPT_MESSAGE', () => changed((batch) => batch.writeInt8(3, 16))],
      ['an unknown codec', 'CORRUPT_MESSAGE', () => sealed(changed((batch) => batch.writeInt16BE(7, 21)))],
      ['control batches', 'INVALID_RECORD', () => batchOf(['a'], { isControl: true })],
      ['a base offset', 'INVALID_RECORD', () => batchOf(['a'], { baseOffset: 5 })],
      ['offsets without records', 'INVALID_RECORD', () => batchOf(['a'], { lastOffsetDelta: 1 })],
      ['no records', 'INVALID_RECORD', () => batchOf([])],
      [
        'numbers twice',
        'INVALID_RECORD',
        () => writeBatch({ records: [numbered(0), numbered(0)], lastOffsetDelta: 1 }),
      ],
      ['fewer records than it says', 'CORRUPT_MESSAGE', () => sealed(changed((batch) => claim(batch, 3)))],
      ['a producer without sequence', 'INVALID_RECORD', () => batchOf(['a'], { producerId: 1, producerEpoch: 0 })],
      ['a transaction of nobody', 'INVALID_RECORD', () => batchOf(['a'], { isTransactional: true })],
      ['a time set by the client', 'INVALID_TIMESTAMP', () => batchOf(['a'], { isLogAppendTime: true })],
      ['a time beyond all', 'INVALID_TIMESTAMP', () => sealed(changed((batch) => batch.fill(0x7f, 35, 43)))],
      ['a first time beyond all', 'INVALID_TIMESTAMP', () => sealed(changed((batch) => batch.writeInt8(-128, 27)))],
      ['what is too large', 'MESSAGE_TOO_LARGE', () => batchOf(['a'.repeat(200)]), { maxMessageBytes: 200 }],
      ['what no segment can hold', 'RECORD_LIST_TOO_LARGE', () => batchOf(['a'.repeat(200)]), { segmentBytes: 200 }],
      ['no key on a compacted topic', 'INVALID_RECORD', () => batchOf(['a:1', 'b']), compacted],
    ];

    for (const [what, error, make, config] of damaged) {
      it(what, async () => {
        const log = await rig.fresh(config);
        expect(await failureOf(() => log.append(make(), client))).to.equal(error);
        expect(log.endOffset).to.equal(error === undefined ? 2 : 0);
        expect(log.sizeBytes > 0).to.equal(error === undefined);
      });
    }

    it('no key in a compressed batch on a compacted topic', async () => {
      const log = await rig.fresh(compacted);
      expect(await failureOf(() => log.checkCompressedKeys(gzipped(batchOf(['a:1', 'b']))))).to.equal('INVALID_RECORD');
      expect(await failureOf(() => log.checkCompressedKeys(gzipped(batchOf(['a:1', 'b:2']))))).to.equal(undefined);
      const garbage = gzipped(batchOf(['a:1']));
      garbage.fill(0x55, 70);
      expect(await failureOf(() => log.checkCompressedKeys(sealed(garbage)))).to.equal('CORRUPT_MESSAGE');
      expect(log.checkCompressedKeys(batchOf(['b']))).to.equal(undefined);
      expect((await rig.fresh()).checkCompressedKeys(gzipped(batchOf(['b'])))).to.equal(undefined);
    });

    it('reads before its start and after its end', async () => {
      const log = await rig.fresh();
      append(log, ['a', 'b', 'c']);
      log.deleteRecordsBefore(1);
      const limits = { maxBytes: 1_000, minOneBatch: true, isolation: 'read_uncommitted' } as const;
      for (const offset of [-1, 0, 4])
        expect(await failureOf(() => log.read(offset, limits))).to.equal('OFFSET_OUT_OF_RANGE');
      expect((await log.read(3, limits)).records).to.have.length(0);
    });

    it('everything once it is closed', async () => {
      const log = await rig.fresh();
      await log.close();
      expect(await failureOf(() => append(log, ['a']))).to.equal('KAFKA_STORAGE_ERROR');
    });
  });

  it('sets offset and leader epoch in the batch, and leaves the rest as it came', async () => {
    const log = await rig.fresh();
    append(log, ['first', 'second']);
    const batch = gzipped(batchOf(['third', 'fourth']));
    const before = Buffer.from(batch);
    const appended = log.append(batch, { leaderEpoch: 9, origin: 'client' });
    expect(appended).to.deep.equal({
      baseOffset: 2,
      lastOffset: 3,
      logAppendTimeMs: -1,
      logStartOffset: 0,
      isDuplicate: false,
    });
    const { records } = await log.read(2, { maxBytes: 1_000, minOneBatch: true, isolation: 'read_uncommitted' });
    expect(readHeader(records)).to.include({ baseOffset: 2, leaderEpoch: 9, codec: 'gzip' });
    expect(records.subarray(16)).to.deep.equal(before.subarray(16));
    expect(log.endOffsetForEpoch(0)).to.deep.equal({ leaderEpoch: 0, endOffset: 2 });
    expect(log.endOffsetForEpoch(5)).to.deep.equal({ leaderEpoch: 0, endOffset: 2 });
    expect(log.endOffsetForEpoch(9)).to.deep.equal({ leaderEpoch: 9, endOffset: 4 });
    expect(log.endOffsetForEpoch(10)).to.deep.equal({ leaderEpoch: -1, endOffset: -1 });
  });

  it('stamps batches with the time of the append when it is told to', async () => {
    const log = await rig.fresh({ messageTimestampType: 'LogAppendTime' });
    await rig.clock.pass(5);
    const nowMs = rig.clock.nowMs();
    expect(append(log, ['a', 'b'], { timestampMs: 1 }).logAppendTimeMs).to.equal(nowMs);
    expect((await recordsOf(log)).map(({ timestampMs }) => timestampMs)).to.deep.equal([nowMs, nowMs]);
    expect(await log.offsetForTime(nowMs)).to.include({ offset: 0, timestampMs: nowMs });
  });

  it('appends a batch once, and says where it is when it comes again', async () => {
    const log = await rig.fresh();
    const producer = { producerId: 1, producerEpoch: 0, baseSequence: 0 };
    append(log, ['x']);
    append(log, ['a', 'b'], producer);
    const { endOffset, sizeBytes } = log;
    expect(append(log, ['a', 'b'], producer)).to.include({ baseOffset: 1, lastOffset: 2, isDuplicate: true });
    expect([log.endOffset, log.sizeBytes]).to.deep.equal([endOffset, sizeBytes]);
  });

  it('answers whole batches: the first whatever its size, if it is told to, and others that fit', async () => {
    const log = await rig.fresh();
    for (const value of ['a', 'b', 'c']) append(log, [value.repeat(100)]);
    const bytes = log.sizeBytes / 3;
    const read = async (maxBytes: number, minOneBatch: boolean) =>
      (await log.read(0, { maxBytes, minOneBatch, isolation: 'read_uncommitted' })).records.length / bytes;
    expect(await read(0, true)).to.equal(1);
    expect(await read(0, false)).to.equal(0);
    expect(await read(bytes - 1, false)).to.equal(0);
    expect(await read(bytes * 2.5, false)).to.equal(2);
    expect(await read(0x7fff_ffff, false)).to.equal(3);
  });

  it('answers readers at its end as it does others', async () => {
    const log = await rig.fresh({ segmentBytes: 2_000 });
    const limits = { maxBytes: 400, minOneBatch: true, isolation: 'read_uncommitted' } as const;
    await log.read(0, limits);
    for (let index = 0; index < 60; index += 1) append(log, [`${index}`, `${index}`], { timestampMs: index });
    const cached = [];
    for (let offset = 0; offset < 120; offset += 1)
      cached.push((await log.read(offset, limits)).records.toString('hex'));
    // The first tells that nobody has read since the time before, the second that nobody will.
    for (let round = 0; round < 2; round += 1) await log.retain(rig.clock.nowMs());
    for (const [offset, hex] of cached.entries()) {
      const { records } = await log.read(offset, limits);
      const [from, other] = [records.toString('hex'), hex];
      // A read from a file ends with its segment.
      expect(from.startsWith(other) || other.startsWith(from)).to.equal(true);
      expect(from).to.not.equal('');
    }
    expect(await recordsOf(log)).to.have.length(120);
  });

  it('tells listeners of appends and of the ends of transactions', async () => {
    const log = await rig.fresh();
    let calls = 0;
    const stop = log.onAdvance(() => {
      calls += 1;
    });
    append(log, ['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true });
    log.appendMarker({ producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, commit: true, leaderEpoch: 0 });
    stop();
    append(log, ['b']);
    expect(calls).to.equal(2);
  });

  it('lets committed readers up to the first open transaction, and tells them what was aborted', async () => {
    const log = await rig.fresh({ segmentBytes: 300 });
    const begin = (producerId: number, value: string) =>
      append(log, [value], { producerId, producerEpoch: 0, baseSequence: 0, isTransactional: true });
    const end = (producerId: number, commit: boolean) =>
      log.appendMarker({ producerId, producerEpoch: 0, coordinatorEpoch: 0, commit, leaderEpoch: 0 });
    const committed = async () => (await recordsOf(log, { isolation: 'read_committed' })).map(({ value }) => value);
    append(log, ['plain']);
    begin(1, 'kept');
    begin(2, 'lost');
    append(log, ['after']);
    expect(await committed()).to.deep.equal(['plain']);
    end(2, false);
    expect(log.lastStableOffset).to.equal(1);
    expect(await committed()).to.deep.equal(['plain']);
    end(1, true);
    expect(log.lastStableOffset).to.equal(log.endOffset);
    expect(await committed()).to.deep.equal(['plain', 'kept', 'after']);
    expect((await recordsOf(log)).map(({ value }) => value)).to.deep.equal(['plain', 'kept', 'lost', 'after']);
    const { abortedTransactions } = await log.read(2, { maxBytes: 1, minOneBatch: true, isolation: 'read_committed' });
    expect(abortedTransactions).to.deep.equal([{ producerId: 2, firstOffset: 2 }]);
  });

  it('begins a new segment when one is full or old', async () => {
    const log = await rig.fresh({ segmentBytes: 300, segmentMs: hourMs });
    for (let index = 0; index < 9; index += 1) append(log, ['x'.repeat(50)]);
    const full = log.closedSegments.length;
    expect(full).to.be.above(1);
    for (const { bytes } of log.closedSegments) expect(bytes).to.be.at.most(300);
    await rig.clock.pass(hourMs);
    append(log, ['late']);
    expect(log.closedSegments).to.have.length(full + 1);
    await rig.clock.pass(hourMs);
    await log.retain(rig.clock.nowMs());
    expect(log.closedSegments).to.have.length(full + 2);
  });

  it('deletes segments by the time of their latest record, and by size, but never what a newer one needs', async () => {
    const log = await rig.fresh({ segmentBytes: 120, retentionMs: hourMs, retentionBytes: -1 });
    const nowMs = rig.clock.nowMs();
    for (const ageMs of [3, 2, 0.5, 2, 0].map((hours) => hours * hourMs))
      append(log, ['x'.repeat(40)], { timestampMs: nowMs - ageMs });
    expect(await log.retain(nowMs)).to.include({ segments: 2 });
    expect([log.logStartOffset, log.endOffset]).to.deep.equal([2, 5]);
    log.configure({ ...log.config, retentionMs: -1, retentionBytes: log.sizeBytes - 1 });
    expect(await log.retain(nowMs)).to.include({ segments: 0 });
    log.configure({ ...log.config, retentionBytes: 0 });
    await log.retain(nowMs);
    expect([log.logStartOffset, log.endOffset, log.sizeBytes]).to.deep.equal([5, 5, 0]);
    expect(append(log, ['next']).baseOffset).to.equal(5);
  });

  it('keeps everything of a topic that is only compacted', async () => {
    const log = await rig.fresh({ ...compacted, segmentBytes: 120, retentionMs: 0, retentionBytes: 0 });
    for (let index = 0; index < 5; index += 1) append(log, [`k${index}:v`], { timestampMs: 1 });
    expect(await log.retain(rig.clock.nowMs())).to.deep.equal({ segments: 0, bytes: 0 });
    expect(await failureOf(() => log.deleteRecordsBefore(2))).to.equal('POLICY_VIOLATION');
  });

  it('moves its start on demand, and deletes the segments before it later', async () => {
    const log = await rig.fresh({ segmentBytes: 120 });
    for (let index = 0; index < 6; index += 1) append(log, ['x'.repeat(40)]);
    expect(await failureOf(() => log.deleteRecordsBefore(7))).to.equal('OFFSET_OUT_OF_RANGE');
    log.deleteRecordsBefore(4);
    log.deleteRecordsBefore(2);
    expect(log.logStartOffset).to.equal(4);
    expect(await log.retain(rig.clock.nowMs())).to.include({ segments: 4 });
    expect((await recordsOf(log)).map(({ offset }) => offset)).to.deep.equal([4, 5]);
    log.deleteRecordsBefore(-1);
    expect(log.logStartOffset).to.equal(6);
  });

  it('serves a reader whose segment goes while it reads', async () => {
    const log = await rig.fresh({ segmentBytes: 120, retentionMs: 0 });
    for (let index = 0; index < 5; index += 1) append(log, ['x'.repeat(40)], { timestampMs: 1 });
    const reading = log.read(0, { maxBytes: 1_000, minOneBatch: true, isolation: 'read_uncommitted' });
    const deleted = log.retain(rig.clock.nowMs());
    const answer = await reading.catch((error: unknown) => error);
    await deleted;
    if (answer instanceof Error) expect(answer).to.include({ error: 'OFFSET_OUT_OF_RANGE' });
    else expect(readHeader((answer as Awaited<typeof reading>).records).baseOffset).to.equal(0);
  });

  it('looks for times in what is left when segments go meanwhile', async () => {
    const folder = await rig.folder();
    const config = { segmentBytes: 120, retentionBytes: 250 };
    const first = await rig.open(folder, config);
    for (const timestampMs of [90, 80, 10, 40, 30, 20]) append(first, ['x'.repeat(40)], { timestampMs });
    await first.close();
    const log = await rig.open(folder, config);
    const latest = log.offsetOfMaxTimestamp();
    const late = log.offsetForTime(35);
    await log.retain(rig.clock.nowMs());
    expect(log.logStartOffset).to.be.within(2, 3);
    expect(await latest).to.include({ offset: 3, timestampMs: 40 });
    expect(await late).to.include({ offset: 3, timestampMs: 40 });
  });

  it('ends an epoch where the next one begins to lead, though nothing was appended since', async () => {
    const folder = await rig.folder();
    const first = await rig.open(folder, { segmentBytes: 120 }, 'none', 3);
    expect(first.endOffsetForEpoch(3)).to.deep.equal({ leaderEpoch: 3, endOffset: 0 });
    const write = (log: typeof first, leaderEpoch: number) => {
      for (let index = 0; index < 2; index += 1)
        log.append(batchOf(['x'.repeat(40)]), { leaderEpoch, origin: 'client' });
    };
    write(first, 3);
    await first.close();
    const second = await rig.open(folder, { segmentBytes: 120 }, 'none', 4);
    await second.close();
    const third = await rig.open(folder, { segmentBytes: 120 }, 'none', 5);
    expect(third.endOffsetForEpoch(3)).to.deep.equal({ leaderEpoch: 3, endOffset: 2 });
    expect(third.endOffsetForEpoch(4)).to.deep.equal({ leaderEpoch: 3, endOffset: 2 });
    expect(third.endOffsetForEpoch(5)).to.deep.equal({ leaderEpoch: 5, endOffset: 2 });
    write(third, 5);
    await third.close();
    const last = await rig.open(folder, { segmentBytes: 120 }, 'none', 6);
    expect([0, 1, 2, 3, 4].map((offset) => last.epochAt(offset))).to.deep.equal([3, 3, 5, 5, 6]);
    expect(last.endOffsetForEpoch(5)).to.deep.equal({ leaderEpoch: 5, endOffset: 4 });
  });

  it('ends reads that are under way when it is closed', async () => {
    const folder = await rig.folder();
    const first = await rig.open(folder, { segmentBytes: 120 });
    for (let index = 0; index < 5; index += 1) append(first, ['x'.repeat(40)]);
    await first.close();
    const log = await rig.open(folder, { segmentBytes: 120 });
    const reading = failureOf(() => log.read(0, { maxBytes: 1_000, minOneBatch: true, isolation: 'read_uncommitted' }));
    await log.close();
    expect(await reading).to.be.oneOf([undefined, 'KAFKA_STORAGE_ERROR']);
  });

  it('forgets producers that were idle for a day', async () => {
    const log = await rig.fresh();
    append(log, ['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0 });
    await rig.clock.pass(23 * hourMs);
    await log.retain(rig.clock.nowMs());
    expect([...log.activeProducers()]).to.have.length(1);
    await rig.clock.pass(2 * hourMs);
    await log.retain(rig.clock.nowMs());
    expect([...log.activeProducers()]).to.have.length(0);
  });

  it('compacts when enough is new, or when something has waited too long', async () => {
    const config = { ...compacted, segmentBytes: 400, minCleanableDirtyRatio: 0.5 };
    const log = await rig.fresh(config);
    const write = (count: number) => {
      for (let index = 0; index < count; index += 1)
        append(log, [`k${index % 20}:v`], { timestampMs: rig.clock.nowMs() });
    };
    expect(log.isDirtyEnough(rig.clock.nowMs())).to.equal(false);
    write(60);
    expect(log.isDirtyEnough(rig.clock.nowMs())).to.equal(true);
    await log.compact(rig.clock.nowMs());
    expect(log.isDirtyEnough(rig.clock.nowMs())).to.equal(false);
    write(8);
    expect(log.isDirtyEnough(rig.clock.nowMs())).to.equal(false);
    log.configure({ ...config, maxCompactionLagMs: hourMs });
    await rig.clock.pass(hourMs + 1);
    expect(log.isDirtyEnough(rig.clock.nowMs())).to.equal(true);
  });

  it('leaves records alone that are younger than the compaction lag', async () => {
    const config = { ...compacted, segmentBytes: 150, minCompactionLagMs: hourMs };
    const log = await rig.fresh(config);
    for (let index = 0; index < 10; index += 1) append(log, ['k:v'], { timestampMs: rig.clock.nowMs() });
    await log.compact(rig.clock.nowMs());
    expect(await recordsOf(log)).to.have.length(10);
    await rig.clock.pass(hourMs);
    await log.compact(rig.clock.nowMs());
    expect(await recordsOf(log)).to.have.length.below(4);
  });

  it('keeps a tombstone for its time after the first compaction that met it', async () => {
    const log = await rig.fresh({ ...compacted, segmentMs: 1, deleteRetentionMs: hourMs });
    const compact = async (): Promise<(string | null)[]> => {
      append(log, ['other:x']);
      await rig.clock.pass(10);
      await log.compact(rig.clock.nowMs());
      return (await recordsOf(log)).filter(({ key }) => key === 'k').map(({ value }) => value);
    };
    append(log, ['k:v']);
    append(log, ['k:']);
    expect(await compact()).to.deep.equal([null]);
    await rig.clock.pass(hourMs - 20);
    expect(await compact()).to.deep.equal([null]);
    await rig.clock.pass(20);
    expect(await compact()).to.deep.equal([]);
  });

  it('forgets a marker once its transaction is compacted away and readers had their time', async () => {
    const log = await rig.fresh({ ...compacted, segmentMs: 1, deleteRetentionMs: hourMs });
    append(log, ['k:v'], { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true });
    log.appendMarker({ producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, commit: true, leaderEpoch: 0 });
    append(log, ['k:w'], { producerId: 1, producerEpoch: 1, baseSequence: 0 });
    const compact = async (): Promise<number> => {
      append(log, ['other:x']);
      await rig.clock.pass(10);
      await log.compact(rig.clock.nowMs());
      return (await headersOf(log)).filter(({ isControl }) => isControl).length;
    };
    expect(await compact()).to.equal(1);
    expect(await compact()).to.equal(1);
    await rig.clock.pass(hourMs);
    expect(await compact()).to.equal(0);
  });

  it('forces appends to the disk at the interval that it is told', async () => {
    const log = await rig.fresh({}, { intervalMs: 100 });
    expect(rig.clock.pending).to.equal(0);
    append(log, ['a']);
    append(log, ['b']);
    expect(rig.clock.pending).to.equal(1);
    await rig.clock.pass(100);
    expect(rig.clock.pending).to.equal(0);
    append(log, ['c']);
    expect(rig.clock.pending).to.equal(1);
    await log.close();
    expect(rig.clock.pending).to.equal(0);
  });

  it('removes its folder', async () => {
    const folder = await rig.folder();
    const log = await rig.open(folder, { segmentBytes: 150 });
    for (let index = 0; index < 10; index += 1) append(log, ['k:v']);
    await log.remove();
    expect(await failureOf(() => append(log, ['a']))).to.equal('KAFKA_STORAGE_ERROR');
    expect(await readdir(folder).catch(({ code }) => code)).to.equal('ENOENT');
  });
});

function changed(change: (batch: Buffer) => void): Buffer {
  const batch = batchOf(['some value that is long enough']);
  change(batch);
  return batch;
}
