import { expect } from 'chai';
import { conformance } from '../support/conformance/conformance.ts';
import { kgoTestProgram, runKgoTest } from '../support/conformance/kgo.ts';
import { orSkip } from '../support/kafka/kafka.ts';

/** What of kgo's own suite needs a broker, its sub-tests beside it: they must be there, or the suite ran less than it says. */
const tests = {
  TestGroupETL: 6,
  TestTxnEtl: 6,
  TestConsumeRegex: 0,
  TestClient_Produce: 0,
} as const;
const outputCharacters = 4_000;

conformance('franz-go', (suite) => {
  let program: string;

  before(async function () {
    this.timeout(300_000);
    program = await orSkip(this, kgoTestProgram());
  });

  for (const [name, subTests] of Object.entries(tests)) {
    it(`passes ${name} of its own suite`, async function () {
      this.timeout(190_000);
      const { verdicts, output } = await runKgoTest(program, suite.brokerList, name, {
        records: 10_000,
        timeoutMs: 180_000,
      });
      const below = [...verdicts.keys()].filter((each) => each.startsWith(`${name}/`));
      expect(verdicts.has(name), output.slice(-outputCharacters)).to.equal(true);
      expect(below.length, `the sub-tests of ${name}`).to.be.at.least(subTests);

      const passed = (each: string): boolean => verdicts.get(each) === 'PASS';
      const leaves = below.length > 0 ? below : [name];
      const failed = leaves.filter((each) => !passed(each) && !suite.allowed.has(each));
      expect(failed, output.slice(-outputCharacters)).to.deep.equal([]);
      const needless = leaves.filter((each) => passed(each) && suite.allowed.has(each));
      expect(needless, 'their rows in docs/DIVERGENCES.md are to go').to.deep.equal([]);
    });
  }
});
