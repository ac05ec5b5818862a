import { createHash } from 'node:crypto';
import type { Store } from '../../src/store/store.ts';

/**
 * A digest of every live value by `nowMs`: two stores agree when they hold the same keys with the same bytes at the same
 * versions, whatever the order they came in. The sum of the entries' SHA-256 hashes modulo 2^256, in hexadecimal.
 */
export function storeDigest(store: Store, nowMs: number): string {
  const modulus = 1n << 256n;
  let sum = 0n;
  const frame = Buffer.alloc(20);
  for (const [key, { value, partition, offset }] of store.entries(nowMs)) {
    frame.writeUInt32BE(key.length, 0);
    frame.writeUInt32BE(value.length, 4);
    frame.writeUInt32BE(partition, 8);
    frame.writeBigUInt64BE(BigInt(offset), 12);
    const hash = createHash('sha256').update(frame).update(key).update(value).digest('hex');
    sum = (sum + BigInt(`0x${hash}`)) % modulus;
  }
  return sum.toString(16).padStart(64, '0');
}
