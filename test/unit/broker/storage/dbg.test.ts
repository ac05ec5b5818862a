import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { PartitionLog } from '../../../../src/broker/storage/partition-log.ts';
import { gzipped } from './compressed.ts';
import { batchOf, compacted, type Found, headersOf, LogRig, recordsOf } from './log-rig.ts';

interface Producer {
  epoch: number;
  sequence: number;
  isOpen: boolean;
}

const producers = 3;
const record = fc.record({ key: fc.nat(6), isTombstone: fc.boolean() });
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      records: fc.array(record, { minLength: 1, maxLength: 5 }),
      isCompressed: fc.boolean(),
      /** -1: of no producer. */
      producer: fc.integer({ min: -1, max: producers - 1 }),
      isTransactional: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      producer: fc.nat(producers - 1),
      commit: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('compact' as const), afterMs: fc.nat(3_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('reopen' as const, 'rebuild' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const config = { ...compacted, segmentBytes: 900, segmentMs: 1_000, deleteRetentionMs: 1_500 };

describe('compaction, against a list', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  it('keeps the last record of each key, its offset, and what producers and transactions need', async function () {
    this.timeout(180_000);
    const run = async (steps: readonly Step[]): Promise<void> => {
      const folder = await rig.folder();
      let log = await rig.open(folder, config);
      const written: Found[] = [];
      const states = Array.from({ length: producers }, (): Producer => ({ epoch: 0, sequence: 0, isOpen: false }));
      for (const step of steps) {
        if (step.kind === 'append') appendStep(log, step, states, { written, nowMs: rig.clock.nowMs() });
        else if (step.kind === 'end') endTransaction(log, states, step);
        else if (step.kind === 'compact') {
          const before = await recordsOf(log, { isolation: 'read_committed' });
          const { endOffset, lastStableOffset } = log;
          await rig.clock.pass(step.afterMs);
          await log.compact(rig.clock.nowMs());
          expect([log.endOffset, log.lastStableOffset]).to.deep.equal([endOffset, lastStableOffset]);
          const after = await recordsOf(log, { isolation: 'read_committed' });
          expect(latest(after)).to.deep.equal(latest(before));
          expect(before).to.deep.include.members(after);
        } else {
          const before = await recordsOf(log, { isolation: 'read_committed' });
          await log.close();
          if (step.kind === 'rebuild') await removeAllButLogs(folder);
          log = await rig.open(folder, config);
          expect(await recordsOf(log, { isolation: 'read_committed' })).to.deep.equal(before);
        }
      }
      for (const producer of states.keys()) endTransaction(log, states, { producer, commit: producer % 2 === 0 });
      await rig.clock.pass(2_000);
      const committed = await recordsOf(log, { isolation: 'read_committed' });
      await log.compact(rig.clock.nowMs());
      const once = await recordsOf(log, { isolation: 'read_committed' });
      expect(latest(once)).to.deep.equal(latest(committed));
      expect(once.map(({ key }) => key)).to.have.length(new Set(once.map(({ key }) => key)).size);
      // Nothing is left of aborted transactions, so every reader sees the same.
      expect(await recordsOf(log)).to.deep.equal(once);
      expect(written).to.deep.include.members(once);
      await expectEveryOffset(log, once);
      await rig.clean();
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), run), { numRuns: 100, seed: 845195698, endOnFailure: true, path: "90:2:1:3:4:4:7:6:7:10:17:17:17:3:3:3:3:3:10:14:14:14:9:17:17:17:17:17:19:20:20:20:21:21:25:25:30:29:31:31:32:32:32:32:32:32:35:35:35:35:39:39:39:39:39:39:39:42:40:44:46:45:46:50:51:52:53:50:51:51:52:52:53:52:53:53:53:53:53:52:52:52:12:55:54:56:61:61:62:61:63:63:65:65:65:61:61:64:50:3:63:63:66:61:62:66:57:58:54:62:62:64:65:66:67:66:66:67:66:66" });
  });
});

function appendStep(
  log: PartitionLog,
  step: Step & { kind: 'append' },
  states: readonly Producer[],
  { written, nowMs }: { written: Found[]; nowMs: number },
): void {
  const state = states[step.producer];
  const isTransactional = state !== undefined && (step.isTransactional || state.isOpen);
  const texts = step.records.map(({ key, isTombstone }) => `k${key}:${isTombstone ? '' : `v${written.length}`}`);
  const plain = batchOf(texts, {
    timestampMs: nowMs,
    isTransactional,
    ...(state && { producerId: step.producer, producerEpoch: state.epoch, baseSequence: state.sequence }),
  });
  const batch = step.isCompressed ? gzipped(plain) : plain;
  const { baseOffset, isDuplicate } = log.append(batch, { leaderEpoch: 0, origin: 'client' });
  expect(isDuplicate).to.equal(false);
  for (const [index, text] of texts.entries()) {
    const [key, value] = text.split(':') as [string, string];
    written.push({ offset: baseOffset + index, key, value: value === '' ? null : value, timestampMs: nowMs });
  }
  if (state === undefined) return;
  state.sequence += texts.length;
  state.isOpen = isTransactional;
}

function endTransaction(
  log: PartitionLog,
  states: readonly Producer[],
  { producer, commit }: { producer: number; commit: boolean },
): void {
  const state = states[producer]!;
  if (!state.isOpen) return;
  log.appendMarker({ producerId: producer, producerEpoch: state.epoch, coordinatorEpoch: 0, commit, leaderEpoch: 0 });
  state.isOpen = false;
}

/** What a reader of the whole log ends up with. */
function latest(records: readonly Found[]): Map<string, Found> {
  const map = new Map<string, Found>();
  for (const record of records) {
    if (record.value === null) map.delete(record.key!);
    else map.set(record.key!, record);
  }
  return new Map([...map].sort());
}

async function expectEveryOffset(log: PartitionLog, records: readonly Found[]): Promise<void> {
  for (let offset = log.logStartOffset; offset <= log.endOffset; offset += 1) {
    expect(await recordsOf(log, { from: offset, maxBytes: 300 })).to.deep.equal(
      records.filter((each) => each.offset >= offset),
    );
  }
  const headers = await headersOf(log);
  for (const [index, header] of headers.entries())
    expect(header.baseOffset).to.be.above(headers[index - 1]?.lastOffset ?? -1);
}

async function removeAllButLogs(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (!name.endsWith('.log')) await rm(join(folder, name));
}
