import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import lz4 from 'lz4-napi';
import * as snappy from 'snappy';
import { type Codec, CodecError, decompress } from '../../../src/protocol/codecs.ts';
import { compressors, goldenBatches } from '../../fixtures/codecs.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

describe('codecs', () => {
  describe('what other programs wrote', () => {
    for (const { codec, writtenBy, plain, compressed } of goldenBatches) {
      describe(`${codec}, ${writtenBy}`, () => {
        it('is read whole', async () => {
          expect((await decompress(codec, compressed, mebibyte)).equals(plain)).to.equal(true);
        });

        it('fits a limit of its own size, and is refused at one byte less', async () => {
          expect((await decompress(codec, compressed, plain.length)).equals(plain)).to.equal(true);
          expect(await refusal(codec, compressed, plain.length - 1)).to.equal('too-large');
        });

        it('is refused when it is cut short anywhere', async () => {
          for (let bytes = 0; bytes < compressed.length; bytes += 1) {
            const cut = compressed.subarray(0, bytes);
            if (codec === 'snappy' && endsBetweenXerialBlocks(cut)) {
              const plainStart = await decompress(codec, cut, mebibyte);
              expect(plain.subarray(0, plainStart.length).equals(plainStart), `${bytes} bytes`).to.equal(true);
            } else {
              expect(await refusal(codec, cut, mebibyte), `${bytes} bytes`).to.equal('corrupt');
            }
          }
        });

        it('never fails with anything but a CodecError, nor passes the limit, whatever bytes are changed', async () => {
          const change = fc.record({ at: fc.nat(compressed.length - 1), byte: fc.nat(255) });
          await fc.assert(
            fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
              const damaged = Buffer.from(compressed);
              for (const { at, byte } of changes) damaged[at] = byte;
              try {
                expect(await decompress(codec, damaged, plain.length)).to.have.length.at.most(plain.length);
              } catch (error) {
                expect(error).to.be.instanceOf(CodecError);
              }
            }),
          );
        });
      });
    }
  });

  for (const codec of ['gzip', 'snappy', 'lz4'] as const) {
    it(`${codec} gives back what was compressed`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 1000 }), async (unit, count) => {
          const plain = Buffer.concat(new Array<Uint8Array>(count).fill(unit));
          const compressed = compressors[codec](plain);
          expect((await decompress(codec, compressed, plain.length)).equals(plain)).to.equal(true);
        }),
      );
    });

    it(`${codec} refuses a bomb`, async () => {
      const bomb = compressors[codec](Buffer.alloc(64 * mebibyte));
      expect(await refusal(codec, bomb, mebibyte)).to.equal('too-large');
    });
  }

  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    it(`${codec} refuses what is no such stream`, async () => {
      expect(await refusal(codec, Buffer.alloc(0), mebibyte)).to.equal('corrupt');
      expect(await refusal(codec, Buffer.from('not compressed at all'), mebibyte)).to.equal('corrupt');
    });
  }

  describe('gzip', () => {
    it('refuses a bomb of several members', async () => {
      const member = gzipSync(Buffer.alloc(600 * kibibyte));
      expect(await refusal('gzip', Buffer.concat([member, member]), mebibyte)).to.equal('too-large');
    });

    it('reads an empty stream under a limit of nothing', async () => {
      expect(await decompress('gzip', gzipSync(''), 0)).to.have.length(0);
      expect(await refusal('gzip', gzipSync('a'), 0)).to.equal('too-large');
    });
  });

  describe('snappy', () => {
    const plain = Buffer.from('bitacora '.repeat(100));

    it('reads a bare block, as librdkafka writes it', async () => {
      expect((await decompress('snappy', snappy.compressSync(plain), mebibyte)).equals(plain)).to.equal(true);
    });

    it('reads framed streams one after the other', async () => {
      const framed = compressors.snappy(plain);
      const both = await decompress('snappy', Buffer.concat([framed, framed]), mebibyte);
      expect(both.equals(Buffer.concat([plain, plain]))).to.equal(true);
    });

    it('refuses a block by its declared length, before it makes room', async () => {
      expect(await refusal('snappy', bytes('ff ff ff ff 0f 00 61'), mebibyte)).to.equal('too-large');
    });

    it('refuses a block that holds more or less than it declares', async () => {
      // A literal of one byte, in a block that declares none, then two.
      expect(await refusal('snappy', bytes('00 00 61'), mebibyte)).to.equal('corrupt');
      expect(await refusal('snappy', bytes('02 00 61'), mebibyte)).to.equal('corrupt');
    });

    it('refuses a declared length that has no end', async () => {
      expect(await refusal('snappy', bytes('80 80 80 80 80 00'), mebibyte)).to.equal('corrupt');
    });

    it('refuses framed blocks that only together pass the limit', async () => {
      const framed = compressors.snappy(Buffer.alloc(100 * kibibyte));
      expect(await refusal('snappy', framed, 99 * kibibyte)).to.equal('too-large');
    });
  });

  describe('lz4', () => {
    const plain = Buffer.from('bitacora '.repeat(100));

    it('reads frames one after the other, and passes over those of another program', async () => {
      const frame = lz4.compressFrameSync(plain);
      const skippable = bytes('5f 2a 4d 18 03 00 00 00 61 62 63');
      const both = await decompress('lz4', Buffer.concat([frame, skippable, frame]), mebibyte);
      expect(both.equals(Buffer.concat([plain, plain]))).to.equal(true);
    });

    it('reads checksums of blocks and content', async () => {
      const frame = lz4.compressFrameSync(plain, { blockChecksums: true, contentChecksum: true });
      expect((await decompress('lz4', frame, mebibyte)).equals(plain)).to.equal(true);
    });

    it('reads blocks that are not compressed', async () => {
      expect(String(await decompress('lz4', lz4Frame('60 40', '02 00 00 80', '61 62'), mebibyte))).to.equal('ab');
    });

    it('refuses a declared size beyond the limit', async () => {
      const frame = lz4Frame('68 40 ff ff ff ff ff ff ff 7f', '01 00 00 80', '61');
      expect(await refusal('lz4', frame, mebibyte)).to.equal('too-large');
    });

    it('refuses a frame that holds more or less than it declares', async () => {
      for (const declared of ['00', '02']) {
        const frame = lz4Frame(`68 40 ${declared} 00 00 00 00 00 00 00`, '01 00 00 80', '61');
        expect(await refusal('lz4', frame, mebibyte)).to.equal('corrupt');
      }
    });

    it('refuses a block that is larger than its frame allows', async () => {
      const allowed = '61'.repeat(64 * kibibyte);
      expect(await decompress('lz4', lz4Frame('60 40', '00 00 01 80', allowed), mebibyte)).to.have.length(
        64 * kibibyte,
      );
      expect(await refusal('lz4', lz4Frame('60 40', '01 00 01 80', `${allowed}61`), mebibyte)).to.equal('corrupt');
    });

    it('refuses a match that reaches before the start', async () => {
      // One literal, then four bytes from two back.
      expect(await refusal('lz4', lz4Frame('60 40', '04 00 00 00', '10 61 02 00'), mebibyte)).to.equal('corrupt');
    });

    it('refuses a header that it cannot read: another version, a dictionary, an unknown block size', async () => {
      for (const header of ['20 40', '61 40 00 00 00 00', '60 30']) {
        expect(await refusal('lz4', lz4Frame(header, '01 00 00 80', '61'), mebibyte)).to.equal('corrupt');
      }
    });
  });

  describe('zstd', () => {
    const thousandLetters = '43 1f 00 61';

    it('reads frames one after the other, and passes over those of another program', async () => {
      const frame = zstdFrame('00 58', thousandLetters);
      const skippable = bytes('50 2a 4d 18 03 00 00 00 61 62 63');
      expect(String(await decompress('zstd', Buffer.concat([frame, skippable, frame]), mebibyte))).to.equal(
        'a'.repeat(2000),
      );
    });

    it('reads an empty frame', async () => {
      expect(await decompress('zstd', zstdFrame('00 58', '01 00 00'), mebibyte)).to.have.length(0);
    });

    it('refuses a bomb: each of these blocks is 4 bytes for 128 KiB', async () => {
      const bomb = zstdFrame('00 58', '02 00 10 61'.repeat(100_000), '03 00 10 61');
      expect(await refusal('zstd', bomb, mebibyte)).to.equal('too-large');
      expect(await refusal('zstd', bomb, Number.MAX_SAFE_INTEGER)).to.equal('too-large');
    });

    it('refuses a declared size beyond the limit', async () => {
      const frame = zstdFrame('c0 58 ff ff ff ff ff ff ff 7f', thousandLetters);
      expect(await refusal('zstd', frame, mebibyte)).to.equal('too-large');
    });

    it('reads a declared size of any width', async () => {
      for (const header of ['60 e8 02', 'a0 e8 03 00 00', 'e0 e8 03 00 00 00 00 00 00']) {
        expect(await decompress('zstd', zstdFrame(header, thousandLetters), 1000)).to.have.length(1000);
      }
    });

    it('refuses a frame that holds more or less than it declares', async () => {
      for (const declared of ['00 00 00 00', 'e7 03 00 00', 'e9 03 00 00']) {
        expect(await refusal('zstd', zstdFrame(`80 58 ${declared}`, thousandLetters), mebibyte)).to.equal('corrupt');
      }
    });

    it('refuses a block that is larger than any may be, or of no known type', async () => {
      expect(await refusal('zstd', zstdFrame('00 58', '0b 00 10 61'), mebibyte)).to.equal('corrupt');
      expect(await refusal('zstd', zstdFrame('00 58', '0f 00 00 61'), mebibyte)).to.equal('corrupt');
    });

    it('refuses a wrong checksum', async () => {
      expect(await refusal('zstd', zstdFrame('04 58', thousandLetters, '00 00 00 00'), mebibyte)).to.equal('corrupt');
    });

    it('refuses a frame that needs a dictionary', async () => {
      expect(await refusal('zstd', zstdFrame('01 58 07', thousandLetters), mebibyte)).to.equal('corrupt');
    });
  });
});

/** The reason why the input is refused; fails the test when it is taken. */
async function refusal(codec: Codec, compressed: Buffer, maxBytes: number): Promise<string> {
  try {
    await decompress(codec, compressed, maxBytes);
  } catch (error) {
    if (error instanceof CodecError) return error.reason;
    throw error;
  }
  return 'taken';
}

/** The one cut that a format cannot tell from an end: xerial framing says nowhere how many blocks there are. */
function endsBetweenXerialBlocks(cut: Buffer): boolean {
  const headerBytes = 16;
  let at = headerBytes;
  while (at + 4 <= cut.length) at += 4 + cut.readUInt32BE(at);
  return at === cut.length;
}

function lz4Frame(header: string, blockHeader: string, block: string): Buffer {
  const headerChecksum = '00';
  const endMark = '00 00 00 00';
  return bytes('04 22 4d 18', header, headerChecksum, blockHeader, block, endMark);
}

function zstdFrame(header: string, ...blocks: string[]): Buffer {
  return bytes('28 b5 2f fd', header, ...blocks);
}

function bytes(...hex: string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(' ', ''), 'hex');
}
