import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import * as snappy from 'snappy';
import { ZSTDDecoder } from 'zstddec';

const { CompressionCodecs, CompressionTypes } = kafkajs;

interface KafkajsCodec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(compressed: Buffer): Promise<Buffer>;
}

/** kafkajs brings gzip only, and leaves it to its users to plug in the others. */
export function plugCodecsIn(): void {
  const codecs: readonly (readonly [1 | 2 | 3 | 4, KafkajsCodec])[] = [
    [
      CompressionTypes.GZIP,
      {
        compress: ({ buffer }) => promisify<Buffer, Buffer>(gzip)(buffer),
        decompress: promisify<Buffer, Buffer>(gunzip),
      },
    ],
    [
      CompressionTypes.Snappy,
      {
        compress: ({ buffer }) => snappy.compress(buffer),
        decompress: async (compressed) => (await snappy.uncompress(compressed, { asBuffer: true })) as Buffer,
      },
    ],
    [
      CompressionTypes.LZ4,
      {
        compress: async ({ buffer }) => lz4.compressFrameSync(buffer),
        decompress: (compressed) => lz4.decompressFrame(compressed),
      },
    ],
    [CompressionTypes.ZSTD, { compress: async ({ buffer }) => storeAsZstd(buffer), decompress: unzstd }],
  ];
  for (const [type, codec] of codecs) CompressionCodecs[type] = () => codec;
}

const zstdMagic = 0xfd2fb528;
/** The most that a block may hold: RFC 8878, section 3.1.1.2.4. */
const zstdBlockBytesMax = 128 * 1024;

/** Node.js 20 has no zstd: a frame of one stored block is as valid as a compressed one (RFC 8878, section 3.1.1). */
function storeAsZstd(plain: Buffer): Buffer {
  if (plain.length > zstdBlockBytesMax) throw new Error(`${plain.length} bytes do not fit in one zstd block`);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(zstdMagic, 0);
  // A single segment with a content size of 4 bytes; then the block: the last one, stored.
  head.writeUInt8(0b1010_0000, 4);
  head.writeUInt32LE(plain.length, 5);
  head.writeUIntLE((plain.length << 3) | 1, 9, 3);
  return Buffer.concat([head, plain]);
}

async function unzstd(compressed: Buffer): Promise<Buffer> {
  const decoder = new ZSTDDecoder();
  await decoder.init();
  // The frame's own content size, where storeAsZstd puts it.
  return Buffer.from(decoder.decode(compressed, compressed.readUInt32LE(5)));
}
