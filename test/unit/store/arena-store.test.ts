import { expect } from 'chai';
import { ArenaStore } from '../../../src/store/arena-store.ts';
import { keyHash } from '../../../src/store/key-hash.ts';
import { PlainStore } from '../../support/plain-store.ts';
import { scanAll } from '../../support/scan-all.ts';
import { storeContract } from '../../support/store-contract.ts';

const seeded = keyHash([0x01234567, 0x89abcdef]);
const tiny = { chunkBytes: 512, segmentSlots: 8, leafIds: 4 };

describe('store contract: arena', () => {
  storeContract((tombstoneRetentionMs) => new ArenaStore({ tombstoneRetentionMs, hash: seeded, ordered: false }));
});

describe('store contract: arena of tiny chunks and tables', () => {
  storeContract(
    (tombstoneRetentionMs) => new ArenaStore({ tombstoneRetentionMs, hash: seeded, ordered: true, sizes: tiny }),
  );
});

describe('store contract: arena, all hashes equal', () => {
  storeContract(
    (tombstoneRetentionMs) => new ArenaStore({ tombstoneRetentionMs, hash: () => -1, ordered: true, sizes: tiny }),
  );
});

describe('index of an arena store', () => {
  const keyAt = (i: number) => `key-${(i * 7_919) % 100_003}`;
  const meta = (offset: number) => ({ partition: 0, offset, timestampMs: 0 });
  const keysOf = (store: ArenaStore) => scanAll(store, 1_000).map(([key]) => key.toString());
  const expectKeys = (expected: ReadonlySet<string>): void => {
    const sorted = [...expected].sort();
    const keys = keysOf(store);
    expect(keys.findIndex((key, i) => key !== sorted[i])).to.equal(-1);
    expect(keys).to.have.length(sorted.length);
  };
  let store: ArenaStore;
  let plain: PlainStore;

  beforeEach(() => {
    const sizes = { chunkBytes: 65_536, segmentSlots: 64, leafIds: 32 };
    store = new ArenaStore({ tombstoneRetentionMs: 100, hash: seeded, ordered: true, sizes });
    plain = new PlainStore(store);
  });

  it('is built while keys come, are overwritten and are deleted, in memory that other keys had before', () => {
    const expected = new Set<string>();
    for (let i = 0; i < 20_000; i += 1) {
      const expiresAtMs = i % 2 === 0 ? 500 : undefined;
      plain.put(Buffer.from(keyAt(i)), Buffer.alloc(20), { ...meta(i), expiresAtMs });
      if (expiresAtMs === undefined) expected.add(keyAt(i));
    }
    plain.sweep(600, 30_000);
    expect(plain.size.values).to.equal(10_000);
    let i = 20_000;
    for (let steps = 0; !store.buildIndex(); steps += 1, i += 1) {
      if (steps > 1_000) throw new Error('building comes to no end');
      plain.put(Buffer.from(keyAt(i)), Buffer.alloc(20), meta(i));
      expected.add(keyAt(i));
      // Overwriting makes compaction move what is being sorted.
      for (let k = 10_001; k < 10_400; k += 2) plain.put(Buffer.from(keyAt(k)), Buffer.alloc(30), meta(i));
      plain.delete(Buffer.from(keyAt(2 * steps + 1)), 0, i + 1, 600);
      expected.delete(keyAt(2 * steps + 1));
      plain.sweep(1_000, 1_000);
    }
    expect(i).to.be.greaterThan(20_010);
    expectKeys(expected);
    for (let round = 0; round < 2; round += 1) plain.sweep(1_000, 100_000);
    expect(plain.size).to.include({ values: expected.size, tombstones: 0 });
    expectKeys(expected);
  });

  it('is not there before it is built, nor after everything was dropped, nor when nobody wants it', () => {
    expect(store.isOrdered).to.equal(false);
    expect(() => store.scan({ limit: 1 }, 0)).to.throw('in no order');
    while (!store.buildIndex());
    plain.put(Buffer.from('b'), Buffer.alloc(1), meta(0));
    plain.put(Buffer.from('a'), Buffer.alloc(1), meta(1));
    expect(keysOf(store)).to.deep.equal(['a', 'b']);
    store.clear();
    expect(store.isOrdered).to.equal(false);
    const plainest = new ArenaStore({ tombstoneRetentionMs: 0, hash: seeded, ordered: false });
    expect([plainest.buildIndex(), plainest.isOrdered]).to.deep.equal([true, false]);
    expect(() => plainest.scan({ limit: 1 }, 0)).to.throw('in no order');
  });

  it('can be dropped in the middle of being built', () => {
    for (let i = 0; i < 20_000; i += 1) plain.put(Buffer.from(keyAt(i)), Buffer.alloc(1), meta(i));
    for (let steps = 0; steps < 8; steps += 1) expect(store.buildIndex()).to.equal(false);
    store.clear();
    plain.put(Buffer.from('only'), Buffer.alloc(1), meta(0));
    while (!store.buildIndex());
    expect(keysOf(store)).to.deep.equal(['only']);
  });

  it('ends a page that would be long, and the next goes on after it', () => {
    while (!store.buildIndex());
    for (let i = 0; i < 12_000; i += 1) plain.delete(Buffer.from(`a${i}`), 0, i, 1_000);
    const buffer = Buffer.concat([Buffer.from('b0'), Buffer.alloc(3_000_000)]);
    for (const digit of ['0', '1', '2']) {
      buffer.write(digit, 1);
      const place = { buffer, keyStart: 0, keyEnd: 2, valueStart: 2, valueEnd: buffer.length };
      store.put({ ...place, ...meta(0), expiresAtMs: undefined, contentType: undefined });
    }
    const pages: string[][] = [];
    let after: Buffer | undefined;
    do {
      const page = store.scan({ after, limit: 100 }, 1_000);
      pages.push(page.entries.map(([key]) => key.toString()));
      after = page.after;
    } while (after !== undefined);
    // Ten thousand tombstones; the rest of them, and more than the bytes of a page; then one by one.
    expect(pages).to.deep.equal([[], ['b0'], ['b1'], ['b2'], []]);
  });

  it('leaves values where they are when only keys are asked for', () => {
    while (!store.buildIndex());
    const [expiresAtMs, contentType] = [5_000, 'text/plain'];
    for (const key of ['a', 'b', 'c']) {
      plain.put(Buffer.from(key), Buffer.alloc(200_000), { ...meta(7), expiresAtMs, contentType });
    }
    const { entries, after } = store.scan({ limit: 100, keysOnly: true }, 1_000);
    // In one page: values that are not copied do not make it long.
    expect(after).to.equal(undefined);
    expect(entries.map(([key]) => key.toString())).to.deep.equal(['a', 'b', 'c']);
    for (const [, value] of entries)
      expect({ ...value }).to.include({ ...meta(7), expiresAtMs, contentType, latin1: '' });
  });
});
