import { cp, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import type { PartitionLog } from '../../../../src/broker/storage/partition-log.ts';
import { append, LogRig, recordsOf } from './log-rig.ts';

type Step =
  | { readonly kind: 'append'; readonly keys: readonly number[]; readonly delayMs: number }
  | { readonly kind: 'read'; readonly at: number; readonly maxBytes: number }
  | { readonly kind: 'delete'; readonly at: number }
  | { readonly kind: 'retain' | 'reopen' | 'crash' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      keys: fc.array(fc.nat(9), { minLength: 1, maxLength: 8 }),
      delayMs: fc.nat(1_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      maxBytes: fc.nat(2_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('delete' as const), at: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('retain' as const, 'reopen' as const, 'crash' as const) }),
  },
);

interface Expected {
  readonly offset: number;
  readonly value: string;
  readonly timestampMs: number;
}

const settings = { segmentBytes: 1_000, segmentMs: 20_000, retentionBytes: 6_000 };

describe('partition log, against a list', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  it('holds what was appended, at the same offsets, through rolls, deletions and restarts', async function () {
    this.timeout(120_000);
    const run = async (steps: readonly Step[]): Promise<void> => {
      let folder = await rig.folder();
      let log = await rig.open(folder, settings);
      let list: Expected[] = [];
      let endOffset = 0;
      for (const step of steps) {
        const startBefore = log.logStartOffset;
        if (step.kind === 'append') {
          await rig.clock.pass(step.delayMs);
          const timestampMs = rig.clock.nowMs();
          const texts = step.keys.map((key, index) => `${key}:${endOffset + index}`);
          const { baseOffset } = append(log, texts, { timestampMs });
          expect(baseOffset).to.equal(endOffset);
          list.push(
            ...texts.map((_, index) => ({ offset: endOffset + index, value: `${endOffset + index}`, timestampMs })),
          );
          endOffset += texts.length;
        } else if (step.kind === 'read') {
          await expectTail(log, list, Math.floor(step.at * (endOffset + 1)), step.maxBytes);
        } else if (step.kind === 'delete') {
          log.deleteRecordsBefore(Math.round(step.at * endOffset));
        } else if (step.kind === 'retain') {
          await log.retain(rig.clock.nowMs());
          // No more than a segment that is not over the limit by itself, and the active one.
          expect(log.sizeBytes).to.be.at.most(settings.retentionBytes + settings.segmentBytes);
        } else if (step.kind === 'reopen') {
          await log.close();
          log = await rig.open(folder, settings);
        } else {
          // What a killed process leaves: everything that was written, and no more.
          const copy = await rig.folder();
          await copyOf(folder, copy);
          await log.close();
          folder = copy;
          log = await rig.open(folder, settings);
        }
        list = list.filter(({ offset }) => offset >= log.logStartOffset);
        expect(log.logStartOffset).to.be.at.least(startBefore);
        expect(log.endOffset).to.equal(endOffset);
      }
      await expectTail(log, list, log.logStartOffset, 1_000);
      await expectTimes(log, list);
      await rig.clean();
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), run), { numRuns: 60 });
  });

  it('keeps a prefix of what was appended, however the files of a killed process end', async function () {
    this.timeout(120_000);
    const damage = fc.record({
      batches: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 30 }),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      isCut: fc.boolean(),
      manifest: fc.constantFrom('whole', 'damaged', 'missing'),
    });
    const run = async ({ batches, at, isCut, manifest }: typeof damage extends fc.Arbitrary<infer T> ? T : never) => {
      const folder = await rig.folder();
      const log = await rig.open(folder, { segmentBytes: 700 });
      const ends = batches.map(
        (count) =>
          append(
            log,
            Array.from({ length: count }, (_, i) => `k:${i}`),
          ).lastOffset + 1,
      );
      await log.flush();
      const copy = await rig.folder();
      await copyOf(folder, copy);
      const whole = await recordsOf(log);
      const last = (await readdir(copy))
        .filter((name) => name.endsWith('.log'))
        .sort()
        .at(-1)!;
      const path = join(copy, last);
      const { size } = await stat(path);
      const position = Math.floor(at * size);
      if (isCut) await truncate(path, position);
      else if (size > 0) {
        const bytes = await readFile(path);
        bytes[Math.min(position, size - 1)]! ^= 0x41;
        await writeFile(path, bytes);
      }
      if (manifest === 'damaged') await writeFile(join(copy, 'bitacora-manifest'), '1\n{}\n');
      if (manifest === 'missing') await writeFile(join(copy, 'bitacora-manifest'), '');
      const again = await rig.open(copy, { segmentBytes: 700 });
      expect([Number(last.slice(0, 20)), ...ends]).to.include(again.endOffset);
      const there = await recordsOf(again);
      expect(there).to.deep.equal(whole.slice(0, there.length));
      expect(there.length).to.equal(again.endOffset);
      expect(append(again, ['k:new']).baseOffset).to.equal(again.endOffset - 1);
      expect((await recordsOf(again)).at(-1)?.value).to.equal('new');
      await rig.clean();
    };
    await fc.assert(fc.asyncProperty(damage, run), { numRuns: 80 });
  });
});

async function expectTail(log: PartitionLog, list: readonly Expected[], from: number, maxBytes: number): Promise<void> {
  if (from < log.logStartOffset || from > log.endOffset) return;
  const found = await recordsOf(log, { from, maxBytes });
  expect(found.map(({ offset, value, timestampMs }) => ({ offset, value, timestampMs }))).to.deep.equal(
    list.filter(({ offset }) => offset >= from),
  );
}

async function expectTimes(log: PartitionLog, list: readonly Expected[]): Promise<void> {
  for (const { timestampMs } of list.filter((_, index) => index % 7 === 0)) {
    const first = list.find((record) => record.timestampMs >= timestampMs)!;
    expect(await log.offsetForTime(timestampMs)).to.include({ offset: first.offset, timestampMs: first.timestampMs });
    expect((await log.offsetForTime(timestampMs - 1))?.offset).to.be.at.most(first.offset);
  }
  const latest = list.reduce<Expected | undefined>(
    (best, each) => (each.timestampMs > (best?.timestampMs ?? -1) ? each : best),
    undefined,
  );
  const found = await log.offsetOfMaxTimestamp();
  if (latest !== undefined) expect(found).to.include({ offset: latest.offset, timestampMs: latest.timestampMs });
  expect(await log.offsetForTime(rigEndMs)).to.equal(undefined);
}
const rigEndMs = Number.MAX_SAFE_INTEGER;

/** Files as they are at this moment, but for one that goes meanwhile. */
async function copyOf(folder: string, copy: string): Promise<void> {
  for (const name of await readdir(folder)) {
    await cp(join(folder, name), join(copy, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
