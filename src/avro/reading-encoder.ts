import type { Reading } from '../database/database.ts';
import type { Encoder } from './wire/outbox.ts';

/** An answer without its value and content type has at most six numbers of ten bytes, two lengths of five and four flags. */
const aroundBytesMax = 80;
const utf8BytesMax = 3;
/** Twice as much and one is the last odd number that JavaScript has. */
const exactMax = 2 ** 52;

/**
 * Writes `Reading` of `schemas/database.avdl`, to the byte as avsc does, but takes the value from where the store has it. avsc
 * needs it in a Buffer, in an object made for it, and that was a fifth of all that a read took (`npm run bench -- avro`).
 */
export const readingEncoder: Encoder<Reading> = {
  encode({ found, source, partition, position }, buffer, start) {
    const contentType = found?.contentType;
    const bytesMax = aroundBytesMax + (found?.latin1.length ?? 0) + utf8BytesMax * (contentType?.length ?? 0);
    if (buffer.length - start < bytesMax) return buffer.length - start - bytesMax;
    let at = start;
    if (found === undefined) {
      buffer[at++] = 0;
    } else {
      const { latin1, expiresAtMs } = found;
      // The second branch of a union, as a number that Avro doubles.
      buffer[at++] = 2;
      at = writeLong(buffer, at, latin1.length);
      at += buffer.write(latin1, at, 'latin1');
      at = writeLong(buffer, at, found.partition);
      at = writeLong(buffer, at, found.offset);
      at = writeLong(buffer, at, nearestLong(found.timestampMs));
      if (expiresAtMs === undefined) {
        buffer[at++] = 0;
      } else {
        buffer[at++] = 2;
        at = writeLong(buffer, at, expiresAtMs);
      }
      if (contentType === undefined) {
        buffer[at++] = 0;
      } else {
        buffer[at++] = 2;
        at = writeLong(buffer, at, Buffer.byteLength(contentType));
        at += buffer.write(contentType, at, 'utf8');
      }
    }
    buffer[at++] = source === 'log' ? 0 : 2;
    at = writeLong(buffer, at, partition);
    return writeLong(buffer, at, position);
  },
};

/** A producer may give a record any 64 bits for a time; of those that are no time of ours the nearest is told that avsc can write. */
export function nearestLong(value: number): number {
  return Math.max(-exactMax, Math.min(exactMax, value));
}

/** A zigzag varint. Throws a `RangeError` for what it could not write as it is. */
function writeLong(buffer: Buffer, start: number, value: number): number {
  if (!Number.isInteger(value) || Math.abs(value) > exactMax) throw new RangeError(`${value} has more than 52 bits`);
  let at = start;
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  // Whole numbers of 32 bits have operators of their own, which cost a fraction.
  while (rest > 0x7fff_ffff) {
    buffer[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 0x7f) {
    buffer[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}
