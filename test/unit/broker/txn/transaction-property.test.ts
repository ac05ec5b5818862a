import { expect } from 'chai';
import fc from 'fast-check';
import type { Refusal } from './scripted-log.ts';
import { History, partitionNames, type Step, transactionalIds } from './transaction-history.ts';

const asking = { client: fc.nat(2 * transactionalIds.length - 1), isImpatient: fc.boolean() };
const partition = fc.constantFrom(...partitionNames);
const constant = <T extends string>(value: T) => fc.constant(value);

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: constant('init'), ...asking, isAnew: fc.boolean() }) },
  { weight: 8, arbitrary: fc.record({ do: constant('add'), ...asking, partition }) },
  { weight: 8, arbitrary: fc.record({ do: constant('produce'), ...asking, partition }) },
  { weight: 6, arbitrary: fc.record({ do: constant('end'), ...asking, commit: fc.boolean() }) },
  // The transactions of the rig time out after a minute; retries come sooner.
  { weight: 2, arbitrary: fc.record({ do: constant('pass'), ms: fc.constantFrom(50, 1_500, 20_000, 61_500) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: constant('refuse-records'),
      how: fc.constantFrom<Refusal>('before', 'after'),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: constant('refuse-markers'), partition, refused: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: constant('hold-log'), held: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: constant('crash') }) },
);

describe('transactions, whatever happens', () => {
  const random = Math.random;

  // Pauses are shortened at random; a seed is to replay a failure exactly.
  before(() => {
    Math.random = () => 0.5;
  });

  after(() => {
    Math.random = random;
  });

  it('end in one way in all their partitions, as their producer wanted, and never for a fenced one', async () => {
    let attempts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 80, size: 'max' }), async (steps) => {
        const history = await History.begin();
        for (const step of steps) await history.perform(step);
        await history.end();
        history.check();
        await history.rig.coordinator.stop();
        attempts += history.attempts;
      }),
      { numRuns: 300 },
    );
    // Else nothing was shown.
    expect(attempts).to.be.greaterThan(300);
  });
});
