import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { WireError, WireReader, WireWriter } from '../../../src/protocol/wire.ts';

/** What Kafka's ByteUtils writes; `golden-files.test.ts` compares the file with Kafka itself. */
const varints: Record<'varint' | 'varlong' | 'uvarint', [value: string, hex: string][]> = JSON.parse(
  readFileSync(new URL('../../fixtures/protocol/varints.json', import.meta.url), 'utf8'),
);

const int64Max = 2n ** 63n - 1n;

type Case<T = never> = readonly [write: (writer: WireWriter, value: T) => void, read: (reader: WireReader) => T];

const numbers: Record<string, { arbitrary: fc.Arbitrary<number>; pair: Case<number> }> = {
  int8: {
    arbitrary: fc.integer({ min: -0x80, max: 0x7f }),
    pair: [(writer, value) => writer.int8(value), (reader) => reader.int8()],
  },
  int16: {
    arbitrary: fc.integer({ min: -0x8000, max: 0x7fff }),
    pair: [(writer, value) => writer.int16(value), (reader) => reader.int16()],
  },
  uint16: {
    arbitrary: fc.integer({ min: 0, max: 0xffff }),
    pair: [(writer, value) => writer.uint16(value), (reader) => reader.uint16()],
  },
  int32: { arbitrary: fc.integer(), pair: [(writer, value) => writer.int32(value), (reader) => reader.int32()] },
  uint32: {
    arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }),
    pair: [(writer, value) => writer.uint32(value), (reader) => reader.uint32()],
  },
  int64: { arbitrary: fc.maxSafeInteger(), pair: [(writer, value) => writer.int64(value), (reader) => reader.int64()] },
  float64: {
    arbitrary: fc.double({ noNaN: true }),
    pair: [(writer, value) => writer.float64(value), (reader) => reader.float64()],
  },
  uvarint: {
    arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }),
    pair: [(writer, value) => writer.uvarint(value), (reader) => reader.uvarint()],
  },
  varint: { arbitrary: fc.integer(), pair: [(writer, value) => writer.varint(value), (reader) => reader.varint()] },
  varlong: {
    arbitrary: fc.maxSafeInteger(),
    pair: [(writer, value) => writer.varlong(value), (reader) => reader.varlong()],
  },
};

describe('wire', () => {
  for (const [name, { arbitrary, pair }] of Object.entries(numbers)) {
    const [write, read] = pair;
    it(`${name} is read as it was written, whatever room the writer began with, and refused when cut short`, () => {
      fc.assert(
        fc.property(fc.array(arbitrary, { minLength: 1, maxLength: 8 }), fc.nat(40), (values, expectedBytes) => {
          const writer = new WireWriter(expectedBytes);
          for (const value of values) write(writer, value);
          const bytes = writer.finish();
          const reader = new WireReader(bytes);
          expect(values.map(() => read(reader))).to.deep.equal(values);
          expect(reader.remaining).to.equal(0);
          for (let length = 0; length < bytes.length; length += 1) {
            const cut = new WireReader(bytes, 0, length);
            expect(() => values.map(() => read(cut)), `${length} bytes`).to.throw(WireError);
          }
        }),
      );
    });
  }

  for (const kind of ['varint', 'varlong', 'uvarint'] as const) {
    it(`${kind} has the bytes that it has in Kafka, at every limit`, () => {
      expect(varints[kind].length).to.be.greaterThan(15);
      for (const [text, hex] of varints[kind]) {
        const value = Number(text);
        expect(new WireReader(Buffer.from(hex, 'hex'))[kind](), text).to.equal(value);
        // Beyond 2^53 a number stands for several integers, and its bytes are those of one of them.
        if (!Number.isSafeInteger(value)) continue;
        const writer = new WireWriter(1);
        writer[kind](value);
        expect(writer.finish().toString('hex'), text).to.equal(hex);
      }
    });
  }

  it('refuses varints of more bits than they may have', () => {
    const read = (hex: string) => new WireReader(Buffer.from(hex, 'hex'));
    expect(read('ffffffff0f').uvarint()).to.equal(0xffff_ffff);
    expect(() => read('ffffffff10').uvarint()).to.throw(WireError, '32 bits');
    expect(() => read('8080808080').uvarint()).to.throw(WireError, '32 bits');
    expect(() => read('808080808000').varint()).to.throw(WireError, '32 bits');
    expect(read('ffffffffffffffffff01').varlong()).to.equal(-(2 ** 63));
    expect(() => read('ffffffffffffffffff02').varlong()).to.throw(WireError, '64 bits');
    expect(() => read('8080808080808080808000').varlong()).to.throw(WireError, '64 bits');
    // Longer than it need be, and yet not too long: Kafka reads it as well.
    expect(read('8000').uvarint()).to.equal(0);
  });

  it('writes 64-bit numbers as the integers nearest to them, the largest included', () => {
    const bytesOf = (value: number): bigint => {
      const writer = new WireWriter();
      writer.int64(value);
      return writer.finish().readBigInt64BE();
    };
    expect(bytesOf(2 ** 53)).to.equal(2n ** 53n);
    expect(bytesOf(-(2 ** 63))).to.equal(-(2n ** 63n));
    const largest = Buffer.alloc(8);
    largest.writeBigInt64BE(int64Max);
    expect(bytesOf(new WireReader(largest).int64())).to.equal(int64Max);
    expect(() => bytesOf(0.5)).to.throw(RangeError);
    expect(() => bytesOf(2 ** 64)).to.throw(RangeError);
  });

  it('writes the largest varlong as it read it', () => {
    for (const hex of ['feffffffffffffffff01', 'ffffffffffffffffff01']) {
      const writer = new WireWriter();
      writer.varlong(new WireReader(Buffer.from(hex, 'hex')).varlong());
      expect(writer.finish().toString('hex')).to.equal(hex);
    }
  });

  it('reads and writes UUIDs in their canonical form', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(20), (uuid, expectedBytes) => {
        const writer = new WireWriter(expectedBytes);
        writer.uuid(uuid.toUpperCase());
        const bytes = writer.finish();
        expect(bytes.toString('hex')).to.equal(uuid.replaceAll('-', ''));
        expect(new WireReader(bytes).uuid()).to.equal(uuid);
        expect(() => new WireReader(bytes.subarray(0, 15)).uuid()).to.throw(WireError);
      }),
    );
    expect(() => new WireWriter().uuid('none')).to.throw(TypeError);
  });

  it('reads any byte but 0 as true', () => {
    expect([0, 1, 2, 0x80, 0xff].map((byte) => new WireReader(Buffer.of(byte)).bool())).to.deep.equal([
      false,
      true,
      true,
      true,
      true,
    ]);
  });

  it('grows for text and bytes, wherever they meet the end of its room', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(700),
        (text, bytes, expectedBytes) => {
          const writer = new WireWriter(expectedBytes);
          const length = Buffer.byteLength(text);
          writer.text(text, length);
          writer.bytes(bytes);
          writer.text(text, length);
          expect(writer.length).to.equal(2 * length + bytes.length);
          const reader = new WireReader(writer.finish());
          expect(reader.text(length)).to.equal(text);
          expect(reader.slice(bytes.length).equals(bytes)).to.equal(true);
          expect(reader.text(length)).to.equal(text);
          expect(reader.remaining).to.equal(0);
        },
      ),
    );
  });

  it('puts a length over bytes written before', () => {
    const writer = new WireWriter(1);
    writer.int32(0);
    writer.text('abc', 3);
    writer.int32At(0, writer.length - 4);
    expect(writer.finish().toString('hex')).to.equal('00000003616263');
  });

  it('hands large shared bytes on in their own memory, between what is written around them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string(), fc.constantFrom(0, 1, 100, 4_095, 4_096, 10_000)), { maxLength: 6 }),
        fc.nat(700),
        (pieces, expectedBytes) => {
          const writer = new WireWriter(expectedBytes);
          writer.int32(0);
          const expected: Buffer[] = [];
          const shared: Buffer[] = [];
          for (const [text, bytes] of pieces) {
            const value = Buffer.alloc(bytes, 'v');
            writer.text(text, Buffer.byteLength(text));
            writer.sharedBytes(value);
            expected.push(Buffer.from(text), value);
            if (bytes >= 4_096) shared.push(value);
          }
          writer.int32At(0, writer.length - 4);
          const parts = writer.finishParts();
          const whole = Buffer.concat(parts);
          expect(whole.readInt32BE(0)).to.equal(whole.length - 4);
          expect(whole.subarray(4).equals(Buffer.concat(expected))).to.equal(true);
          for (const value of shared) expect(parts).to.include(value);
        },
      ),
    );
  });

  it('writes shared bytes in one piece for whoever wants that', () => {
    const writer = new WireWriter();
    writer.int8(1);
    writer.sharedBytes(Buffer.alloc(5_000, 2));
    writer.int8(3);
    const whole = writer.finish();
    expect([whole.length, whole[0], whole[1], whole[5_000], whole[5_001]]).to.deep.equal([5_002, 1, 2, 2, 3]);
  });

  it('takes no more than its own part of a buffer, and shares its memory', () => {
    const buffer = Buffer.from('abcdef');
    const reader = new WireReader(buffer, 1, 4);
    expect(() => reader.slice(4)).to.throw(WireError, '4 bytes are announced at byte 1, and 3 are there');
    expect(() => reader.skip(-1)).to.throw(WireError);
    const slice = reader.slice(3);
    expect(slice.toString()).to.equal('bcd');
    slice[0] = 0x5a;
    expect(buffer.toString()).to.equal('aZcdef');
    expect(reader.remaining).to.equal(0);
  });

  it('reads text that is no UTF-8 with U+FFFD in its place', () => {
    expect(new WireReader(Buffer.from('61ff62', 'hex')).text(3)).to.equal('a\ufffdb');
    expect(new WireReader(Buffer.from('efbbbf61', 'hex')).text(4)).to.equal('\ufeffa');
  });
});
