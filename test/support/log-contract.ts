import { expect } from 'chai';
import type { Context } from 'mocha';
import { BitacoraError, type ErrorCode } from '../../src/kernel/errors.ts';
import type { Log } from '../../src/log/log.ts';
import { CollectingReader } from './read-log.ts';

const settings = { partitions: 3, maxMessageBytes: 200_000 };

/** Rejects as expected, or fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<ErrorCode> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(BitacoraError);
    return (error as BitacoraError).code;
  }
  throw new Error('resolved, and was expected to reject');
}

/**
 * What every log must do, whatever it is made of. `makeLog` makes a log whose topic does not exist yet.
 */
export function logContract(prepare: (context: Context) => Promise<() => Promise<Log>>): void {
  let makeLog: () => Promise<Log>;
  let log: Log;
  let reader: CollectingReader | undefined;

  before(async function () {
    makeLog = await prepare(this);
  });

  beforeEach(async () => {
    log = await makeLog();
    await log.run();
  });

  afterEach(async () => {
    await reader?.stop();
    reader = undefined;
    await log.drain?.();
    await log.stop();
  });

  const append = (partition: number, key: string, value: string | null, timestampMs = 1_000) =>
    log.append({ partition, key: Buffer.from(key), value: value === null ? null : Buffer.from(value), timestampMs });

  it('has no topic until it is created, and then a compacted one', async () => {
    expect(await log.describe()).to.equal(undefined);
    await log.create(settings);
    expect(await log.describe()).to.deep.include({
      partitions: 3,
      cleanupPolicy: 'compact',
      maxMessageBytes: 200_000,
    });
    await log.create({ ...settings, partitions: 5 });
    expect((await log.describe())?.partitions).to.equal(3);
  });

  it('numbers the records of each partition from 0 on', async () => {
    await log.create(settings);
    expect(await log.ends()).to.deep.equal([0, 1, 2].map((partition) => ({ partition, earliest: 0, end: 0 })));
    expect(await append(1, 'a', '1')).to.deep.equal({ partition: 1, offset: 0, timestampMs: 1_000 });
    expect(await append(1, 'b', '2', 2_000)).to.deep.equal({ partition: 1, offset: 1, timestampMs: 2_000 });
    expect((await append(2, 'c', '3')).offset).to.equal(0);
    expect((await log.ends()).map(({ end }) => end)).to.deep.equal([0, 2, 1]);
  });

  it('keeps the order in which records were given to a partition', async () => {
    await log.create(settings);
    const keys = Array.from({ length: 500 }, (_, i) => `key-${i}`);
    const appended = await Promise.all(keys.map((key) => append(0, key, 'v')));
    expect(appended.map(({ offset }) => offset)).to.deep.equal(keys.map((_, i) => i));
    reader = new CollectingReader(log, [0, 0, 0]);
    await reader.reach([500, 0, 0]);
    expect(reader.records.map(({ key }) => key?.toString())).to.deep.equal(keys);
  });

  it('gives back keys, values, timestamps and headers byte for byte', async () => {
    await log.create(settings);
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const headers = new Map([
      ['content-type', Buffer.from('text/plain')],
      ['__proto__', Buffer.from('harmless')],
    ]);
    await log.append({ partition: 0, key: every, value: every, headers, timestampMs: 1_700_000_000_123 });
    await append(0, '__proto__', '');
    await append(0, '__proto__', null);
    reader = new CollectingReader(log, [0, 0, 0]);
    await reader.reach([3, 0, 0]);
    const [first, empty, tombstone] = reader.records;
    expect(first).to.deep.include({
      partition: 0,
      offset: 0,
      timestampMs: 1_700_000_000_123,
      key: every,
      value: every,
    });
    expect(Object.entries(first?.headers ?? {})).to.deep.equal([
      ['content-type', 'text/plain'],
      ['__proto__', 'harmless'],
    ]);
    expect(empty?.value).to.deep.equal(Buffer.alloc(0));
    expect(tombstone?.value).to.equal(null);
    expect(tombstone?.headers).to.deep.equal({});
  });

  it('reads from the positions it is given, and goes on with what is appended later', async () => {
    await log.create(settings);
    for (const key of ['a', 'b', 'c']) await append(0, key, key);
    await append(1, 'x', 'x');
    reader = new CollectingReader(log, [2, 1, 0]);
    await reader.reach([3, 1, 0]);
    await append(0, 'd', 'd');
    await append(1, 'y', 'y');
    await reader.reach([4, 2, 0]);
    const seen = reader.records.map(({ partition, offset, key }) => `${partition}:${offset}:${key}`).sort();
    expect(seen).to.deep.equal(['0:2:c', '0:3:d', '1:1:y']);
    expect(reader.disturbances).to.deep.equal([]);
  });

  it('delivers every record once, and in order within its partition', async () => {
    await log.create(settings);
    const count = 9_000;
    const value = 'v'.repeat(100);
    await Promise.all(Array.from({ length: count }, (_, i) => append(i % 3, `key-${i}`, value)));
    reader = new CollectingReader(log, [0, 0, 0]);
    await reader.reach([count / 3, count / 3, count / 3]);
    for (const partition of [0, 1, 2]) {
      const offsets = reader.records.filter((record) => record.partition === partition).map(({ offset }) => offset);
      expect(offsets).to.deep.equal(Array.from({ length: count / 3 }, (_, i) => i));
    }
  });

  it('hands nothing on once the reader has stopped', async () => {
    await log.create(settings);
    await append(0, 'a', '1');
    const stopped = new CollectingReader(log, [0, 0, 0]);
    await stopped.reach([1, 0, 0]);
    await stopped.stop();
    await append(0, 'b', '2');
    reader = new CollectingReader(log, [0, 0, 0]);
    await reader.reach([2, 0, 0]);
    expect(stopped.records).to.have.length(1);
  });

  it('finds the first offset at or after a time', async () => {
    await log.create(settings);
    for (const timestampMs of [1_000, 3_000, 2_000, 5_000]) await append(0, 'k', 'v', timestampMs);
    expect(await log.firstOffsetSince(0, 0)).to.equal(0);
    expect(await log.firstOffsetSince(0, 1_500)).to.equal(1);
    expect(await log.firstOffsetSince(0, 5_000)).to.equal(3);
    expect(await log.firstOffsetSince(0, 5_001)).to.equal(4);
    expect(await log.firstOffsetSince(1, 0)).to.equal(0);
  });

  it('refuses a record that the topic does not take, and takes the ones beside it', async () => {
    await log.create(settings);
    const outcomes = await Promise.all([
      append(0, 'small', 'v'),
      rejection(append(0, 'large', 'v'.repeat(300_000))),
      append(0, 'small too', 'v'),
    ]);
    expect(outcomes[1]).to.equal('value_too_large');
    expect([outcomes[0].offset, outcomes[2].offset]).to.deep.equal([0, 1]);
  });

  it('takes nothing more once drained, and has what it took', async () => {
    await log.create(settings);
    const pending = append(0, 'a', '1');
    await log.drain?.();
    expect((await pending).offset).to.equal(0);
    expect(await rejection(append(0, 'b', '2'))).to.equal('shutting_down');
  });
}
