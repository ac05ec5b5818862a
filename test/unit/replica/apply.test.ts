import { expect } from 'chai';
import type { RecordHeaders, RecordSlices } from '../../../src/log/log.ts';
import { partitioners } from '../../../src/log/partitioner.ts';
import { SliceBuilder } from '../../../src/log/slice-builder.ts';
import { type ApplyContext, applyRecords, keyBytesMax } from '../../../src/replica/apply.ts';
import { KeyArrivals } from '../../../src/replica/key-arrivals.ts';
import { MapStore } from '../../../src/store/map-store.ts';

interface Given {
  readonly key: Buffer | string | null;
  readonly value?: Buffer | string | null;
  readonly timestampMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly offset?: number;
}

const none = { applied: 0, superseded: 0, withoutKey: 0, keyTooLong: 0, misplaced: 0 };

/** Records as a log hands them out: in one block, with other bytes before, between and after. */
function slicesOf(records: readonly Given[], partition = 0): RecordSlices {
  const bytes = (part: Buffer | string | null | undefined) => (part === null ? null : Buffer.from(part ?? 'v'));
  const parts = records.flatMap(({ key, value }) => [bytes(key), bytes(value)]);
  const block = Buffer.from(new ArrayBuffer(parts.reduce((sum, part) => sum + (part?.length ?? 0) + 1, 1)));
  block.fill('#');
  let at = 1;
  const views = parts.map((part) => {
    if (part === null) return null;
    part.copy(block, at);
    const view = block.subarray(at, at + part.length);
    at += part.length + 1;
    return view;
  });
  const builder = new SliceBuilder();
  builder.start(partition, block);
  for (const [i, { timestampMs = 1_000, headers, offset = i }] of records.entries()) {
    const entries: RecordHeaders | undefined =
      headers && new Map(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text, 'latin1')]));
    builder.add(offset, timestampMs, views[2 * i] ?? null, views[2 * i + 1] ?? null, entries);
  }
  return builder.finish((records.at(-1)?.offset ?? records.length - 1) + 1, -1);
}

describe('applying records', () => {
  let context: ApplyContext;
  let store: MapStore;

  beforeEach(() => {
    store = new MapStore(100);
    context = {
      store,
      partitioner: partitioners.murmur2,
      partitions: 1,
      counters: { ...none },
      newestMs: [],
      arrivals: new KeyArrivals(),
    };
  });

  const apply = (...records: Given[]) => applyRecords(context, slicesOf(records), 5_000);
  const get = (key: string, nowMs = 5_000) => store.get(Buffer.from(key), nowMs);

  it('puts values with their version and time', () => {
    apply({ key: 'a', value: '1' }, { key: 'b', value: '', timestampMs: 7 }, { key: 'a', value: '2', offset: 9 });
    expect(get('a')).to.deep.include({
      partition: 0,
      offset: 9,
      timestampMs: 1_000,
      expiresAtMs: undefined,
      contentType: undefined,
      value: Buffer.from('2'),
    });
    expect(get('b')).to.deep.include({ timestampMs: 7, value: Buffer.alloc(0) });
    expect(context.counters).to.deep.equal({ ...none, applied: 3 });
  });

  it('deletes for a null value, and dates the tombstone with the time it is told', () => {
    apply({ key: 'a' }, { key: 'a', value: null });
    expect(store.look(Buffer.from('a'), 5_000)).to.equal('absent');
    store.sweep(5_099, 10);
    expect(store.size.tombstones).to.equal(1);
    store.sweep(5_099, 10);
    store.sweep(5_100, 10);
    expect(store.size.tombstones).to.equal(0);
    expect(context.counters).to.deep.equal({ ...none, applied: 2 });
  });

  it('skips and counts records without a key: null or empty', () => {
    apply({ key: null }, { key: '' }, { key: null, value: null }, { key: 'a' });
    expect(context.counters).to.deep.equal({ ...none, withoutKey: 3, applied: 1 });
    expect(store.size.values).to.equal(1);
    expect(store.size.tombstones).to.equal(0);
  });

  it('takes keys up to the limit and no longer', () => {
    expect(keyBytesMax).to.equal(65_536);
    apply({ key: Buffer.alloc(keyBytesMax, 'k') }, { key: Buffer.alloc(keyBytesMax + 1, 'k') });
    expect(context.counters).to.deep.equal({ ...none, keyTooLong: 1, applied: 1 });
    expect(store.size.keyBytes).to.equal(keyBytesMax);
  });

  it('takes any bytes', () => {
    const key = Buffer.from([0xff, 0x00, 0xc3, 0x28]);
    apply({ key, value: Buffer.from([0x00, 0xff]) }, { key: '__proto__', value: 'p' });
    expect(store.get(key, 0)?.value).to.deep.equal(Buffer.from([0x00, 0xff]));
    expect(get('__proto__')?.value.toString()).to.equal('p');
  });

  it('skips and counts a record outside its key’s home partition, value or tombstone', () => {
    const home = partitioners.murmur2(Buffer.from('a'), 2);
    context = { ...context, partitions: 2 };
    applyRecords(context, slicesOf([{ key: 'a', value: 'here' }], home), 0);
    applyRecords(
      context,
      slicesOf(
        [
          { key: 'a', value: 'astray' },
          { key: 'a', value: null },
        ],
        1 - home,
      ),
      0,
    );
    expect(get('a')?.value.toString()).to.equal('here');
    expect(context.counters).to.deep.equal({ ...none, applied: 1, misplaced: 2 });
  });

  it('asks the partitioner it is given, with the number of partitions', () => {
    const asked: string[] = [];
    context = {
      ...context,
      partitions: 3,
      partitioner: (key, partitions) => {
        asked.push(`${Buffer.from(key)} of ${partitions}`);
        return 0;
      },
    };
    apply({ key: 'a' });
    expect(asked).to.deep.equal(['a of 3']);
    expect(context.counters.applied).to.equal(1);
  });

  it('counts a record read twice, and changes nothing', () => {
    apply({ key: 'a', value: '1', offset: 4 }, { key: 'a', value: '2', offset: 5 });
    apply({ key: 'a', value: '1', offset: 4 }, { key: 'a', value: null, offset: 5 });
    expect(get('a')?.value.toString()).to.equal('2');
    expect(context.counters).to.deep.equal({ ...none, applied: 2, superseded: 2 });
  });

  for (const [text, expiresAtMs] of [
    ['6000', 6_000],
    ['0', 0],
    ['999999999999999', 999_999_999_999_999],
    ['1000000000000000', undefined],
    ['', undefined],
    ['-1', undefined],
    ['6000.5', undefined],
    ['6e3', undefined],
    [' 6000', undefined],
    ['6000\n', undefined],
    ['0x10', undefined],
    ['Infinity', undefined],
    ['\u0663', undefined],
  ] as const) {
    it(`an expiry of ${JSON.stringify(text)} is ${expiresAtMs ?? 'no expiry'}`, () => {
      apply({ key: 'a', headers: { 'bitacora-expires-at': text } });
      expect(get('a', -1)?.expiresAtMs).to.equal(expiresAtMs);
      expect(context.counters.applied).to.equal(1);
    });
  }

  it('keeps the content type, byte for byte, and leaves other headers alone', () => {
    apply({ key: 'a', headers: { 'content-type': 'text/plain; x="\u00ff"', other: 'x' } }, { key: 'b' });
    expect(get('a')?.contentType).to.equal('text/plain; x="\u00ff"');
    expect(get('b')?.contentType).to.equal(undefined);
  });

  it('gives each record its own headers and no other’s', () => {
    apply(
      { key: 'a', headers: { 'content-type': 'a' } },
      { key: null, headers: { 'content-type': 'nobody' } },
      { key: 'b' },
      { key: 'c', headers: { 'content-type': 'c' } },
    );
    expect(['a', 'b', 'c'].map((key) => get(key)?.contentType)).to.deep.equal(['a', undefined, 'c']);
  });

  it('remembers the newest time of each partition, of skipped records too, and never goes back', () => {
    apply({ key: 'a', timestampMs: 30 }, { key: 'b', timestampMs: 20 });
    expect(context.newestMs).to.deep.equal([30]);
    apply({ key: null, timestampMs: 40, offset: 2 });
    apply({ key: 'a', timestampMs: 10, offset: 3 });
    expect(context.newestMs).to.deep.equal([40]);
    applyRecords(context, slicesOf([{ key: 'x', timestampMs: 5 }], 1), 0);
    expect(context.newestMs).to.deep.equal([40, 5]);
  });
});
