import { expect } from 'chai';
import { BufferPool } from '../../../../src/broker/server/buffer-pool.ts';

const mebibyte = 1024 * 1024;

describe('the pool of buffers', () => {
  it('gives a buffer that came back to the next one that needs as much', () => {
    const pool = new BufferPool(8 * mebibyte);
    const first = pool.take(1_000_000);
    pool.give(first);
    const second = pool.take(900_000);
    expect([first.length, second.length]).to.deep.equal([1_000_000, 900_000]);
    expect(second.buffer).to.equal(first.buffer);
    expect(pool.take(900_000).buffer).not.to.equal(first.buffer);
  });

  it('gives no buffer that is in use, whatever its size', () => {
    const pool = new BufferPool(8 * mebibyte);
    const taken = [0, 1, 100, 65_535, 65_536, 65_537, mebibyte, mebibyte, 4 * mebibyte, 4 * mebibyte + 1].map(
      (bytes) => {
        const buffer = pool.take(bytes);
        expect(buffer.length).to.equal(bytes);
        return buffer;
      },
    );
    for (const [index, buffer] of taken.entries()) buffer.fill(index);
    for (const [index, buffer] of taken.entries()) expect(buffer.every((byte) => byte === index)).to.equal(true);
  });

  it('keeps no more than it may', () => {
    const pool = new BufferPool(2 * mebibyte);
    const taken = Array.from({ length: 5 }, () => pool.take(mebibyte));
    for (const buffer of taken) pool.give(buffer);
    expect(pool.idleBytes).to.equal(2 * mebibyte);
    pool.take(mebibyte);
    expect(pool.idleBytes).to.equal(mebibyte);
  });

  it('keeps nothing that is small, and so perhaps part of other memory, or very large', () => {
    const pool = new BufferPool(64 * mebibyte);
    for (const bytes of [10, 60_000, 5 * mebibyte]) pool.give(pool.take(bytes));
    expect(pool.idleBytes).to.equal(0);
  });
});
