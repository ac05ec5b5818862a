import { crc32c } from '@node-rs/crc32';

/** CRC-32C of some bytes one after the other. */
export function checksum(...parts: readonly Buffer[]): number {
  let sum = 0;
  for (const part of parts) sum = crc32c(part, sum);
  return sum;
}
