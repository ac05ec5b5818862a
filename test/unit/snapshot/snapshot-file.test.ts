import { readFile, stat, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { SnapshotFile, snapshotPath } from '../../../src/snapshot/snapshot-file.ts';
import { encodeHeader, encodeTail, SnapshotFault } from '../../../src/snapshot/snapshot-format.ts';
import { SnapshotReader } from '../../../src/snapshot/snapshot-reader.ts';
import { storeDigest } from '../../support/digest.ts';
import { PlainStore } from '../../support/plain-store.ts';
import { keyCount, nodeSizes, reach, SnapshotRig, subject } from '../../support/snapshot-rig.ts';

const never = new AbortController().signal;

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('snapshot file', () => {
  let rig: SnapshotRig;

  beforeEach(async () => {
    rig = new SnapshotRig();
    await rig.open();
  });

  afterEach(() => rig.close());

  it('gives back what the store held, its order and its seed with it, to a store of another seed', async () => {
    for (const ordered of [true, false]) {
      const own = new SnapshotRig({ ordered });
      await own.open();
      try {
        const { store, file } = own.filled('a');
        const { bytes, entries } = await file.write(subject, reach, never);
        expect(entries).to.equal(keyCount);
        expect((await stat(own.path)).size).to.equal(bytes);
        expect((await stat(own.path)).mode & 0o777).to.equal(0o600);
        const other = own.empty();
        for (let round = 0; round < 2; round += 1) {
          const snapshot = (await other.file.open())!;
          expect(snapshot.header).to.deep.include(subject);
          expect(snapshot.summary).to.deep.include(reach());
          await snapshot.verify();
          await other.file.restore(snapshot, never);
          await snapshot.close();
          expect(storeDigest(other.store, 0)).to.equal(storeDigest(store, 0));
          expect(other.store.size).to.deep.equal(store.size);
          expect(other.store.get(Buffer.from('key-1'), 0)).to.deep.equal(store.get(Buffer.from('key-1'), 0));
          while (!other.store.buildIndex());
          // The next snapshot is of the restored store, and by its hashes.
          await other.file.write(subject, reach, never);
        }
      } finally {
        await own.close();
      }
    }
  });

  it('takes records that are larger than a block, and an empty store', async () => {
    const own = new SnapshotRig({ sizes: nodeSizes });
    await own.open();
    try {
      const { store, file } = own.filled('a');
      const value = Buffer.alloc(3_000_000, 'v');
      const buffer = Buffer.concat([Buffer.from('large'), value]);
      const place = { keyStart: 0, keyEnd: 5, valueStart: 5, valueEnd: buffer.length };
      store.put({
        buffer,
        ...place,
        partition: 0,
        offset: 99,
        timestampMs: 0,
        expiresAtMs: undefined,
        contentType: undefined,
      });
      await file.write(subject, reach, never);
      const other = own.empty();
      const snapshot = (await other.file.open())!;
      await snapshot.verify();
      await other.file.restore(snapshot, never);
      await snapshot.close();
      expect(storeDigest(other.store, 0)).to.equal(storeDigest(store, 0));
      store.clear();
      await file.write(subject, reach, never);
      const nothing = (await other.file.open())!;
      await nothing.verify();
      await other.file.restore(nothing, never);
      await nothing.close();
      expect([nothing.blocks, other.store.size.values, [...other.store.entries(0)]]).to.deep.equal([0, 0, []]);
    } finally {
      await own.close();
    }
  });

  it('is none when there is none', async () => {
    expect(await rig.empty().file.open()).to.equal(undefined);
  });

  it('is refused when it ends early, wherever, and leaves the store empty', async function () {
    this.timeout(120_000);
    await rig.write('a');
    const whole = await readFile(rig.path);
    const { store, file } = rig.empty();
    for (let bytes = 0; bytes < whole.length; bytes += 1) {
      await writeFile(rig.path, whole.subarray(0, bytes));
      expect(await rejection(file.open()), `${bytes} bytes`).to.be.instanceOf(SnapshotFault);
    }
    expect(store.size.values).to.equal(0);
  });

  it('is refused with a bit turned over, whichever, and leaves the store empty', async function () {
    this.timeout(120_000);
    await rig.write('a');
    const whole = await readFile(rig.path);
    for (let byte = 0; byte < whole.length; byte += 1) {
      const bytes = Buffer.from(whole);
      bytes[byte]! ^= 1 << (byte % 8);
      await writeFile(rig.path, bytes);
      const { store, file } = rig.empty();
      const fault = await rejection(
        (async () => {
          const snapshot = await file.open();
          try {
            // Both find it.
            expect(await rejection(snapshot!.verify()), `byte ${byte}`).to.be.instanceOf(SnapshotFault);
            await file.restore(snapshot!, never);
          } finally {
            await snapshot?.close();
          }
        })(),
      );
      expect(fault, `byte ${byte}`).to.be.instanceOf(SnapshotFault);
      expect(String(fault)).not.to.match(/-8/);
      expect([store.size.values, store.memory.liveBytes, [...store.entries(0)].length]).to.deep.equal([0, 0, 0]);
    }
  });

  it('is refused with a piece of it twice, left out, or of another snapshot', async () => {
    await rig.write('a');
    const whole = await readFile(rig.path);
    await rig.write('another');
    const other = await readFile(rig.path);
    const middle = whole.length >>> 1;
    const { file } = rig.empty();
    for (const pieces of [
      [whole, whole],
      [whole.subarray(0, middle), whole],
      [whole.subarray(0, middle), whole.subarray(middle + 8)],
      [whole.subarray(0, middle), other.subarray(middle)],
      [Buffer.alloc(whole.length)],
      [Buffer.alloc(whole.length, 0xff)],
    ]) {
      await writeFile(rig.path, Buffer.concat(pieces));
      const fault = await rejection(
        file.open().then((snapshot) => snapshot!.verify().finally(() => snapshot!.close())),
      );
      expect(fault).to.be.instanceOf(SnapshotFault);
    }
  });

  it('is refused, before anything is made of it, when its index tells of blocks that nobody writes', async () => {
    const header = encodeHeader({ ...subject, entryLayout: 1, ordered: true, seed: [1, 2] });
    const [tombstones, keyBytes, valueBytes] = [0, 0, 0];
    for (const [count, entryBytes] of [
      [0, 16],
      [1, 0],
      [16_385, 16_385 * 16],
      [2, 24],
      [16_000, 2 ** 20 + 8],
    ] as const) {
      const row = { count, entryBytes, checksum: 0, tombstones, keyBytes, valueBytes };
      const summary = { ...reach(), entries: count, tombstones, keyBytes, valueBytes };
      const block = Buffer.alloc(count * 8 + entryBytes);
      await writeFile(rig.path, Buffer.concat([header, block, encodeTail([row], summary)]));
      const fault = await rejection(SnapshotReader.open(rig.path));
      expect(fault).to.be.instanceOf(SnapshotFault);
      expect((fault as SnapshotFault).message).to.contain(`no block has ${count} entries of ${entryBytes} bytes`);
    }
  });

  it('does not fit a store that keeps another order, or has chunks too small for its blocks', async () => {
    const unordered = new SnapshotRig({ ordered: false });
    await unordered.open();
    await rig.write('a');
    const snapshot = await SnapshotReader.open(rig.path);
    expect(await rejection(unordered.empty().file.restore(snapshot, never))).to.be.instanceOf(SnapshotFault);
    await snapshot.close();
    await unordered.close();
    const large = new SnapshotRig({ sizes: nodeSizes });
    await large.open();
    await large.write('a');
    const { store, file: small } = rig.empty();
    const block = await SnapshotReader.open(large.path);
    expect(await rejection(small.restore(block, never))).to.be.instanceOf(SnapshotFault);
    expect(store.size.values).to.equal(0);
    await block.close();
    await large.close();
  });

  it('is not restored any further once that is given up', async () => {
    await rig.write('a');
    const { store, file } = rig.empty();
    const snapshot = (await file.open())!;
    const aborted = AbortSignal.abort(new Error('given up'));
    expect(String(await rejection(file.restore(snapshot, aborted)))).to.contain('given up');
    await snapshot.close();
    expect(store.memory.liveBytes).to.equal(0);
  });

  it('is written while the store goes on being written to', async () => {
    const { store, file } = rig.filled('a');
    const plain = new PlainStore(store);
    let offset = keyCount;
    let isWriting = true;
    const others = (async () => {
      while (isWriting) {
        plain.put(Buffer.from(`key-${offset % 200}`), Buffer.from('a.later'), { partition: 0, offset, timestampMs: 0 });
        offset += 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await file.write(subject, reach, never);
    isWriting = false;
    await others;
    expect(offset).to.be.above(keyCount + 1);
    const snapshot = await SnapshotReader.open(rig.path);
    await snapshot.verify();
    await snapshot.close();
  });
});

describe('path of a snapshot', () => {
  it('has nothing in it that a file system reads otherwise', () => {
    const path = snapshotPath('/data', { topic: 'a.b', nodename: 'fe80::1%eth0/..', apiPort: 80 });
    expect(path).to.equal('/data/snapshots/a.b-fe80__1_eth0_..-80.snapshot');
  });

  it('fits a file system, and is another for each node, however long the names', async () => {
    const rig = new SnapshotRig();
    await rig.open();
    try {
      const paths = ['n', 'm'].map((last) =>
        snapshotPath(rig.folder, { topic: 't'.repeat(249), nodename: `${'n'.repeat(252)}${last}`, apiPort: 65_535 }),
      );
      expect(new Set(paths).size).to.equal(2);
      for (const path of paths) {
        const seed = [1, 2] as const;
        const file = new SnapshotFile({ path, store: rig.store(seed), seed });
        await file.write(subject, reach, never);
        await (await file.open())!.close();
      }
    } finally {
      await rig.close();
    }
  });
});
