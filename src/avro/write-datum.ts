/** What of Avro's binary encoding is written by hand, into a buffer that has room for it; each answers where it ends. */

/** Of a character of a JavaScript string. */
export const utf8BytesMax = 3;
/** Twice as much and one is the last odd number that JavaScript has. */
const exactMax = 2 ** 52;
/** Branches of the unions of `schemas/database.avdl`: numbers, which Avro doubles. */
export const first = 0;
export const second = 2;

/** A producer may give a record any 64 bits for a time; of those that are no time of ours the nearest is told that avsc can read. */
export function nearestLong(value: number): number {
  return Math.max(-exactMax, Math.min(exactMax, value));
}

export function writeText(buffer: Buffer, start: number, text: string): number {
  const at = writeLong(buffer, start, Buffer.byteLength(text));
  return at + buffer.write(text, at, 'utf8');
}

/** A zigzag varint. Throws a `RangeError` for what it could not write as it is. */
export function writeLong(buffer: Buffer, start: number, value: number): number {
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

/** `union { null, long }`. */
export function writeLongOrNull(buffer: Buffer, start: number, value: number | undefined): number {
  buffer[start] = value === undefined ? first : second;
  return value === undefined ? start + 1 : writeLong(buffer, start + 1, value);
}

/** `union { null, string }`. */
export function writeTextOrNull(buffer: Buffer, start: number, text: string | undefined): number {
  buffer[start] = text === undefined ? first : second;
  return text === undefined ? start + 1 : writeText(buffer, start + 1, text);
}
