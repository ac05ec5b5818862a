import type { Bench, Measure } from './bench.ts';
import { askOnce } from './contender.ts';
import type { Phase, StallFigures, StallTask } from './stall-contender.ts';
import type { ReferenceFigures, ReferenceTask } from './stall-reference-contender.ts';

const keys = 10_000_000;
const writesPerSecond = 50_000;
const withinMs = 400_000;
/** As much as the store has. */
const referenceBytes = 1_600_000_000;
/** Of a node that has caught up. */
const aimOf = (phase: Phase) => (phase === 'filling' ? {} : { aim: { atMost: 10 } });

export const stall: Bench = {
  name: 'stall',
  about: `the longest turns of the event loop at ${keys / 1_000_000} M keys under ${writesPerSecond / 1_000} k writes a second: half overwrites, a quarter new keys, a quarter deletes`,
  async run({ profileFolder, quick }) {
    const task: StallTask = { keys, writesPerSecond, durationMs: quick ? 15_000 : 40_000 };
    const figures: StallFigures[] = [];
    const reference: ReferenceFigures[] = [];
    for (let round = 0; round < (quick ? 1 : 2); round += 1) {
      const referenceTask: ReferenceTask = { memoryBytes: referenceBytes, durationMs: task.durationMs };
      reference.push(await askOnce<ReferenceFigures>('stall-reference-contender.ts', referenceTask, withinMs));
      figures.push(await askOnce<StallFigures>('stall-contender.ts', task, withinMs, profileFolder));
    }
    const row = (what: string, unit: Measure['unit'], pick: (figures: StallFigures) => number): Measure => {
      return { what, unit, rounds: figures.map(pick) };
    };
    return [
      {
        what: 'a process that only reads memory: longest pause',
        unit: 'ms',
        rounds: reference.map(({ longestMs }) => longestMs),
      },
      row('writes applied', 'per second', ({ writesPerSecond }) => writesPerSecond),
      row('snapshots written', 'count', ({ snapshots }) => snapshots),
      ...(Object.keys(figures[0]!.stalls) as Phase[]).flatMap((phase) => [
        { ...row(`${phase}: longest turn`, 'ms', ({ stalls }) => stalls[phase].longestMs), ...aimOf(phase) },
        {
          ...row(`${phase}: of its own processor time`, 'ms', ({ stalls }) => stalls[phase].longestOwnMs),
          ...aimOf(phase),
        },
      ]),
      row('as monitorEventLoopDelay has it', 'ms', ({ histogramMostMs }) => histogramMostMs),
      row('longest garbage collection', 'ms', ({ longestCollectionMs }) => longestCollectionMs),
    ];
  },
};
