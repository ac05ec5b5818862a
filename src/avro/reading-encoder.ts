import type { Reading } from '../database/database.ts';
import { BitacoraError, errorTable } from '../kernel/errors.ts';
import type { Encoder } from './wire/outbox.ts';
import {
  first,
  nearestLong,
  second,
  utf8BytesMax,
  writeLong,
  writeLongOrNull,
  writeText,
  writeTextOrNull,
} from './write-datum.ts';

/** An answer without its value and content type has at most six numbers of ten bytes, two lengths of five and four flags. */
const aroundBytesMax = 80;

/**
 * Writes `Reading` of `schemas/database.avdl`, to the byte as avsc does, but takes the value from where the store has it: avsc
 * would need it in a Buffer, in an object made for it: a fifth of all that a read takes (`npm run bench -- avro`).
 */
export const readingEncoder: Encoder<Reading> = {
  encode(reading, buffer, start) {
    const bytesMax = readingBytesMax(reading);
    if (buffer.length - start < bytesMax) return buffer.length - start - bytesMax;
    return writeReading(buffer, start, reading);
  },
};

/**
 * Writes the answers to several keys, `array<union { Reading, Failure }>`. Their values, `valueBytesMax` together at most, are
 * copied when the answer is written and not before: a client may have many such calls under way. From the first that does not
 * fit on, values are left out, and their keys are answered with `answer_too_large`.
 */
export function readingsEncoder(valueBytesMax: number): Encoder<readonly (Reading | BitacoraError)[]> {
  const tooLarge = new BitacoraError(
    'answer_too_large',
    `The values of one answer have ${valueBytesMax} bytes at most: ask for the rest in another call.`,
  );
  return {
    encode(answers, buffer, start) {
      let bytesLeft = valueBytesMax;
      let bytesMax = aroundBytesMax;
      const told = answers.map((answer) => {
        const bytes = answer instanceof BitacoraError ? 0 : (answer.found?.latin1.length ?? 0);
        const fits = bytes <= bytesLeft;
        // Nor do those behind it, so that whoever asks on finds them in their order.
        bytesLeft = fits ? bytesLeft - bytes : -1;
        const each = fits || bytes === 0 ? answer : tooLarge;
        bytesMax += 1 + (each instanceof BitacoraError ? failureBytesMax(each) : readingBytesMax(each));
        return each;
      });
      if (buffer.length - start < bytesMax) return buffer.length - start - bytesMax;
      let at = start;
      if (told.length > 0) at = writeLong(buffer, at, told.length);
      for (const each of told) {
        if (each instanceof BitacoraError) {
          buffer[at++] = second;
          at = writeFailure(buffer, at, each);
        } else {
          buffer[at++] = first;
          at = writeReading(buffer, at, each);
        }
      }
      buffer[at++] = 0;
      return at;
    },
  };
}

function readingBytesMax({ found }: Reading): number {
  return aroundBytesMax + (found?.latin1.length ?? 0) + utf8BytesMax * (found?.contentType?.length ?? 0);
}

function writeReading(buffer: Buffer, start: number, { found, source, partition, position }: Reading): number {
  let at = start;
  if (found === undefined) {
    buffer[at++] = first;
  } else {
    const { latin1, expiresAtMs, contentType } = found;
    buffer[at++] = second;
    at = writeLong(buffer, at, latin1.length);
    at += buffer.write(latin1, at, 'latin1');
    at = writeLong(buffer, at, found.partition);
    at = writeLong(buffer, at, found.offset);
    at = writeLong(buffer, at, nearestLong(found.timestampMs));
    at = writeLongOrNull(buffer, at, expiresAtMs);
    at = writeTextOrNull(buffer, at, contentType);
  }
  buffer[at++] = source === 'log' ? 0 : 2;
  at = writeLong(buffer, at, partition);
  return writeLong(buffer, at, position);
}

function failureBytesMax({ code, detail }: BitacoraError): number {
  return aroundBytesMax + utf8BytesMax * (code.length + detail.length);
}

function writeFailure(buffer: Buffer, start: number, { code, detail }: BitacoraError): number {
  const at = writeLong(buffer, writeText(buffer, start, code), errorTable[code].status);
  return writeText(buffer, at, detail);
}
