import { expect } from 'chai';
import { type ArenaSizes, ArenaStore } from '../../../src/store/arena-store.ts';
import { type KeyHash, keyHash } from '../../../src/store/key-hash.ts';
import type { KeyRange, ScanPage, StoredValue } from '../../../src/store/store.ts';
import { PlainStore, type RecordMeta } from '../../support/plain-store.ts';
import { scanAll } from '../../support/scan-all.ts';

/** Millions in the whole check, fewer in the run that everybody makes all day. */
const stepsOfAll = Number(process.env.STORE_STEPS ?? 1_000_000);
const retentionMs = 500;
const seeded = keyHash([0x5eed, 0x5eed]);

interface Case {
  readonly name: string;
  readonly keys: number;
  readonly hash: KeyHash;
  readonly sizes: ArenaSizes;
  /** Of all steps. */
  readonly part: number;
}

const cases: readonly Case[] = [
  { name: 'tiny chunks and tables', keys: 3_000, hash: seeded, ...sized(1_024, 8, 4), part: 0.35 },
  { name: 'chunks that hold a few hundred entries', keys: 20_000, hash: seeded, ...sized(32_768, 64, 32), part: 0.35 },
  { name: 'a node’s own sizes', keys: 30_000, hash: seeded, ...sized(64 * 1024 * 1024, 4_096, 1_024), part: 0.2 },
  {
    name: 'sixteen hashes for all keys',
    keys: 300,
    hash: (...place) => seeded(...place) & 0x0f,
    ...sized(1_024, 8, 4),
    part: 0.05,
  },
  {
    name: 'hashes that part late',
    keys: 400,
    hash: (...place) => seeded(...place) & 0x3f,
    ...sized(512, 8, 4),
    part: 0.05,
  },
];

function sized(chunkBytes: number, segmentSlots: number, leafIds: number): { sizes: ArenaSizes } {
  return { sizes: { chunkBytes, segmentSlots, leafIds } };
}

interface Held extends RecordMeta {
  /** One character a byte; undefined in a tombstone. */
  readonly value: string | undefined;
  readonly droppableAtMs: number;
}

/** A store beside a Map, under the same steps, which one seed decides. */
class Trial {
  readonly #arena: ArenaStore;
  readonly #store: PlainStore;
  readonly #model = new Map<string, Held>();
  readonly #keys: number;
  #random: number;
  #nowMs = 1_000;
  #offset = 0;
  #steps = 0;
  /** The greatest part of the memory of entries that was not reclaimed at any check. */
  #deadPartMax = 0;

  constructor({ keys, hash, sizes }: Case, seed: number) {
    this.#arena = new ArenaStore({ tombstoneRetentionMs: retentionMs, hash, ordered: true, sizes });
    this.#store = new PlainStore(this.#arena);
    this.#keys = keys;
    this.#random = seed;
    // Offsets of four bytes that become offsets of five.
    this.#offset = 2 ** 28 - 20_000;
  }

  get deadPartMax(): number {
    return this.#deadPartMax;
  }

  below(end: number): number {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * end);
  }

  /** How many there have been. */
  get steps(): number {
    return this.#steps;
  }

  step(): void {
    this.#steps += 1;
    const chance = this.below(1_000);
    if (chance < 520) this.#put();
    else if (chance < 680) this.#delete();
    else if (chance < 700) this.#late();
    else if (chance < 960) this.#look(this.#anyKey());
    else if (chance < 980) this.#nowMs += this.below(20);
    else if (chance < 990) this.#store.sweep(this.#nowMs, this.below(200));
    else if (chance < 998) this.#arena.buildIndex();
    else this.#scanPage();
  }

  /** Compares everything. */
  check(): void {
    while (!this.#arena.buildIndex());
    this.#store.sweep(this.#nowMs, Number.MAX_SAFE_INTEGER);
    this.#store.sweep(this.#nowMs, Number.MAX_SAFE_INTEGER);
    for (const [key, { droppableAtMs }] of this.#model) if (droppableAtMs <= this.#nowMs) this.#model.delete(key);
    const held = [...this.#model];
    const live = held.filter(([, { value }]) => value !== undefined);
    const bytesOf = (texts: readonly string[]) => texts.reduce((sum, { length }) => sum + length, 0);
    expect(this.#store.size).to.deep.equal({
      values: live.length,
      tombstones: held.length - live.length,
      keyBytes: bytesOf(held.map(([key]) => key)),
      valueBytes: bytesOf(live.map(([, { value }]) => value!)),
    });
    const found = new Map([...this.#store.entries(this.#nowMs)].map(([key, value]) => [key.toString('latin1'), value]));
    expect(found.size).to.equal(live.length);
    for (const [key, held] of live) expectSame(found.get(key), held);
    for (const [key] of held) this.#look(key);
    const keys = live.map(([key]) => key).sort();
    const keysOnly = this.below(2) === 0;
    const entries = scanAll(this.#arena, this.#nowMs, { keysOnly });
    expectSameKeys(entries, keys);
    for (const [i, [, value]] of entries.entries()) {
      const held = this.#model.get(keys[i]!)!;
      expectSame(value, keysOnly ? { ...held, value: '' } : held);
    }
    const { liveBytes, deadBytes } = this.#arena.memory;
    if (liveBytes > 0) this.#deadPartMax = Math.max(this.#deadPartMax, deadBytes / (liveBytes + deadBytes));
  }

  clear(): void {
    this.#store.clear();
    this.#model.clear();
    const { tableBytes: _, ...rest } = this.#arena.memory;
    expect(rest).to.deep.equal({ liveBytes: 0, deadBytes: 0, unusedBytes: 0, indexBytes: 0 });
  }

  /** A scan in some forty pages or fewer, of everything or of a part. */
  scanSomewhere(writesPerPage: number): void {
    const limit = 1 + Math.ceil(this.#keys / 40);
    const bound = () => (this.below(3) === 0 ? Buffer.from(this.#anyKey(), 'latin1') : undefined);
    const prefix = this.below(4) === 0 ? Buffer.from(this.#anyKey(), 'latin1').subarray(0, 1) : undefined;
    this.scanWhileWriting({ prefix, from: bound(), to: bound(), limit }, writesPerPage);
  }

  /** Reads a range page by page while keys come and go, and compares each page with what there was at that moment. */
  scanWhileWriting(range: Omit<KeyRange, 'after'>, writesPerPage: number): void {
    while (!this.#arena.buildIndex());
    const steady = new Set(this.#inRange(range).map(([key]) => key));
    const seen = new Set<string>();
    let after: Buffer | undefined;
    do {
      const page = this.#arena.scan({ ...range, after }, this.#nowMs);
      const expected = this.#inRange({ ...range, after }).slice(0, range.limit);
      expectSameKeys(
        page.entries,
        expected.map(([key]) => key),
      );
      for (const [i, [key, value]] of page.entries.entries()) {
        expectSame(value, expected[i]![1]);
        expect(seen.has(key.toString('latin1'))).to.equal(false);
        seen.add(key.toString('latin1'));
      }
      after = page.after;
      for (let i = 0; i < writesPerPage; i += 1) this.step();
      for (const key of steady) if (!this.#isLive(key)) steady.delete(key);
    } while (after !== undefined);
    expect([...steady].filter((key) => !seen.has(key))).to.deep.equal([]);
  }

  #put(): void {
    const key = this.#anyKey();
    const size = this.below(100) === 0 ? this.below(1_800) : this.below(60);
    const value = Buffer.alloc(size, this.below(256));
    const meta = {
      partition: [0, 0, 1, 31, 32, 70_000][this.below(6)]!,
      offset: this.#nextOffset(),
      timestampMs: [-1, 0, 1_760_000_000_000, 2 ** 48 - 1, 2 ** 48, 2 ** 53][this.below(6)]!,
      expiresAtMs: this.below(4) === 0 ? this.#nowMs + this.below(1_000) : undefined,
      contentType: this.below(8) === 0 ? ['', 'text/plain', 'a'.repeat(200)][this.below(3)] : undefined,
    };
    expectQuickly(this.#store.put(Buffer.from(key, 'latin1'), value, meta), true);
    const droppableAtMs = meta.expiresAtMs ?? Number.POSITIVE_INFINITY;
    this.#model.set(key, { ...meta, value: value.toString('latin1'), droppableAtMs });
  }

  #delete(): void {
    const key = this.#anyKey();
    const [partition, offset] = [this.below(3), this.#nextOffset()];
    expectQuickly(this.#store.delete(Buffer.from(key, 'latin1'), partition, offset, this.#nowMs), true);
    const droppableAtMs = this.#nowMs + retentionMs;
    this.#model.set(key, { partition, offset, timestampMs: 0, value: undefined, droppableAtMs });
  }

  /** A record that is no newer changes nothing, as long as what is newer cannot have been swept. */
  #late(): void {
    const key = this.#anyKey();
    const held = this.#model.get(key);
    if (held === undefined || held.droppableAtMs <= this.#nowMs) return;
    const { partition, offset } = held;
    const late = { partition, offset: offset - this.below(2), timestampMs: 5 };
    expectQuickly(this.#store.put(Buffer.from(key, 'latin1'), Buffer.from('late'), late), false);
  }

  #look(key: string): void {
    const found = this.#store.look(Buffer.from(key, 'latin1'), this.#nowMs);
    const held = this.#model.get(key);
    if (held === undefined) expectQuickly(found, undefined);
    else if (held.droppableAtMs <= this.#nowMs) expectQuickly(found ?? 'absent', 'absent');
    else if (held.value === undefined) expectQuickly(found, 'absent');
    else expectSame(found, held);
  }

  #scanPage(): void {
    if (!this.#arena.isOrdered || this.below(40) !== 0) return;
    const bound = () => (this.below(2) === 0 ? undefined : Buffer.from(this.#anyKey(), 'latin1'));
    const prefix = bound()?.subarray(0, this.below(4));
    const range = { prefix, from: bound(), to: bound(), after: bound(), limit: 1 + this.below(20) };
    const { entries, after } = this.#arena.scan(range, this.#nowMs);
    const expected = this.#inRange(range);
    const page = expected.slice(0, range.limit);
    expectSameKeys(
      entries,
      page.map(([key]) => key),
    );
    for (const [i, [, value]] of entries.entries()) expectSame(value, page[i]![1]);
    if (after === undefined) expect(expected.length).to.be.below(range.limit);
    else expect(after.toString('latin1')).to.equal(page.at(-1)?.[0]);
  }

  #inRange({ prefix, from, to, after }: Omit<KeyRange, 'limit'>): [key: string, held: Held][] {
    const [first, end, last] = [from, to, after].map((bound) => bound?.toString('latin1'));
    const start = prefix?.toString('latin1') ?? '';
    return [...this.#model]
      .filter(([key]) => this.#isLive(key) && key.startsWith(start))
      .filter(([key]) => (first === undefined || key >= first) && (end === undefined || key < end))
      .filter(([key]) => last === undefined || key > last)
      .sort(([left], [right]) => (left < right ? -1 : 1));
  }

  #isLive(key: string): boolean {
    const held = this.#model.get(key);
    return held?.value !== undefined && held.droppableAtMs > this.#nowMs;
  }

  /** Keys of several lengths, many of which begin alike, with bytes of every kind. */
  #anyKey(): string {
    const number = this.below(this.#keys);
    switch (number % 4) {
      case 0:
        return `key-${String(number).padStart(8, '0')}`;
      case 1:
        return String.fromCharCode(number & 0xff, (number >>> 8) & 0xff, number & 0x0f);
      case 2:
        return `${'long '.repeat(number % 40)}${number}`;
      default:
        return '\0'.repeat(number % 7) + number.toString(36);
    }
  }

  #nextOffset(): number {
    this.#offset += this.below(1_000_000) === 0 ? 2 ** 36 : 1 + this.below(3);
    return this.#offset;
  }
}

/** Millions of chai's comparisons would take most of the time. */
function expectQuickly(actual: unknown, expected: unknown): void {
  if (actual !== expected) expect(actual).to.equal(expected);
}

/** In one piece: deep comparison of long arrays would take most of the time. */
function expectSameKeys(entries: ScanPage['entries'], keys: readonly string[]): void {
  expect(entries.map(([key]) => key.toString('latin1')).join('\n')).to.equal(keys.join('\n'));
}

function expectSame(found: StoredValue | 'absent' | undefined, held: Held): void {
  if (found === undefined || found === 'absent') {
    expect(found).to.deep.equal(held);
    return;
  }
  // Compared by hand, for the same reason.
  if (
    found.latin1 !== held.value ||
    found.partition !== held.partition ||
    found.offset !== held.offset ||
    found.timestampMs !== held.timestampMs ||
    found.expiresAtMs !== held.expiresAtMs ||
    found.contentType !== held.contentType
  ) {
    expect({ ...found }).to.deep.equal(held);
    throw new Error('what is found differs from what is held');
  }
}

describe('arena store against a Map', () => {
  for (const tried of cases) {
    it(`${tried.name}: holds and scans the same after any steps, compaction, growth and sweeps among them`, function () {
      this.timeout(600_000);
      const steps = Math.floor(stepsOfAll * tried.part);
      const trial = new Trial(tried, 1);
      const checks = 12;
      for (let round = 1; round <= checks; round += 1) {
        const roundEnd = (steps / checks) * round;
        while (trial.steps < roundEnd - steps / checks / 2) trial.step();
        // The other half of the steps between the pages of scans.
        while (trial.steps < roundEnd) trial.scanSomewhere(tried.keys / 10);
        trial.check();
        if (round === checks / 2) trial.clear();
      }
      // Compaction falls behind only by what is in chunks that are not full, and by one that it is at.
      if (tried.sizes.chunkBytes < 100_000) expect(trial.deadPartMax).to.be.below(0.3);
    });
  }
});

describe('scan of an arena store, while keys come and go', () => {
  const tried: Case = { name: '', keys: 1_500, hash: seeded, ...sized(2_048, 16, 8), part: 0 };

  for (const seed of [1, 2, 3]) {
    it(`shows in each page what there is at the moment, and every lasting key once (seed ${seed})`, () => {
      const trial = new Trial(tried, seed);
      for (let i = 0; i < 20_000; i += 1) trial.step();
      trial.scanWhileWriting({ limit: 7 }, 40);
      trial.scanWhileWriting({ prefix: Buffer.from('key-0000'), limit: 3 }, 30);
      trial.scanWhileWriting({ from: Buffer.from('key-'), to: Buffer.from('long '), limit: 1 }, 10);
      trial.scanWhileWriting({ prefix: Buffer.from([0, 0]), to: Buffer.from([0, 0, 0x61]), limit: 5 }, 100);
      trial.check();
    });
  }
});
