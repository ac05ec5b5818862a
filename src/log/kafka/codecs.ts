import kafkajs from 'kafkajs';
import { type Codec, decompress } from '../../protocol/codecs.ts';

/** A fetch holds at most 50 MiB; no honest batch in it grows beyond this. */
const decompressedBytesMax = 128 * 1024 * 1024;

/** Gives kafkajs every codec that producers use: it knows only gzip by itself, and unpacks that without a bound. */
export function registerCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  const names = [
    [CompressionTypes.GZIP, 'gzip'],
    [CompressionTypes.Snappy, 'snappy'],
    [CompressionTypes.LZ4, 'lz4'],
    [CompressionTypes.ZSTD, 'zstd'],
  ] as const satisfies ReadonlyArray<readonly [number, Codec]>;
  for (const [type, name] of names) {
    CompressionCodecs[type] = () => ({
      compress: async () => {
        throw new Error(`bitacora does not write ${name}`);
      },
      decompress: (compressed: Buffer) => unpack(name, compressed),
    });
  }
}

/** kafkajs tries again without a word unless an error says that it is of no use; this one must be seen. */
async function unpack(name: Codec, compressed: Buffer): Promise<Buffer> {
  try {
    return await decompress(name, compressed, decompressedBytesMax);
  } catch (error) {
    throw Object.assign(error as Error, { retriable: false });
  }
}
