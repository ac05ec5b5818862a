import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { SendOutcome } from '../../../src/log/group-commit.ts';
import { settled } from '../../support/fake-clock.ts';
import { GroupCommitRig } from '../../support/group-commit-rig.ts';
import { appended, notSent, rejected, unknown } from '../../support/scripted-sender.ts';

const writeTimeoutMs = 3_000;

type Step =
  | { do: 'append'; bytes: number }
  | { do: 'answer'; with: Answer }
  | { do: 'pass'; ms: number }
  | { do: 'reach'; log: boolean };

type Answer = 'appended' | 'not-sent' | 'unknown' | 'same' | 'anew' | 'split' | 'never';

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('append' as const), bytes: fc.nat(500) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      with: fc.constantFrom<Answer>('appended', 'appended', 'not-sent', 'unknown', 'same', 'anew', 'split', 'never'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 60, 300, 1_200, 2_900) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reach' as const), log: fc.boolean() }) },
);

describe('group commit, whatever happens', () => {
  const random = Math.random;

  // Pauses are shortened at random; a seed is to replay a failure exactly.
  before(() => {
    Math.random = () => 0.5;
  });

  after(() => {
    Math.random = random;
  });

  it('settles every append once, in time, and never calls failed what may be in the log', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), fc.boolean(), async (steps, drains) => {
        const history = new History();
        for (const step of steps) await history.perform(step);
        await history.end(drains);
        history.check();
      }),
      { numRuns: 300 },
    );
  });
});

/** One run, and what was appended in it where. */
class History {
  readonly #rig = new GroupCommitRig({
    writeTimeoutMs,
    batchRecordsMax: 4,
    batchBytesMax: 1_500,
    budget: { bytes: 0, bytesMax: 5_000 },
  });
  readonly #given: string[] = [];
  #logEnd = 0;

  async perform(step: Step): Promise<void> {
    const { sender, clock } = this.#rig;
    if (step.do === 'append') {
      const key = `k${this.#given.length}`;
      this.#given.push(key);
      this.#rig.appendSized(key, step.bytes);
      await settled();
    } else if (step.do === 'pass') {
      await clock.pass(step.ms);
    } else if (step.do === 'reach') {
      sender.reachable = step.log;
    } else if (sender.inFlight) {
      await sender.answer(this.#outcome(step.with));
    }
  }

  /** Drains, so that the log is away and everything runs into its deadline, or stops. */
  async end(drains: boolean): Promise<void> {
    const { sender, clock, commit } = this.#rig;
    const drained = drains ? commit.drain() : undefined;
    if (!drains) commit.stop();
    for (let passedMs = 0; passedMs < 4 * writeTimeoutMs; passedMs += 100) {
      if (sender.inFlight) await sender.answer(unknown);
      await clock.pass(100);
    }
    await drained;
  }

  check(): void {
    const { sender, clock, fates, budget, commit } = this.#rig;
    assert.deepEqual([...fates.keys()].sort(), [...this.#given].sort(), 'not every append was settled');
    assert.equal(budget.bytes, 0, 'bytes are left in the budget');
    assert.equal(clock.pending, 0, 'a timer is left');
    const landed = new Map<string, number>();
    const doubtful = new Set<string>();
    for (const { keys, outcome } of sender.attempts) {
      if (outcome?.kind === 'unknown') for (const key of keys) doubtful.add(key);
      if (outcome?.kind !== 'appended') continue;
      for (const [i, key] of keys.entries()) {
        assert.ok(!landed.has(key), `${key} was appended twice`);
        landed.set(key, outcome.baseOffset + i);
      }
    }
    for (const [key, { result, tookMs }] of fates) {
      assert.ok(tookMs <= writeTimeoutMs, `${key} was settled after its deadline`);
      if (result.startsWith('offset ')) {
        assert.equal(result, `offset ${landed.get(key)}`);
      } else if (result !== 'write_outcome_unknown') {
        assert.ok(!landed.has(key), `${key} is in the log and was reported as ${result}`);
        assert.ok(!doubtful.has(key), `${key} may be in the log and was reported as ${result}`);
      }
    }
    assert.deepEqual(
      [...landed.keys()],
      this.#given.filter((key) => landed.has(key)),
      'order was lost',
    );
    const told = [...fates.values()].map(({ result }) => result);
    assert.equal(commit.stats.appended, landed.size);
    assert.equal(commit.stats.unknown, told.filter((result) => result === 'write_outcome_unknown').length);
  }

  #outcome(answer: Answer): SendOutcome {
    if (answer === 'not-sent') return notSent;
    if (answer === 'unknown') return unknown;
    if (answer !== 'appended') return rejected(answer);
    const baseOffset = this.#logEnd;
    this.#logEnd += this.#rig.sender.attempts.at(-1)!.keys.length;
    return appended(baseOffset);
  }
}
