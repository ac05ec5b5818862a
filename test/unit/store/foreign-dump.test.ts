import { expect } from 'chai';
import { ArenaStore } from '../../../src/store/arena-store.ts';
import { Chunk } from '../../../src/store/chunk-arena.ts';
import { EntryCursor } from '../../../src/store/entry-layout.ts';
import { keyHash } from '../../../src/store/key-hash.ts';
import { slotBytes } from '../../../src/store/store-dump.ts';
import type { StoreRestore } from '../../../src/store/store-restore.ts';

const hash = keyHash([1, 2]);

describe('a dump that no store has made', () => {
  let store: ArenaStore;

  beforeEach(() => {
    store = new ArenaStore({ tombstoneRetentionMs: 0, hash, ordered: false });
  });

  /** Tombstones of one byte of key that may go at 0, under these hashes. */
  function add(restore: StoreRestore, hashes: readonly number[]): boolean {
    // Head with traits, key length, value length, offset, traits, timestamp, droppable-at, key.
    const entry = Buffer.from([2, 1, 0, 5, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x6b, 0, 0, 0, 0]);
    const slots = Buffer.alloc(hashes.length * slotBytes);
    for (const [i, each] of hashes.entries()) {
      slots.writeUInt32LE(each, i * slotBytes);
      slots.writeUInt32LE((i * entry.length) / 8, i * slotBytes + 4);
    }
    const place = restore.reserve(hashes.length, hashes.length * entry.length)!;
    for (let i = 0; i < hashes.length; i += 1) entry.copy(place.bytes, i * entry.length);
    return restore.add(place, slots);
  }

  function restoring(entries: number): StoreRestore {
    const restore = store.restore(hash, { entries, tombstones: entries, keyBytes: entries, valueBytes: 0 });
    while (!restore.prepare());
    return restore;
  }

  it('does not fit when its hashes go back, in a block or from one to the next', () => {
    expect(add(restoring(3), [1, 2, 2])).to.equal(true);
    expect(add(restoring(3), [1, 3, 2])).to.equal(false);
    const restore = restoring(2);
    expect(add(restore, [0xffff_fff0])).to.equal(true);
    expect(add(restore, [0x7fff_ffff])).to.equal(false);
  });

  it('does not fit with thousands of keys of one hash, each of which would be searched for among all the others', () => {
    expect(add(restoring(1_000), new Array<number>(1_000).fill(7))).to.equal(true);
    const restore = restoring(2_000);
    expect(add(restore, new Array<number>(1_000).fill(7))).to.equal(true);
    expect(add(restore, new Array<number>(1_000).fill(7))).to.equal(false);
  });

  it('is an error when an entry of it goes that is under another hash than its key’s, not a search without end', () => {
    const restore = restoring(1);
    expect(add(restore, [(hash(Buffer.from('k'), 0, 1) ^ 1) >>> 0])).to.equal(true);
    restore.finish();
    expect(() => store.sweep(1, 10)).to.throw('not in the table under the hash of its key');
  });

  it('is read to an end when a number in it has none', () => {
    const chunk = new Chunk(new ArrayBuffer(256));
    chunk.bytes.fill(0xff);
    expect(() => new EntryCursor(false).read(chunk, 248)).to.throw(RangeError);
  });
});
