import { expect } from 'chai';
import fc from 'fast-check';
import type { Store, StoredValue } from '../../src/store/store.ts';
import { PlainStore } from './plain-store.ts';
import { type SeenValue, StoreModel } from './store-model.ts';

const retentionMs = 100;
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

/** Few enough to collide often, and each a trap for somebody: prototypes, UTF-8, hashes, prefixes, terminators. */
const trickyKeys = ['', '__proto__', 'constructor', 'a', 'a\0', '\0', 'ab', 'ñ', '\u00ff', 'key'].map((text) =>
  Buffer.from(text),
);
const anyKey = fc.oneof(
  fc.constantFrom(...trickyKeys, Buffer.from([0xff]), Buffer.from([0xff, 0xff]), Buffer.from([0xc3]), everyByte),
  fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
);
const anyValue = fc.oneof(
  fc.constantFrom(Buffer.alloc(0), everyByte),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);
const anyVersion = { partition: fc.nat(2), offset: fc.nat(30) };

type Step =
  | { do: 'put'; key: Buffer; value: Buffer; partition: number; offset: number; livesMs?: number; contentType?: string }
  | { do: 'delete'; key: Buffer; partition: number; offset: number }
  | { do: 'pass'; ms: number }
  | { do: 'sweep' }
  | { do: 'retain'; ms: number }
  | { do: 'clear' };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record(
      {
        do: fc.constant('put' as const),
        key: anyKey,
        value: anyValue,
        ...anyVersion,
        livesMs: fc.integer({ min: -20, max: 300 }),
        contentType: fc.constantFrom('text/plain', ''),
      },
      { requiredKeys: ['do', 'key', 'value', 'partition', 'offset'] },
    ),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('delete' as const), key: anyKey, ...anyVersion }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(120) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retain' as const), ms: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
);

/** What every store must do. `makeStore` makes an empty one that keeps tombstones for the time it is given. */
export function storeContract(makeBare: (tombstoneRetentionMs: number) => Store): void {
  const makeStore = (tombstoneRetentionMs: number) => new PlainStore(makeBare(tombstoneRetentionMs));
  let store: PlainStore;
  const meta = (offset: number, partition = 0) => ({ partition, offset, timestampMs: 1_000 });
  const bytes = (text: string) => Buffer.from(text);
  const textOf = (key: string, nowMs = 0) => store.get(bytes(key), nowMs)?.value.toString();

  beforeEach(() => {
    store = makeStore(retentionMs);
  });

  it('is, after any changes in any order, what the model says it is', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 1, maxLength: 120 }), (steps) => {
        const model = new StoreModel(retentionMs);
        const tried = makeStore(retentionMs);
        const keys = new Map<string, Buffer>();
        let nowMs = 1_000;
        for (const step of steps) {
          if ('key' in step) keys.set(step.key.toString('hex'), step.key);
          nowMs += step.do === 'pass' ? step.ms : 0;
          expect(perform(tried, step, nowMs)).to.equal(performOnModel(model, step, nowMs));
          expect(tried.size).to.deep.equal(model.size);
        }
        for (const [hex, key] of keys) {
          const known = model.look(hex, nowMs);
          expect(seen(tried.look(key, nowMs))).to.deep.equal(known);
          expect(seen(tried.get(key, nowMs))).to.deep.equal(known === 'absent' ? undefined : known);
        }
        const entries = [...tried.entries(nowMs)].map(([key, value]) => [key.toString('hex'), seen(value)] as const);
        expect(entries).to.have.length(model.live(nowMs).size);
        expect(new Map(entries)).to.deep.equal(model.live(nowMs));
      }),
      { numRuns: 500 },
    );
  });

  it('ends the same whatever order the records of one partition come in', () => {
    const anyRecord = fc.record({ key: fc.constantFrom(...trickyKeys), value: fc.option(anyValue) });
    const anyRecords = fc.array(anyRecord, { maxLength: 20 }).chain((records) => {
      const numbered = records.map((record, offset) => ({ ...record, offset }));
      return fc.tuple(fc.constant(numbered), fc.shuffledSubarray(numbered, { minLength: numbered.length }));
    });
    fc.assert(
      fc.property(anyRecords, ([inOrder, shuffled]) => {
        const states = [inOrder, shuffled, [...shuffled, ...inOrder]].map((records) => {
          const tried = makeStore(retentionMs);
          for (const { key, value, offset } of records) {
            if (value === null) tried.delete(key, 0, offset, 0);
            else tried.put(key, value, meta(offset));
          }
          return [tried.size, trickyKeys.map((key) => seen(tried.look(key, 0)))];
        });
        expect(states[1]).to.deep.equal(states[0]);
        expect(states[2]).to.deep.equal(states[0]);
      }),
    );
  });

  it('takes a newer record and says so, and changes nothing for an older one or the same again', () => {
    expect(store.put(bytes('k'), bytes('five'), meta(5))).to.equal(true);
    expect(store.put(bytes('k'), bytes('four'), meta(4))).to.equal(false);
    expect(store.put(bytes('k'), bytes('five again'), meta(5))).to.equal(false);
    expect(store.delete(bytes('k'), 0, 5, 0)).to.equal(false);
    expect(textOf('k')).to.equal('five');
    expect(store.put(bytes('k'), bytes('six'), meta(6))).to.equal(true);
    expect(textOf('k')).to.equal('six');
  });

  it('compares no offsets across partitions: what comes later counts', () => {
    store.put(bytes('k'), bytes('there'), meta(9, 1));
    expect(store.put(bytes('k'), bytes('here'), meta(2, 0))).to.equal(true);
    expect(store.get(bytes('k'), 0)).to.deep.include({ partition: 0, offset: 2 });
  });

  it('tells a deleted or expired key from one it never saw', () => {
    store.put(bytes('expires'), bytes('v'), { ...meta(0), expiresAtMs: 50 });
    store.delete(bytes('deleted'), 0, 1, 0);
    expect(seen(store.look(bytes('expires'), 49))).to.deep.include({ expiresAtMs: 50 });
    expect(store.look(bytes('expires'), 50)).to.equal('absent');
    expect(store.get(bytes('expires'), 50)).to.equal(undefined);
    expect(store.look(bytes('deleted'), 0)).to.equal('absent');
    expect(store.look(bytes('never seen'), 0)).to.equal(undefined);
  });

  it('keeps a tombstone for its time, against older values, and then lets it go', () => {
    store.delete(bytes('k'), 0, 5, 1_000);
    store.sweep(1_000 + retentionMs - 1, 100);
    expect(store.size.tombstones).to.equal(1);
    expect(store.put(bytes('k'), bytes('old'), meta(4))).to.equal(false);
    store.sweep(1_000 + retentionMs, 100);
    expect(store.size).to.deep.equal({ values: 0, tombstones: 0, keyBytes: 0, valueBytes: 0 });
    expect(store.look(bytes('k'), 2_000)).to.equal(undefined);
  });

  it('sweeps a few entries at a time, and comes round to every one', () => {
    for (let i = 0; i < 100; i += 1) {
      if (i < 50) store.put(bytes(`k${i}`), bytes('v'), meta(i));
      else store.delete(bytes(`k${i}`), 0, i, 0);
    }
    const gone: number[] = [];
    let isRound = false;
    while (!isRound) {
      const before = store.size.tombstones;
      isRound = store.sweep(retentionMs, 10);
      gone.push(before - store.size.tombstones);
    }
    expect(Math.max(...gone)).to.be.at.most(10);
    expect(gone).to.have.length.within(10, 11);
    expect(store.size).to.deep.include({ values: 50, tombstones: 0 });
  });

  it('sweeps soundly while keys come and go between the calls', () => {
    for (let i = 0; i < 50; i += 1) store.delete(bytes(`k${i}`), 0, i, 0);
    store.sweep(retentionMs, 20);
    for (let i = 0; i < 50; i += 1) store.put(bytes(`k${i}`), bytes('again'), meta(100 + i));
    store.sweep(retentionMs, 1_000);
    store.sweep(retentionMs, 1_000);
    expect(store.size).to.deep.include({ values: 50, tombstones: 0 });
    store.clear();
    store.delete(bytes('k'), 0, 0, 0);
    store.sweep(retentionMs, 1_000);
    store.sweep(retentionMs, 1_000);
    expect(store.size.tombstones).to.equal(0);
  });

  it('copies what it is given', () => {
    const [key, value] = [bytes('key'), bytes('value')];
    store.put(key, value, meta(0));
    key.fill(0);
    value.fill(0);
    expect(textOf('key')).to.equal('value');
    const deleted = bytes('gone');
    store.delete(deleted, 0, 1, 0);
    deleted.fill(0);
    expect(store.look(bytes('gone'), 0)).to.equal('absent');
  });

  it('gives out values that are the caller’s to change', () => {
    store.put(bytes('k'), bytes('value'), meta(0));
    store.get(bytes('k'), 0)?.value.fill(0);
    for (const [key, { value }] of store.entries(0)) {
      key.fill(0);
      value.fill(0);
    }
    expect(textOf('k')).to.equal('value');
  });

  it('gives out values that no later record changes, in bytes as in characters', () => {
    store.put(bytes('k'), everyByte, { ...meta(0), contentType: 'old' });
    const held = store.get(bytes('k'), 0);
    store.put(bytes('k'), bytes('new'), { ...meta(1), contentType: 'new' });
    store.delete(bytes('k'), 0, 2, 0);
    expect(seen(held)).to.deep.include({ value: everyByte.toString('hex'), offset: 0, contentType: 'old' });
    expect(held?.latin1).to.equal(everyByte.toString('latin1'));
  });
}

function perform(store: PlainStore, step: Step, nowMs: number): boolean | undefined {
  switch (step.do) {
    case 'put': {
      const { key, value, partition, offset, livesMs, contentType } = step;
      const expiresAtMs = livesMs === undefined ? undefined : nowMs + livesMs;
      return store.put(key, value, { partition, offset, timestampMs: nowMs, expiresAtMs, contentType });
    }
    case 'delete':
      return store.delete(step.key, step.partition, step.offset, nowMs);
    case 'sweep':
      // The first call may end a round that an earlier one began; the second looks at everything.
      store.sweep(nowMs, 10_000);
      store.sweep(nowMs, 10_000);
      return undefined;
    case 'retain':
      store.tombstoneRetentionMs = step.ms;
      return undefined;
    case 'clear':
      store.clear();
      return undefined;
    case 'pass':
      return undefined;
  }
}

function performOnModel(model: StoreModel, step: Step, nowMs: number): boolean | undefined {
  switch (step.do) {
    case 'put': {
      const { partition, offset, livesMs, contentType } = step;
      const expiresAtMs = livesMs === undefined ? undefined : nowMs + livesMs;
      const meta = { partition, offset, timestampMs: nowMs, expiresAtMs, contentType };
      return model.put(step.key.toString('hex'), step.value.toString('hex'), meta);
    }
    case 'delete':
      return model.delete(step.key.toString('hex'), step.partition, step.offset, nowMs);
    case 'sweep':
      model.sweep(nowMs);
      return undefined;
    case 'retain':
      model.tombstoneRetentionMs = step.ms;
      return undefined;
    case 'clear':
      model.clear();
      return undefined;
    case 'pass':
      return undefined;
  }
}

function seen(stored: StoredValue | 'absent' | undefined): SeenValue | 'absent' | undefined {
  if (stored === undefined || stored === 'absent') return stored;
  const { value, partition, offset, timestampMs, expiresAtMs, contentType } = stored;
  return { value: value.toString('hex'), partition, offset, timestampMs, expiresAtMs, contentType };
}
