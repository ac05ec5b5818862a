import type { ApplyFigures, ApplyTask } from './apply-contender.ts';
import type { Bench, Measure } from './bench.ts';
import { askOnce } from './contender.ts';
import { alternate } from './rounds.ts';

const loads = [
  { records: 1_000_000, rounds: 5 },
  { records: 10_000_000, rounds: 1 },
];
const withinMs = 300_000;
const aim = { atLeast: 2_000_000 };

export const apply: Bench = {
  name: 'apply',
  about: 'fetched batches of 1,000 records of 115 B, in memory: walked, and walked and applied to an empty store',
  async run({ profileFolder, quick }) {
    const measures: Measure[] = [];
    for (const { records, rounds } of quick ? loads.slice(0, 1) : loads) {
      const contender = (work: ApplyTask['work']) => async () => {
        const task: ApplyTask = { work, records };
        return (await askOnce<ApplyFigures>('apply-contender.ts', task, withinMs, profileFolder)).perSecond;
      };
      const { walk, applied, ordered } = await alternate(rounds, {
        walk: contender('walk'),
        applied: contender('apply'),
        ordered: contender('apply, ordered'),
      });
      const size = `${records / 1_000_000} M`;
      measures.push(
        { what: `${size}: walked`, unit: 'per second', rounds: walk },
        { what: `${size}: applied`, unit: 'per second', rounds: applied, aim },
        { what: `${size}: applied, to a store that keeps order`, unit: 'per second', rounds: ordered, aim },
      );
    }
    return measures;
  },
};
