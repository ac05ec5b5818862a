/** A signed 32-bit hash of `bytes[start, end)`. */
export type KeyHash = (bytes: Buffer, start: number, end: number) => number;

/** 64 random bits, of this process alone. */
export type HashSeed = readonly [number, number];

/**
 * HalfSipHash-1-3, a keyed pseudo-random function made for hash tables (Aumasson and Bernstein; Linux' `hsiphash`). Keys come
 * from whoever may write: with a hash whose collisions do not depend on its seed, as murmur's do not, a writer could lay
 * thousands of keys into one place of the table. Signed, because V8 keeps numbers of 31 and 32 bits apart, and a signed one
 * never needs an object.
 */
export function keyHash([seed0, seed1]: HashSeed): KeyHash {
  const start2 = 0x6c796765 ^ seed0;
  const start3 = 0x74656462 ^ seed1;
  return (bytes, start, end) => {
    let v0 = seed0 | 0;
    let v1 = seed1 | 0;
    let v2 = start2;
    let v3 = start3;
    const length = end - start;
    const wordsEnd = end - (length & 3);
    for (let at = start; at <= wordsEnd; at += 4) {
      let word: number;
      if (at < wordsEnd) {
        word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      } else {
        // What is left, and the length, so that a key and the same key with zero bytes after it differ.
        word = length << 24;
        if (at < end) word |= bytes[at]!;
        if (at + 1 < end) word |= bytes[at + 1]! << 8;
        if (at + 2 < end) word |= bytes[at + 2]! << 16;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    v2 ^= 0xff;
    for (let round = 0; round < 3; round += 1) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    return v1 ^ v3;
  };
}
