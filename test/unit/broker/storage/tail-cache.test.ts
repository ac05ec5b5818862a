import { expect } from 'chai';
import { TailCache, TailMemory } from '../../../../src/broker/storage/tail-cache.ts';

const chunkBytes = 128 * 1024;
const limits = { maxBytes: chunkBytes, minOneBatch: true };

describe('tail caches', () => {
  it('share one limit: over it the one goes that was not read for longest', () => {
    const memory = new TailMemory(3 * chunkBytes);
    const tails = [0, 1, 2, 3].map(() => new TailCache(memory));
    const has = () => tails.map((tail) => tail.read(0, 1, limits) !== undefined);
    for (const tail of tails.slice(0, 3)) {
      tail.want();
      tail.append(Buffer.alloc(100), 0, 0);
    }
    expect(memory.bytes).to.equal(3 * chunkBytes);
    tails[0]!.read(0, 1, limits);
    tails[3]!.want();
    tails[3]!.append(Buffer.alloc(100), 0, 0);
    expect(memory.bytes).to.equal(3 * chunkBytes);
    expect(has()).to.deep.equal([true, false, true, true]);
  });

  it('hold no more than the limit when one batch alone is larger', () => {
    const memory = new TailMemory(chunkBytes);
    const tail = new TailCache(memory);
    tail.want();
    tail.append(Buffer.alloc(2 * chunkBytes), 0, 0);
    expect(memory.bytes).to.equal(0);
    expect(tail.read(0, 1, limits)).to.equal(undefined);
  });

  it('give back what they held when they are cleared, or nobody reads them any more', () => {
    const memory = new TailMemory(10 * chunkBytes);
    const tails = [new TailCache(memory), new TailCache(memory)];
    for (const tail of tails) {
      tail.want();
      for (let offset = 0; offset < 20; offset += 1) tail.append(Buffer.alloc(chunkBytes / 4), offset, offset);
    }
    expect(memory.bytes).to.equal(10 * chunkBytes);
    tails[0]!.clear();
    for (let round = 0; round < 2; round += 1) tails[1]!.check();
    expect(memory.bytes).to.equal(0);
  });
});
