import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { nextTurn } from '../../../src/kernel/turns.ts';

describe('turns of the event loop', () => {
  it('are given one by one, in the order asked, however many wait', async () => {
    const got: number[] = [];
    for (let i = 0; i < 5; i += 1) void nextTurn().then(() => got.push(i));
    await Promise.resolve();
    expect(got).to.deep.equal([]);
    for (let i = 0; i < 5; i += 1) {
      await turn();
      // Never two since the last look.
      expect(got).to.deep.equal([0, 1, 2, 3, 4].slice(0, i + 1));
    }
  });

  it('go to whoever waits while another one asks again and again', async () => {
    const order: string[] = [];
    const busy = async (name: string): Promise<void> => {
      for (let i = 0; i < 3; i += 1) {
        await nextTurn();
        order.push(name);
      }
    };
    await Promise.all([busy('a'), busy('b')]);
    expect(order).to.deep.equal(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('leave room for what else is due', async () => {
    let others = 0;
    const more = (): void => {
      others += 1;
      immediate = setImmediate(more);
    };
    let immediate = setImmediate(more);
    for (let i = 0; i < 10; i += 1) await nextTurn();
    clearImmediate(immediate);
    expect(others).to.be.at.least(9);
  });
});
