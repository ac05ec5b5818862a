import { expect } from 'chai';
import fc from 'fast-check';
import { readingEncoder, readingsEncoder } from '../../../src/avro/reading-encoder.ts';
import { ownProtocol } from '../../../src/avro/wire/protocol.ts';
import type { Reading, StoredValue } from '../../../src/database/database.ts';
import { BitacoraError, errorTable } from '../../../src/kernel/errors.ts';

const { responseType } = ownProtocol('database.avpr').messages.get('get')!;
const numbers = fc
  .oneof(fc.maxSafeNat(), fc.nat(300), fc.integer({ min: 2 ** 29, max: 2 ** 33 }))
  .map((n) => n % 2 ** 52);
const times = fc.oneof(numbers, fc.constant(-1), fc.integer());
const texts = fc.option(fc.string({ unit: 'binary', maxLength: 50 }), { nil: undefined });

const values = fc
  .record({
    bytes: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(20_000).fill(0xff))),
    partition: fc.nat(),
    offset: numbers,
    timestampMs: times,
    expiresAtMs: fc.option(times, { nil: undefined }),
    contentType: texts,
  })
  .map(({ bytes, ...version }): StoredValue => {
    const value = Buffer.from(bytes);
    return { ...version, value, latin1: value.toString('latin1') };
  });

const readings: fc.Arbitrary<Reading> = fc.record({
  found: fc.option(values, { nil: undefined }),
  source: fc.constantFrom('log', 'peer'),
  partition: fc.nat(),
  position: numbers,
});

const failures = fc
  .record({ code: fc.constantFrom('key_empty', 'not_caught_up'), detail: fc.string({ unit: 'binary', maxLength: 50 }) })
  .map(({ code, detail }) => new BitacoraError(code as 'key_empty', detail));

describe('the encoder of readings', () => {
  it('writes what avsc writes, where it is told to, and says where it ends', () => {
    fc.assert(
      fc.property(readings, fc.nat(100), (reading, at) => {
        const expected = byAvsc(reading);
        const buffer = Buffer.alloc(at + expected.length + 200, 0xaa);
        const end = readingEncoder.encode(reading, buffer, at);
        expect(buffer.subarray(at, end)).to.deep.equal(expected);
        expect(buffer.subarray(0, at).every((byte) => byte === 0xaa)).to.equal(true);
        expect(buffer.subarray(end).every((byte) => byte === 0xaa)).to.equal(true);
      }),
    );
  });

  it('says without enough room by how much it falls short, and writes nothing', () => {
    fc.assert(
      fc.property(readings, fc.nat(100), fc.nat(400), (reading, at, room) => {
        const buffer = Buffer.alloc(at + room, 0xaa);
        const end = readingEncoder.encode(reading, buffer, at);
        if (end >= 0) {
          expect(buffer.subarray(at, end)).to.deep.equal(byAvsc(reading));
          return;
        }
        expect(buffer.every((byte) => byte === 0xaa)).to.equal(true);
        const enough = Buffer.alloc(at + room - end);
        expect(enough.subarray(at, readingEncoder.encode(reading, enough, at))).to.deep.equal(byAvsc(reading));
      }),
    );
  });

  it('tells of a time beyond all times the nearest that there is', () => {
    for (const timestampMs of [2 ** 63, -(2 ** 63)]) {
      const found = { partition: 0, offset: 0, timestampMs, value: Buffer.alloc(0), latin1: '' };
      const reading: Reading = {
        found: { ...found, expiresAtMs: undefined, contentType: undefined },
        source: 'log',
        partition: 0,
        position: 1,
      };
      const nearest = { ...reading, found: { ...reading.found!, timestampMs: Math.sign(timestampMs) * 2 ** 52 } };
      const buffer = Buffer.alloc(200);
      expect(buffer.subarray(0, readingEncoder.encode(reading, buffer, 0))).to.deep.equal(byAvsc(nearest));
    }
  });

  it('throws for a number that it could not write as it is', () => {
    for (const position of [2 ** 53, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const reading: Reading = { found: undefined, source: 'log', partition: 0, position };
      expect(() => readingEncoder.encode(reading, Buffer.alloc(200), 0), String(position)).to.throw(RangeError);
    }
  });
});

describe('the encoder of several readings', () => {
  const answers = fc.array(fc.oneof(readings, failures), { maxLength: 20 });
  const bytesOf = (each: Reading | BitacoraError): number =>
    each instanceof BitacoraError ? 0 : (each.found?.latin1.length ?? 0);

  it('writes what avsc writes, where it is told to, and says without room by how much it falls short', () => {
    fc.assert(
      fc.property(answers, fc.nat(100), fc.nat(2_000), (all, at, room) => {
        const encoder = readingsEncoder(1_000_000);
        const expected = allByAvsc(all);
        let buffer = Buffer.alloc(at + room, 0xaa);
        let end = encoder.encode(all, buffer, at);
        if (end < 0) {
          expect(buffer.every((byte) => byte === 0xaa)).to.equal(true);
          buffer = Buffer.alloc(at + room - end, 0xaa);
          end = encoder.encode(all, buffer, at);
        }
        expect(buffer.subarray(at, end)).to.deep.equal(expected);
        expect(buffer.subarray(end).every((byte) => byte === 0xaa)).to.equal(true);
      }),
    );
  });

  it('leaves values out from the first that does not fit on, and says so of their keys', () => {
    fc.assert(
      fc.property(answers, fc.nat(1_000), (all, valueBytesMax) => {
        let left = valueBytesMax;
        const expected = all.map((each) => {
          if (bytesOf(each) > left) left = -1;
          else left -= bytesOf(each);
          return left >= 0 || bytesOf(each) === 0 ? each : tooLarge(valueBytesMax);
        });
        const buffer = Buffer.alloc(1_000_000);
        const end = readingsEncoder(valueBytesMax).encode(all, buffer, 0);
        expect(buffer.subarray(0, end)).to.deep.equal(allByAvsc(expected));
      }),
    );
  });
});

const tooLarge = (bytes: number) =>
  new BitacoraError(
    'answer_too_large',
    `The values of one answer have ${bytes} bytes at most: ask for the rest in another call.`,
  );

function allByAvsc(all: readonly (Reading | BitacoraError)[]): Buffer {
  return ownProtocol('database.avpr')
    .messages.get('multiGet')!
    .responseType.toBuffer(
      all.map((each) =>
        each instanceof BitacoraError
          ? { 'bitacora.rpc.Failure': { code: each.code, status: errorTable[each.code].status, detail: each.detail } }
          : { 'bitacora.rpc.Reading': dataOf(each) },
      ),
    );
}

function byAvsc(reading: Reading): Buffer {
  return responseType.toBuffer(dataOf(reading));
}

function dataOf({ found, source, partition, position }: Reading): object {
  const { latin1: _, ...value } = found ?? { latin1: '' };
  const all = found && { ...value, expiresAtMs: found.expiresAtMs ?? null, contentType: found.contentType ?? null };
  return { found: all ?? null, source: source === 'log' ? 'LOG' : 'PEER', partition, position };
}
