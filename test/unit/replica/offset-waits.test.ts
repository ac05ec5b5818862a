import { expect } from 'chai';
import fc from 'fast-check';
import { OffsetWaits } from '../../../src/replica/offset-waits.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';

describe('offset waits', () => {
  let clock: FakeClock;
  let waits: OffsetWaits;
  let ended: string[];

  beforeEach(() => {
    clock = new FakeClock();
    waits = new OffsetWaits(clock);
    ended = [];
  });

  function wait(name: string, position: number, timeoutMs = 1_000, partition = 0): void {
    waits.wait(partition, position, timeoutMs).then(
      (reached) => ended.push(`${name} ${reached}`),
      () => ended.push(`${name} rejected`),
    );
  }

  it('ends those whose position is reached, lowest first, and no others', async () => {
    wait('twelve', 12);
    wait('ten', 10);
    wait('eleven', 11);
    wait('ten too', 10);
    waits.advance(0, 9);
    await settled();
    expect(ended).to.deep.equal([]);
    waits.advance(0, 11);
    await settled();
    expect(ended).to.deep.equal(['ten true', 'ten too true', 'eleven true']);
    waits.advance(0, 500);
    await settled();
    expect(ended.at(-1)).to.equal('twelve true');
    expect(clock.pending).to.equal(0);
  });

  it('keeps partitions apart', async () => {
    wait('here', 5, 1_000, 0);
    wait('there', 5, 1_000, 1);
    waits.advance(1, 5);
    waits.advance(2, 5);
    await settled();
    expect(ended).to.deep.equal(['there true']);
  });

  it('ends each with false when its own time is over, and leaves the rest', async () => {
    wait('patient', 10, 3_000);
    wait('hasty', 11, 1_000);
    wait('second', 10, 1_000);
    await clock.pass(999);
    expect(ended).to.deep.equal([]);
    await clock.pass(1);
    expect(ended).to.deep.equal(['hasty false', 'second false']);
    waits.advance(0, 11);
    await settled();
    expect(ended).to.deep.equal(['hasty false', 'second false', 'patient true']);
  });

  it('ends all with false when they are abandoned, and takes new ones', async () => {
    wait('a', 1);
    wait('b', 2, 1_000, 1);
    waits.abandon();
    await settled();
    expect(ended).to.deep.equal(['a false', 'b false']);
    expect(clock.pending).to.equal(0);
    wait('c', 1);
    waits.advance(0, 1);
    await settled();
    expect(ended.at(-1)).to.equal('c true');
  });

  it('ends every wait once, with true exactly when its position came before its deadline', async () => {
    const anyStep = fc.oneof(
      fc.record({ do: fc.constant('wait' as const), ahead: fc.integer({ min: 1, max: 6 }), timeoutMs: fc.nat(50) }),
      fc.record({ do: fc.constant('advance' as const), by: fc.nat(3) }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.nat(20) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), async (steps) => {
        const time = new FakeClock();
        const tried = new OffsetWaits(time);
        const open: { position: number; deadlineMs: number; expected?: boolean; got: boolean[] }[] = [];
        let position = 0;
        for (const step of steps) {
          if (step.do === 'wait') {
            const entry = {
              position: position + step.ahead,
              deadlineMs: time.monotonicMs() + step.timeoutMs,
              got: [] as boolean[],
            };
            open.push(entry);
            void tried.wait(0, entry.position, step.timeoutMs).then((reached) => entry.got.push(reached));
          } else if (step.do === 'advance') {
            position += step.by;
            tried.advance(0, position);
            for (const entry of open) if (entry.position <= position) entry.expected ??= true;
          } else {
            await time.pass(step.ms);
            for (const entry of open) if (entry.deadlineMs <= time.monotonicMs()) entry.expected ??= false;
          }
          await settled();
          for (const { expected, got } of open) expect(got).to.deep.equal(expected === undefined ? [] : [expected]);
        }
      }),
      { numRuns: 100 },
    );
  });
});
