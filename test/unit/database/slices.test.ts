import { expect } from 'chai';
import { beginInSlices, errorAsAnswer, inSlices } from '../../../src/database/slices.ts';
import { BitacoraError } from '../../../src/kernel/errors.ts';

const numbers = Array.from({ length: 1_000 }, (_, i) => i);

describe('work on many items', () => {
  it('is done a slice at a time, in order, with turns for others in between', async () => {
    const log: (number | 'other')[] = [];
    let isOver = false;
    const other = (): void => {
      log.push('other');
      if (!isOver) setImmediate(other);
    };
    setImmediate(other);
    const results = await inSlices(numbers, async (item) => {
      log.push(item);
      return item * 2;
    });
    isOver = true;
    expect(results).to.deep.equal(numbers.map((item) => item * 2));
    expect(log.filter((entry) => entry !== 'other')).to.deep.equal(numbers);
    expect(log.slice(0, log.indexOf(999)).filter((entry) => entry === 'other').length).to.be.greaterThan(5);
  });

  it('waits for a slice before it begins the next: so many at a time and no more', async () => {
    let [open, most] = [0, 0];
    await inSlices(numbers, async () => {
      open += 1;
      most = Math.max(most, open);
      await new Promise(setImmediate);
      open -= 1;
    });
    expect(most).to.be.within(2, 200);
  });

  it('can begin for all before it has come to anything for one', async () => {
    const begun: number[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const batch = beginInSlices(numbers, async (item) => {
      begun.push(item);
      await held;
      return -item;
    });
    expect(begun.length).to.be.within(1, 200);
    await batch.begun;
    expect(begun).to.deep.equal(numbers);
    release();
    expect(await batch.results).to.deep.equal(numbers.map((item) => -item));
  });

  it('fails as a whole by a fault of ours, however early, and not by errors that are answers', async () => {
    const told = new BitacoraError('key_empty', 'It is empty.');
    const fail = (error: Error) => () => Promise.reject(error);
    expect(await inSlices(numbers, (item) => errorAsAnswer(item === 3 ? fail(told) : () => item))).to.include(told);
    const fault = new Error('a fault');
    const { results } = beginInSlices(numbers, (item) => errorAsAnswer(item === 3 ? fail(fault) : () => item));
    let seen: unknown;
    await results.catch((error: unknown) => {
      seen = error;
    });
    expect(seen).to.equal(fault);
  });
});
