import { crc32 } from 'node:zlib';
import { keyAt } from './keys.ts';

/** Every so manieth key is looked at: `DIGEST_STRIDE` in java/Replay.java. */
const stride = 16;

/**
 * A digest of what is under the keys `keyAt(0)` to `keyAt(records - 1)`: equal digests mean that the same values were read. A sum
 * of CRCs is enough against a reader that loses, repeats or mixes up records, and costs little beside what is measured.
 */
export function sampleDigest(records: number, valueUnder: (key: string) => Uint8Array | undefined): number {
  let digest = 0;
  for (let index = 0; index < records; index += stride) {
    const key = keyAt(index);
    const value = valueUnder(key);
    if (value === undefined) throw new Error(`there is no value under ${key}`);
    digest += crc32(value, crc32(key));
  }
  return digest;
}
