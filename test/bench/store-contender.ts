import type { ArenaStore } from '../../src/store/arena-store.ts';
import type { RecordView, ScanPage, Store, StoreMemory } from '../../src/store/store.ts';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';

export interface StoreTask {
  readonly contender: 'arena' | 'arena, ordered' | 'MapStore' | 'JS Map';
  readonly keys: number;
  readonly valueBytes: number;
}

export interface StoreFigures {
  /** Resident memory that filling took, and what the store says that it has asked for; null where there is none to say so. */
  readonly bytesPerKey: number;
  readonly saidBytesPerKey: number | null;
  readonly insertsPerSecond: number;
  readonly getsPerSecond: number;
  readonly overwritesPerSecond: number;
  /** The longest call of `put`, of new keys and of overwrites. */
  readonly longestInsertMs: number;
  readonly longestOverwriteMs: number;
  /** Part of the entries' memory that overwriting left unusable. */
  readonly deadPart: number;
  /** null where there is none. */
  readonly index: IndexFigures | null;
}

export interface IndexFigures {
  readonly bytesPerKey: number;
  readonly buildMs: number;
  readonly longestStepMs: number;
  readonly scannedPerSecond: number;
}

const { contender, keys, valueBytes } = taskOf<StoreTask>();
const keyBytes = 15;
const recordBytes = keyBytes + valueBytes + 7;
const batchRecords = 5_000;
/** Calls whose processor time is taken as one: asking for it takes as long as a call. */
const burst = 20;
const probes = 1_000_000;
const pageKeys = 1_000;
const retentionMs = 86_400_000;
/** A prime, so that strides of it come past every key. */
const stride = 7_368_787;

type Put = (record: RecordView) => unknown;

/** Digits of `index`, to the right of a key of zeros. */
function layKey(buffer: Buffer, start: number, index: number): void {
  for (let at = start + keyBytes - 1, rest = index; at >= start + 4; at -= 1) {
    buffer[at] = 48 + (rest % 10);
    rest = (rest / 10) | 0;
  }
}

const batch = Buffer.alloc(batchRecords * recordBytes, 'v');
for (let i = 0; i < batchRecords; i += 1) batch.write('key-', i * recordBytes, 'latin1');
const record: RecordView = {
  buffer: batch,
  keyStart: 0,
  keyEnd: 0,
  valueStart: 0,
  valueEnd: 0,
  partition: 0,
  offset: 0,
  timestampMs: 0,
  expiresAtMs: undefined,
  contentType: undefined,
};

/**
 * Puts records as the replica does, from batches, whose making is not part of the time. Of every second batch each call is
 * timed, and of the others only the whole. A call has taken no longer than its wall time, which is others' fault too, and
 * than the processor time of the calls around it, which is also that of V8's helpers.
 */
function putAll(put: Put, count: number, keyOf: (i: number) => number, firstOffset: number) {
  let elapsedMs = 0;
  let longestMs = 0;
  const lay = (done: number): void => {
    for (let i = 0; i < batchRecords; i += 1) layKey(batch, i * recordBytes, keyOf(done + i));
  };
  const putOne = (done: number, i: number): void => {
    record.keyStart = i * recordBytes;
    record.keyEnd = record.keyStart + keyBytes;
    record.valueStart = record.keyEnd + 3;
    record.valueEnd = record.valueStart + valueBytes;
    record.offset = firstOffset + done + i;
    record.timestampMs = 1_760_000_000_000 + done + i;
    put(record);
  };
  for (let done = 0; done < count; done += batchRecords) {
    lay(done);
    const startedMs = performance.now();
    for (let i = 0; i < batchRecords; i += 1) putOne(done, i);
    elapsedMs += performance.now() - startedMs;
    done += batchRecords;
    lay(done);
    for (let i = 0; i < batchRecords; i += burst) {
      let longestOfBurstMs = 0;
      const processorBeforeMs = processorMs();
      for (let k = i; k < i + burst; k += 1) {
        const beforeMs = performance.now();
        putOne(done, k);
        longestOfBurstMs = Math.max(longestOfBurstMs, performance.now() - beforeMs);
      }
      longestMs = Math.max(longestMs, Math.min(longestOfBurstMs, processorMs() - processorBeforeMs));
    }
  }
  return { perSecond: (count * 500) / elapsedMs, longestMs };
}

/** Of this process: what others do on the machine meanwhile is no pause of ours. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

const wanted = Array.from({ length: batchRecords }, () => Buffer.from('key-00000000000'));

/** Gets keys from all over the store; the making of the keys is not part of the time. */
function getMany(get: (key: Buffer) => unknown): number {
  let elapsedMs = 0;
  for (let done = 0; done < probes; done += batchRecords) {
    for (const [i, key] of wanted.entries()) layKey(key, 0, ((done + i) * stride + 1) % keys);
    const startedMs = performance.now();
    for (const key of wanted) if (get(key) === undefined) throw new Error(`${key} is not there`);
    elapsedMs += performance.now() - startedMs;
  }
  return (probes * 1_000) / elapsedMs;
}

function residentBytes(): number {
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  return process.memoryUsage.rss();
}

function sumOf(memory: StoreMemory): number {
  return Object.values(memory).reduce((sum: number, bytes: number) => sum + bytes, 0);
}

async function makeStore() {
  if (contender === 'MapStore') {
    const { MapStore } = await built<typeof import('../../src/store/map-store.ts')>('store/map-store.js');
    return { store: new MapStore(retentionMs), arena: undefined };
  }
  const { ArenaStore } = await built<typeof import('../../src/store/arena-store.ts')>('store/arena-store.js');
  const { keyHash } = await built<typeof import('../../src/store/key-hash.ts')>('store/key-hash.js');
  const ordered = contender === 'arena, ordered';
  const store = new ArenaStore({ tombstoneRetentionMs: retentionMs, hash: keyHash([0x1234, 0x5678]), ordered });
  return { store, arena: store };
}

/** What people do without a store: strings to objects. */
function makeMap(): { put: Put; get: (key: Buffer) => unknown } {
  const map = new Map<string, { value: Buffer; offset: number; timestampMs: number }>();
  return {
    put: ({ buffer, keyStart, keyEnd, valueStart, valueEnd, offset, timestampMs }) => {
      const value = Buffer.from(buffer.subarray(valueStart, valueEnd));
      return map.set(buffer.toString('latin1', keyStart, keyEnd), { value, offset, timestampMs });
    },
    get: (key) => map.get(key.toString('latin1')),
  };
}

const emptyBytes = residentBytes();
const { store, arena } = contender === 'JS Map' ? { store: undefined, arena: undefined } : await makeStore();
const { put, get } = store === undefined ? makeMap() : putAndGet(store);
const inserts = putAll(put, keys, (i) => i, 0);
const bytesPerKey = (residentBytes() - emptyBytes) / keys;
const saidBytesPerKey = arena === undefined ? null : sumOf(arena.memory) / keys;
const getsPerSecond = getMany(get);

/** Building the index, and walking through it. */
function indexFigures(store: ArenaStore): IndexFigures {
  let [buildMs, longestStepMs] = [0, 0];
  for (let isBuilt = false; !isBuilt; ) {
    const [startedMs, processorBeforeMs] = [performance.now(), processorMs()];
    isBuilt = store.buildIndex();
    const stepMs = Math.min(performance.now() - startedMs, processorMs() - processorBeforeMs);
    buildMs += stepMs;
    longestStepMs = Math.max(longestStepMs, stepMs);
  }
  const startedMs = performance.now();
  let [scanned, after] = [0, undefined as Buffer | undefined];
  do {
    const page: ScanPage = store.scan({ after, limit: pageKeys }, 0);
    scanned += page.entries.length;
    after = page.after;
  } while (after !== undefined && scanned < probes);
  const scannedPerSecond = (scanned * 1_000) / (performance.now() - startedMs);
  return { bytesPerKey: store.memory.indexBytes / keys, buildMs, longestStepMs, scannedPerSecond };
}

const index = arena !== undefined && contender === 'arena, ordered' ? indexFigures(arena) : null;
const overwrites = putAll(put, Math.min(keys, 2_000_000), (i) => (i * stride) % keys, keys);
const { liveBytes = 1, deadBytes = 0 } = arena?.memory ?? {};

tell({
  bytesPerKey,
  saidBytesPerKey,
  insertsPerSecond: inserts.perSecond,
  getsPerSecond,
  overwritesPerSecond: overwrites.perSecond,
  longestInsertMs: inserts.longestMs,
  longestOverwriteMs: overwrites.longestMs,
  deadPart: deadBytes / (liveBytes + deadBytes),
  index,
} satisfies StoreFigures);

function putAndGet(store: Store): { put: Put; get: (key: Buffer) => unknown } {
  return { put: (record) => store.put(record), get: (key) => store.get(key, 0)?.latin1 };
}
