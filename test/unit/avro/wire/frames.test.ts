import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Frame,
  FrameError,
  FrameReader,
  frameOverheadBytes,
  writeFrameHead,
} from '../../../../src/avro/wire/frames.ts';
import { framed, int32 } from '../../../support/avro/avro-bytes.ts';

const bodyBytesMax = 10_000;
const buffersMax = 11;

interface Message {
  readonly serial: number;
  readonly buffers: readonly Uint8Array[];
}

const serial = fc.oneof(fc.nat({ max: 1000 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
const buffers = fc.array(fc.uint8Array({ maxLength: 900 }), { minLength: 1, maxLength: buffersMax });
const messages = fc
  .array(fc.record({ serial, buffers }), { maxLength: 8 })
  // A connection's first serial is not below zero.
  .map((all) => all.map((message, i) => (i === 0 ? { ...message, serial: message.serial & 0x7fff_ffff } : message)));

const bytesOf = (all: readonly Message[]): Buffer =>
  Buffer.concat(all.map((message) => framed(message.serial, ...message.buffers)));

/** What comes out of a reader, copied before the next bytes are fed. */
function read(reader: FrameReader, chunk: Buffer): Frame[] {
  const frames: Frame[] = [];
  // As a socket hands them out, each chunk is memory of its own.
  reader.feed(Buffer.from(chunk));
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    frames.push({ serial: frame.serial, body: Buffer.from(frame.body) });
  }
  return frames;
}

/** Feeds all of it in pieces of the sizes given, over and over. */
function readInPieces(reader: FrameReader, bytes: Buffer, sizes: readonly number[]): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0, piece = 0; at < bytes.length; piece += 1) {
    const size = sizes[piece % sizes.length]!;
    frames.push(...read(reader, bytes.subarray(at, at + size)));
    at += size;
  }
  return frames;
}

const plain = (frames: readonly Frame[]) => frames.map((each) => [each.serial, each.body.toString('hex')]);
const expected = (all: readonly Message[]) =>
  all.map((message) => [message.serial, Buffer.concat(message.buffers).toString('hex')]);

describe('frames', () => {
  it('come out as they went in, whole, byte by byte or cut anywhere', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(messages, fc.oneof(fc.constant([1]), fc.constant([1_000_000]), sizes), (all, pieces) => {
        const reader = new FrameReader(bodyBytesMax);
        expect(plain(readInPieces(reader, bytesOf(all), pieces))).to.deep.equal(expected(all));
        expect(reader.isWithinFrame).to.equal(false);
        expect(reader.heldBytes).to.equal(0);
      }),
      { numRuns: 300 },
    );
  });

  it('are taken one at a time: a reader can stop behind each and go on with it', () => {
    const reader = new FrameReader(bodyBytesMax);
    reader.feed(Buffer.concat([framed(1, Buffer.from('a')), framed(2), framed(3, Buffer.from('c'))].slice(0, 1)));
    expect(reader.next()?.body.toString()).to.equal('a');
    reader.feed(Buffer.concat([framed(2, Buffer.from('b')), framed(3, Buffer.from('c'))]));
    expect(reader.next()?.serial).to.equal(2);
    // Whatever happens meanwhile, what was fed is still there.
    expect(reader.isWithinFrame).to.equal(false);
    expect(reader.next()?.body.toString()).to.equal('c');
    expect(reader.next()).to.equal(undefined);
  });

  it('are known to be unfinished from their first byte to their last', () => {
    const reader = new FrameReader(bodyBytesMax);
    const bytes = framed(7, Buffer.from('ab'), Buffer.alloc(0), Buffer.from('c'));
    for (const [at, byte] of bytes.entries()) {
      const frames = read(reader, Buffer.of(byte));
      const isLast = at === bytes.length - 1;
      expect(reader.isWithinFrame, `after byte ${at}`).to.equal(!isLast);
      expect(frames.map(({ body }) => body.toString())).to.deep.equal(isLast ? ['abc'] : []);
    }
  });

  it('may be empty, and as large as the limit', () => {
    const whole = Buffer.alloc(bodyBytesMax, 1);
    for (const parts of [[Buffer.alloc(0)], [whole], [whole.subarray(1), whole.subarray(0, 1)]]) {
      const frames = read(new FrameReader(bodyBytesMax), framed(0, ...parts));
      expect(frames.map(({ body }) => body.length)).to.deep.equal([Buffer.concat(parts).length]);
    }
  });

  describe('are refused', () => {
    const refusal = (...bytes: Uint8Array[]): FrameError => {
      const reader = new FrameReader(bodyBytesMax);
      try {
        read(reader, Buffer.concat(bytes));
      } catch (error) {
        if (error instanceof FrameError) return error;
        throw error;
      }
      throw new Error('it was taken');
    };

    for (const [what, count] of [
      ['no buffers', 0],
      ['buffers below zero', -1],
      ['fewer than no buffers', -(2 ** 31)],
      ['one buffer too many', buffersMax + 1],
      ['two thousand million buffers', 0x7fff_ffff],
    ] as const) {
      it(`with ${what}, before any buffer`, () => {
        const { reason, serial: told } = refusal(int32(5), int32(count));
        expect([reason, told]).to.deep.equal(['malformed', undefined]);
      });
    }

    for (const length of [-1, -4, -(2 ** 31)]) {
      it(`with a buffer of ${length} bytes`, () => {
        expect(refusal(int32(5), int32(1), int32(length)).reason).to.equal('malformed');
      });
    }

    it('with a buffer over the limit, by its length alone, and the serial is told', () => {
      for (const length of [bodyBytesMax + 1, 0x7fff_ffff]) {
        const { reason, serial: told } = refusal(int32(5), int32(1), int32(length));
        expect([reason, told]).to.deep.equal(['too_large', 5]);
      }
    });

    it('with buffers that are over the limit together', () => {
      const first = [int32(bodyBytesMax - 1), Buffer.alloc(bodyBytesMax - 1)];
      const { reason, serial: told } = refusal(int32(6), int32(3), ...first, int32(0), int32(2));
      expect([reason, told]).to.deep.equal(['too_large', 6]);
    });

    it('when they are the first and their serial is below zero: no client begins there', () => {
      expect(refusal(Buffer.from('fffffffc', 'hex')).reason).to.equal('malformed');
      expect(
        plain(read(new FrameReader(bodyBytesMax), Buffer.concat([framed(0, Buffer.of(1)), framed(-4, Buffer.of(2))]))),
      ).to.deep.equal([
        [0, '01'],
        [-4, '02'],
      ]);
    });
  });

  it('take memory for what has come, not for what is announced', () => {
    const limit = 64 * 1024 * 1024;
    const reader = new FrameReader(limit);
    read(reader, Buffer.concat([int32(0), int32(1), int32(limit)]));
    expect(reader.heldBytes).to.equal(0);
    let came = 0;
    for (const size of [1, 10, 4_096, 1, 60_000, 60_000, 500_000]) {
      read(reader, Buffer.alloc(size));
      came += size;
      expect(reader.heldBytes).to.be.within(came, Math.max(2 * came, 4_096));
    }
  });

  it('hold nothing of a message once it has been taken', () => {
    const reader = new FrameReader(bodyBytesMax);
    const bytes = framed(1, Buffer.alloc(5_000), Buffer.alloc(100));
    expect(read(reader, bytes.subarray(0, 3_000))).to.have.length(0);
    expect(reader.heldBytes).to.be.greaterThan(0);
    expect(read(reader, bytes.subarray(3_000))).to.have.length(1);
    expect(reader.heldBytes).to.equal(0);
  });

  it('are written as one buffer', () => {
    const buffer = Buffer.alloc(frameOverheadBytes + 5, 0xee);
    writeFrameHead(buffer, 2, -9, 3);
    expect(buffer.subarray(2, 2 + frameOverheadBytes)).to.deep.equal(Buffer.concat([int32(-9), int32(1), int32(3)]));
    expect([buffer[1], buffer[2 + frameOverheadBytes]]).to.deep.equal([0xee, 0xee]);
  });
});
