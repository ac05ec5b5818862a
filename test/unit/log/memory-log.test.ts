import { expect } from 'chai';
import { MemoryLog } from '../../../src/log/memory-log.ts';
import { CollectingReader } from '../../support/read-log.ts';

/** What the memory log offers beyond the contract: the things that other producers leave in a log. */
describe('memory log', () => {
  let log: MemoryLog;
  let reader: CollectingReader | undefined;

  beforeEach(async () => {
    log = new MemoryLog('topic');
    await log.create({ partitions: 2, maxMessageBytes: 1_000 });
  });

  afterEach(async () => {
    await reader?.stop();
    reader = undefined;
  });

  it('has records without a key', async () => {
    expect(log.appendForeign(1, null, Buffer.from('v'), 5)).to.deep.equal({ partition: 1, offset: 0, timestampMs: 5 });
    reader = new CollectingReader(log, [0, 0]);
    await reader.reach([0, 1]);
    expect(reader.records).to.have.length(1);
    expect(reader.records[0]).to.deep.include({ partition: 1, offset: 0, key: null, value: Buffer.from('v') });
  });

  it('has gaps: at the start, between records and at the end, before the reader comes and after', async () => {
    log.appendGap(0, 2);
    log.appendForeign(0, Buffer.from('a'), null, 0);
    log.appendGap(0, 3);
    log.appendForeign(0, Buffer.from('b'), null, 0);
    log.appendGap(0, 1);
    reader = new CollectingReader(log, [0, 0]);
    await reader.reach([8, 0]);
    expect(reader.records.map(({ offset }) => offset)).to.deep.equal([2, 6]);
    log.appendGap(0, 4);
    await reader.reach([12, 0]);
    expect(log.appendForeign(0, Buffer.from('c'), null, 0).offset).to.equal(12);
    await reader.reach([13, 0]);
    expect((await log.ends())[0]).to.deep.equal({ partition: 0, earliest: 0, end: 13 });
  });

  it('takes a record up to the size that the topic was made for', async () => {
    const key = Buffer.from('k');
    await log.append({ partition: 0, key, value: Buffer.alloc(999), timestampMs: 0 });
    let code: unknown;
    try {
      await log.append({ partition: 0, key, value: Buffer.alloc(1_000), timestampMs: 0 });
    } catch (error) {
      code = (error as { code: unknown }).code;
    }
    expect(code).to.equal('value_too_large');
  });

  it('keeps what it was given, whatever the caller does with its buffers', async () => {
    const value = Buffer.from('value');
    await log.append({ partition: 0, key: Buffer.from('k'), value, timestampMs: 0 });
    value.fill(0);
    reader = new CollectingReader(log, [0, 0]);
    await reader.reach([1, 0]);
    expect(reader.records[0]?.value?.toString()).to.equal('value');
  });
});
