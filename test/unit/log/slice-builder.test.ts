import { expect } from 'chai';
import { SliceBuilder } from '../../../src/log/slice-builder.ts';
import { copyRecords } from '../../support/read-log.ts';

/** A record's bytes as views into one block, as a fetch response has them. */
function block(text: string): (part: string) => Buffer {
  const whole = Buffer.from(new Uint8Array(Buffer.from(text)).buffer);
  return (part) => whole.subarray(whole.indexOf(part), whole.indexOf(part) + part.length);
}

describe('slice builder', () => {
  it('gives back records as they were added', () => {
    const at = block('..key1value1key2..');
    const builder = new SliceBuilder();
    const headers = new Map([['h', Buffer.from('x')]]);
    builder.start(3, at('key1'));
    builder.add(7, 1_000, at('key1'), at('value1'), undefined);
    builder.add(9, 2_000, at('key2'), null, headers);
    builder.add(2 ** 40, 1_700_000_000_123, null, at('value1'), undefined);
    const slices = builder.finish(2 ** 40 + 5, -1);
    expect(slices.nextOffset).to.equal(2 ** 40 + 5);
    const [first, second, third] = copyRecords(slices);
    expect(slices.count).to.equal(3);
    expect(first).to.deep.equal({
      partition: 3,
      offset: 7,
      timestampMs: 1_000,
      key: Buffer.from('key1'),
      value: Buffer.from('value1'),
      headers: {},
    });
    expect(second).to.deep.include({ offset: 9, key: Buffer.from('key2'), value: null, headers: { h: 'x' } });
    expect(third).to.deep.include({ offset: 2 ** 40, timestampMs: 1_700_000_000_123, key: null });
    expect(third?.value?.toString()).to.equal('value1');
  });

  it('tells an empty key or value from none', () => {
    const at = block('key');
    const builder = new SliceBuilder();
    builder.start(0, at('key'));
    builder.add(0, 0, at('key'), at('key').subarray(3), undefined);
    builder.add(1, 0, at('key').subarray(0, 0), null, undefined);
    const [emptyValue, emptyKey] = copyRecords(builder.finish(2, -1));
    expect(emptyValue?.value).to.deep.equal(Buffer.alloc(0));
    expect(emptyKey?.key).to.deep.equal(Buffer.alloc(0));
    expect(emptyKey?.value).to.equal(null);
  });

  it('takes views into its own block, and nulls, and no others', () => {
    const builder = new SliceBuilder();
    const ours = block('key value');
    const others = block('key value');
    builder.start(0, ours('key'));
    expect(builder.takes(ours('value'))).to.equal(true);
    expect(builder.takes(null)).to.equal(true);
    expect(builder.takes(others('value'))).to.equal(false);
    builder.start(0, others('key'));
    expect(builder.takes(others('value'))).to.equal(true);
  });

  it('starts empty each time, without the headers of the batch before', () => {
    const at = block('key');
    const builder = new SliceBuilder();
    builder.start(0, at('key'));
    builder.add(0, 0, at('key'), null, new Map([['h', Buffer.from('x')]]));
    expect(builder.count).to.equal(1);
    builder.finish(1, -1);
    builder.start(1, at('key'));
    expect(builder.count).to.equal(0);
    builder.add(5, 0, at('key'), null, undefined);
    const slices = builder.finish(6, -1);
    expect(slices.headers).to.equal(undefined);
    expect(copyRecords(slices)).to.have.length(1);
  });

  it('is full at some size, and what it holds then is whole', () => {
    const at = block('key value');
    const builder = new SliceBuilder();
    builder.start(0, at('key'));
    for (let offset = 0; builder.takes(at('key')); offset += 1) {
      builder.add(offset, offset, at('key'), at('value'), undefined);
      expect(builder.count).to.be.below(1_000_000);
    }
    const slices = builder.finish(builder.count, -1);
    expect(slices.count).to.be.at.least(1_000);
    expect(slices.offsets[slices.count - 1]).to.equal(slices.count - 1);
    expect(copyRecords(slices).at(-1)?.value?.toString()).to.equal('value');
  });
});
