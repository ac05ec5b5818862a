import { expect } from 'chai';
import { freeDisk, oldestSegments } from '../../../../src/broker/storage/disk-retention.ts';
import { append, compacted, LogRig, quiet } from './log-rig.ts';

const log = (name: string, policy: 'compact' | 'delete', times: readonly number[]) => ({
  name,
  config: { cleanupPolicy: { compact: policy === 'compact', delete: policy === 'delete' } },
  isWritable: true,
  closedSegments: times.map((maxTimestampMs, baseOffset) => ({
    baseOffset,
    bytes: 100,
    nextOffset: baseOffset + 1,
    maxTimestampMs,
    maxTimestampOffset: baseOffset,
    firstTimestampMs: maxTimestampMs,
    firstAppendMs: maxTimestampMs,
    lastAppendMs: maxTimestampMs,
  })),
});

describe('retention by the fullness of the disk', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  it('takes the oldest segments of all logs, no more than it must, and none of compacted topics', () => {
    const logs = [log('a', 'delete', [10, 40]), log('b', 'delete', [20, 30]), log('c', 'compact', [1, 2])];
    const names = (excessBytes: number) => oldestSegments(logs, excessBytes).map(({ name }) => name);
    expect(names(0)).to.deep.equal([]);
    expect(names(1)).to.deep.equal(['a']);
    expect(names(201)).to.deep.equal(['a', 'b', 'b']);
    expect(names(10_000)).to.deep.equal(['a', 'b', 'b', 'a']);
  });

  it('takes the segments of one log in their order, whatever times their records have', () => {
    const logs = [log('a', 'delete', [90, 10]), log('b', 'delete', [50])];
    expect(oldestSegments(logs, 150).map(({ name }) => name)).to.deep.equal(['b', 'a']);
  });

  it('leaves a log alone whose topic is deleted meanwhile, and goes on when one cannot be deleted from', async () => {
    const [removed, last] = [await rig.fresh({ segmentBytes: 200 }), await rig.fresh({ segmentBytes: 200 })];
    for (const each of [removed, last]) for (let index = 0; index < 10; index += 1) append(each, [`value ${index}`]);
    const broken = {
      ...log('broken', 'delete', [1]),
      dropOldestSegment: () => removed.remove().then(() => Promise.reject()),
    };
    await freeDisk({ folder: await rig.folder(), logs: [broken, removed, last], usedPercentMax: 0, logger: quiet });
    expect(last.closedSegments).to.have.length(0);
    expect(removed.closedSegments).to.not.have.length(0);
  });

  it('leaves active segments and compacted topics when the disk may not be used at all', async () => {
    const logs = [await rig.fresh({ segmentBytes: 200 }), await rig.fresh({ ...compacted, segmentBytes: 200 })];
    for (const each of logs) for (let index = 0; index < 10; index += 1) append(each, [`key:value ${index}`]);
    await freeDisk({ folder: await rig.folder(), logs, usedPercentMax: 100, logger: quiet });
    expect(logs[0]!.logStartOffset).to.equal(0);
    await freeDisk({ folder: await rig.folder(), logs, usedPercentMax: 0, logger: quiet });
    expect(logs[0]!.closedSegments).to.have.length(0);
    expect(logs[0]!.endOffset).to.equal(10);
    expect(logs[0]!.logStartOffset).to.be.above(0);
    expect(logs[1]!.logStartOffset).to.equal(0);
  });
});
