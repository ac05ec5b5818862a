import { expect } from 'chai';
import fc from 'fast-check';
import { EndsLookup } from '../../../src/database/ends-lookup.ts';
import type { PartitionEnds } from '../../../src/log/log.ts';
import { settled } from '../../support/fake-clock.ts';

/** A log that answers when the test says so; the answer tells when the question was sent. */
class SlowLog {
  readonly #waiting: Array<(fails: boolean) => void> = [];
  readonly sentAt: number[] = [];
  now = 0;

  readonly ask = (): Promise<readonly PartitionEnds[]> => {
    const sentAt = this.now;
    this.sentAt.push(sentAt);
    return new Promise((resolve, reject) => {
      this.#waiting.push((fails) => {
        if (fails) reject(new Error(`question of ${sentAt}`));
        else resolve([{ partition: 0, earliest: 0, end: sentAt }]);
      });
    });
  };

  get underWay(): number {
    return this.#waiting.length;
  }

  async answer(fails = false): Promise<void> {
    this.#waiting.shift()?.(fails);
    await settled();
  }
}

describe('ends lookup', () => {
  let log: SlowLog;
  let lookup: EndsLookup;
  let answers: Map<string, string>;

  beforeEach(() => {
    log = new SlowLog();
    lookup = new EndsLookup(log.ask);
    answers = new Map();
  });

  function read(...names: string[]): void {
    for (const name of names) {
      lookup.next().then(
        (ends) => answers.set(name, `end ${ends[0]?.end}`),
        (error: Error) => answers.set(name, error.message),
      );
    }
  }

  it('asks at once when nothing is under way', async () => {
    read('first');
    expect(log.sentAt).to.deep.equal([0]);
    await log.answer();
    log.now = 5;
    read('second');
    await log.answer();
    expect(Object.fromEntries(answers)).to.deep.equal({ first: 'end 0', second: 'end 5' });
  });

  it('never uses a question that was already under way, and asks once for all who wait behind it', async () => {
    read('early');
    log.now = 1;
    read('a', 'b', 'c');
    log.now = 2;
    read('d');
    expect(log.sentAt).to.deep.equal([0]);
    log.now = 3;
    await log.answer();
    expect(log.sentAt).to.deep.equal([0, 3]);
    expect(Object.fromEntries(answers)).to.deep.equal({ early: 'end 0' });
    read('late');
    await log.answer();
    expect(Object.fromEntries(answers)).to.deep.include({ a: 'end 3', b: 'end 3', c: 'end 3', d: 'end 3' });
    expect(answers.has('late')).to.equal(false);
    await log.answer();
    expect(answers.has('late')).to.equal(true);
    expect(log.sentAt).to.have.length(3);
  });

  it('tells those who asked of a failure, and asks again for those who came later', async () => {
    read('early');
    log.now = 1;
    read('late');
    await log.answer(true);
    expect(Object.fromEntries(answers)).to.deep.equal({ early: 'question of 0' });
    await log.answer();
    expect(answers.get('late')).to.equal('end 1');
    read('last');
    await log.answer();
    expect(answers.get('last')).to.equal('end 1');
  });

  it('answers every read by a question sent after it came, with at most one waiting behind one under way', async () => {
    const anyStep = fc.constantFrom('read', 'read', 'read at once after an answer', 'answer', 'fail');
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), async (steps) => {
        const slow = new SlowLog();
        const tried = new EndsLookup(slow.ask);
        let reads = 0;
        let answered = 0;
        const tooOld: string[] = [];
        const readNow = () => {
          const cameAt = slow.now;
          reads += 1;
          const check = (sentAt: number) => {
            answered += 1;
            if (sentAt < cameAt) tooOld.push(`came at ${cameAt}, question of ${sentAt}`);
          };
          tried.next().then(
            (ends) => check(ends[0]!.end),
            (error: Error) => check(Number(error.message.split(' ').at(-1))),
          );
        };
        for (const step of steps) {
          slow.now += 1;
          if (step === 'read') readNow();
          else if (step === 'answer') await slow.answer();
          else if (step === 'fail') await slow.answer(true);
          else {
            const answer = slow.answer();
            for (let turn = 0; turn < 4; turn += 1) {
              await Promise.resolve();
              slow.now += 1;
              readNow();
            }
            await answer;
          }
        }
        slow.now += 1;
        while (slow.underWay > 0) await slow.answer();
        expect(tooOld).to.deep.equal([]);
        expect(answered).to.equal(reads);
      }),
      { numRuns: 200 },
    );
  });
});
