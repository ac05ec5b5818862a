import { expect } from 'chai';
import { type ArenaSizes, ArenaStore } from '../../../src/store/arena-store.ts';
import { type KeyHash, keyHash } from '../../../src/store/key-hash.ts';
import { DumpedStore } from '../../support/dumped-store.ts';
import { PlainStore } from '../../support/plain-store.ts';
import { scanAll } from '../../support/scan-all.ts';

const seeded = keyHash([0x5eed, 0x5eed]);
const retentionMs = 300;

interface Written {
  readonly key: string;
  /** null: a tombstone. */
  readonly value: Buffer | null;
  readonly expiresAtMs: number | undefined;
}

interface Case {
  readonly name: string;
  readonly keys: number;
  readonly hash: KeyHash;
  readonly ordered: boolean;
  readonly sizes: ArenaSizes;
}

const cases: readonly Case[] = [
  { name: 'tiny chunks and tables', keys: 900, hash: seeded, ordered: true, sizes: sized(1_024, 8) },
  { name: 'no order', keys: 900, hash: seeded, ordered: false, sizes: sized(1_024, 8) },
  { name: 'chunks of many entries', keys: 4_000, hash: seeded, ordered: true, sizes: sized(32_768, 64) },
  {
    name: 'sixteen hashes for all keys',
    keys: 200,
    hash: (...place) => seeded(...place) & 0x0f,
    ordered: true,
    sizes: sized(1_024, 8),
  },
  {
    name: 'hashes at the edges of segments',
    keys: 400,
    hash: (...place) => seeded(...place) << 24,
    ordered: true,
    sizes: sized(1_024, 8),
  },
  { name: 'one hash, the last', keys: 60, hash: () => -1, ordered: true, sizes: sized(512, 8) },
];

function sized(chunkBytes: number, segmentSlots: number): ArenaSizes {
  return { chunkBytes, segmentSlots, leafIds: 4 };
}

/** A log of one partition, a store that applies it, and what the log says that the store should hold. */
class Trial {
  readonly #log: Written[] = [];
  readonly #case: Case;
  #random: number;
  nowMs = 1_000;

  constructor(tried: Case, seed: number) {
    this.#case = tried;
    this.#random = seed;
  }

  get end(): number {
    return this.#log.length;
  }

  store(): ArenaStore {
    const { hash, ordered, sizes } = this.#case;
    return new ArenaStore({ tombstoneRetentionMs: retentionMs, hash, ordered, sizes });
  }

  below(end: number): number {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * end);
  }

  /** Something happens, to every store alike. */
  step(...stores: readonly ArenaStore[]): void {
    const chance = this.below(100);
    if (chance < 90) this.#write(stores);
    else if (chance < 95) this.nowMs += this.below(10);
    else for (const store of stores) store.sweep(this.nowMs, this.below(100));
  }

  apply(store: ArenaStore, from: number): void {
    for (let offset = from; offset < this.#log.length; offset += 1) this.#applyOne(store, offset);
  }

  expectAsLogged(store: ArenaStore): void {
    const last = new Map(this.#log.map(({ key }, offset) => [key, offset]));
    const expected: string[] = [];
    for (const [key, offset] of last) {
      const { value, expiresAtMs = Number.POSITIVE_INFINITY } = this.#log[offset]!;
      const isLive = value !== null && expiresAtMs > this.nowMs;
      const found = store.get(Buffer.from(key), this.nowMs);
      const [is, shouldBe] = [
        found && `${found.offset} ${found.latin1}`,
        isLive ? `${offset} ${value.toString('latin1')}` : undefined,
      ];
      // Many of chai's comparisons would take most of the time.
      if (is !== shouldBe) expect(is, key).to.equal(shouldBe);
      if (isLive) expected.push(key);
    }
    const keys = [...store.entries(this.nowMs)].map(([key]) => key.toString());
    expect(keys.sort().join('\n')).to.equal(expected.sort().join('\n'));
    if (!store.keepsOrder) return;
    while (!store.buildIndex());
    expect(
      scanAll(store, this.nowMs)
        .map(([key]) => key.toString())
        .join('\n'),
    ).to.equal(expected.join('\n'));
  }

  #write(stores: readonly ArenaStore[]): void {
    const key = `${'k'.repeat(this.below(20))}${this.below(this.#case.keys)}`.slice(-24);
    const size = this.below(80) === 0 ? this.below(1_800) : this.below(60);
    const value = this.below(4) === 0 ? null : Buffer.alloc(size, this.below(256));
    const expiresAtMs = value !== null && this.below(6) === 0 ? this.nowMs + this.below(200) : undefined;
    this.#log.push({ key, value, expiresAtMs });
    for (const store of stores) this.#applyOne(store, this.#log.length - 1);
  }

  #applyOne(store: ArenaStore, offset: number): void {
    const { key, value, expiresAtMs } = this.#log[offset]!;
    const plain = new PlainStore(store);
    if (value === null) plain.delete(Buffer.from(key), 0, offset, this.nowMs);
    else plain.put(Buffer.from(key), value, { partition: 0, offset, timestampMs: offset, expiresAtMs });
  }
}

describe('dump of a store', () => {
  for (const tried of cases) {
    it(`${tried.name}: with the log from where it stood before, it makes what the log makes`, function () {
      this.timeout(300_000);
      for (let seed = 1; seed <= 4; seed += 1) {
        const trial = new Trial(tried, seed);
        const store = trial.store();
        for (let i = trial.below(4) * tried.keys; i > 0; i -= 1) trial.step(store);
        if (trial.below(2) === 0) while (!store.buildIndex());
        const position = trial.end;
        const dumped = new DumpedStore(store.dump(), () => {
          for (let i = trial.below(40); i > 0; i -= 1) trial.step(store);
        });
        trial.expectAsLogged(store);

        const restored = trial.store();
        // Whatever it held before is gone.
        new PlainStore(restored).put(Buffer.from('before'), Buffer.alloc(9), {
          partition: 0,
          offset: 0,
          timestampMs: 0,
        });
        dumped.restoreTo(restored, tried.hash);
        trial.apply(restored, position);
        trial.expectAsLogged(restored);

        for (let i = 3 * tried.keys; i > 0; i -= 1) trial.step(store, restored);
        trial.expectAsLogged(store);
        trial.expectAsLogged(restored);
      }
    });
  }

  it('of a store that does not change makes the same store: sizes, tombstones, bytes', () => {
    const trial = new Trial(cases[2]!, 7);
    const store = trial.store();
    for (let i = 0; i < 20_000; i += 1) trial.step(store);
    const restored = trial.store();
    new DumpedStore(store.dump()).restoreTo(restored, seeded);
    expect(restored.size).to.deep.equal(store.size);
    expect(restored.memory.liveBytes).to.equal(store.memory.liveBytes);
    expect(restored.memory.deadBytes).to.equal(0);
    for (const [key, value] of store.entries(trial.nowMs)) {
      expect(restored.get(key, trial.nowMs)).to.deep.equal(value);
    }
  });

  it('of an empty store is nothing, and is done', () => {
    const store = new Trial(cases[0]!, 1).store();
    const dump = store.dump();
    expect([dump.isDone, dump.step(), dump.isDone, dump.step()]).to.deep.equal([false, [], true, []]);
  });

  it('is seen only once it is whole, and can be given up', () => {
    const trial = new Trial(cases[2]!, 3);
    const store = trial.store();
    for (let i = 0; i < 5_000; i += 1) trial.step(store);
    const restored = trial.store();
    const dumped = new DumpedStore(store.dump());
    const restore = restored.restore(seeded, dumped.totals);
    while (!restore.prepare());
    for (const { count, slots, entries } of dumped.blocks) {
      const place = restore.reserve(count, entries.length)!;
      entries.copy(place.bytes);
      expect(restore.add(place, slots)).to.equal(true);
      expect(restored.look(Buffer.from('k1'), 0)).to.equal(undefined);
      expect(restored.size.values).to.equal(0);
    }
    restored.clear();
    trial.apply(restored, 0);
    trial.expectAsLogged(restored);
  });

  it('has no place for a block that is larger than a chunk, or slots that do not fit its entries', () => {
    const store = new Trial(cases[0]!, 1).store();
    const restore = store.restore(seeded, { entries: 2, tombstones: 0, keyBytes: 2, valueBytes: 0 });
    while (!restore.prepare());
    expect(restore.reserve(2, 2_048)).to.equal(undefined);
    expect(restore.reserve(1, 2_047)).to.equal(undefined);
    expect(restore.reserve(1, 2_048)?.bytes).to.have.length(2_048);
    const place = restore.reserve(2, 32)!;
    for (const granules of [
      [1, 2],
      [0, 4],
      [0, 0],
      [0, 2 ** 32 - 1],
    ]) {
      const slots = Buffer.alloc(16);
      for (const [i, granule] of granules.entries()) slots.writeUInt32LE(granule, 8 * i + 4);
      expect(restore.add(place, slots), granules.join()).to.equal(false);
    }
  });
});
