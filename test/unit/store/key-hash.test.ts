import { expect } from 'chai';
import { keyHash } from '../../../src/store/key-hash.ts';

const bytes = Buffer.from(Array.from({ length: 64 }, (_, i) => i));

describe('key hash', () => {
  it('is HalfSipHash-1-3', () => {
    // By a program that gives the reference vectors of HalfSipHash-2-4 when it is told 2 and 4.
    const hash = keyHash([0x03020100, 0x07060504]);
    expect([hash(bytes, 0, 0), hash(bytes, 0, 15)]).to.deep.equal([1_477_757_078, -802_850_044]);
  });

  it('has four bytes to a word, wherever in a buffer the key lies', () => {
    const hash = keyHash([1, 2]);
    const moved = Buffer.concat([Buffer.from('abc'), bytes]);
    for (let length = 0; length <= 64; length += 1) {
      expect(hash(moved, 3, 3 + length)).to.equal(hash(bytes, 0, length));
    }
  });

  it('is another one for another seed, another length, and another bit anywhere', () => {
    const hash = keyHash([1, 2]);
    const seen = new Set<number>([keyHash([2, 2])(bytes, 0, 15), keyHash([1, 3])(bytes, 0, 15)]);
    const zeros = Buffer.alloc(16);
    for (let length = 0; length <= 16; length += 1) seen.add(hash(zeros, 0, length));
    for (let bit = 0; bit < 15 * 8; bit += 1) {
      const changed = Buffer.from(bytes.subarray(0, 15));
      changed[bit >>> 3]! ^= 1 << (bit & 7);
      seen.add(hash(changed, 0, 15));
    }
    seen.add(hash(bytes, 0, 15));
    expect(seen.size).to.equal(2 + 17 + 120 + 1);
  });

  it('spreads keys that count upwards evenly, by its leading bits and by its last', () => {
    const hash = keyHash([0xdeadbeef, 0x01234567]);
    const [leading, last] = [new Uint32Array(256), new Uint32Array(256)];
    for (let i = 0; i < 65_536; i += 1) {
      const key = Buffer.from(`key-${String(i).padStart(11, '0')}`);
      const hashed = hash(key, 0, key.length);
      leading[hashed >>> 24]! += 1;
      last[hashed & 0xff]! += 1;
    }
    // 256 a bucket are expected, give or take 16 for one standard deviation.
    for (const counts of [leading, last]) {
      expect(Math.max(...counts)).to.be.below(256 + 6 * 16);
      expect(Math.min(...counts)).to.be.above(256 - 6 * 16);
    }
  });
});
