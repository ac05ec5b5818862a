import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import * as snappy from 'snappy';

/** Zstandard is missing: what there is for Node.js 20 without a compiler only decompresses. */
export const compressions = ['none', 'gzip', 'snappy', 'lz4'] as const;
export type Compression = (typeof compressions)[number];

const { CompressionCodecs, CompressionTypes } = kafkajs;

const types: Readonly<Record<Compression, number>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
};

/** kafkajs knows gzip by itself. A producer never decompresses, so that is left out. */
const compressors = {
  // One bare block, as librdkafka writes it: every reader takes that beside the framing of Java's library.
  snappy: (plain: Buffer) => snappy.compress(plain),
  lz4: (plain: Buffer) => lz4.compressFrame(plain),
} as const;

/** The number that kafkajs sends with; makes the codec known to kafkajs, in this whole process. */
export function compressionType(compression: Compression): number {
  if (compression === 'snappy' || compression === 'lz4') {
    const compress = compressors[compression];
    CompressionCodecs[types[compression] as keyof typeof CompressionCodecs] = () => ({
      compress: ({ buffer }: { buffer: Buffer }) => compress(buffer),
      decompress: async () => {
        throw new Error(`a producer does not read ${compression}`);
      },
    });
  }
  return types[compression];
}
