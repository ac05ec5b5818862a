import { expect } from 'chai';
import fc from 'fast-check';
import kafkajs, { type PartitionMetadata } from 'kafkajs';
import { murmur2, partitioners } from '../../../src/log/partitioner.ts';

/** Kafka's own: `UtilsTest.testMurmur2`. */
const javaHashes: ReadonlyArray<[key: string, hash: number]> = [
  ['21', -973_932_308],
  ['foobar', -790_332_482],
  ['a-little-bit-long-string', -985_981_536],
  ['a-little-bit-longer-string', -1_486_304_829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
  ['abc', 479_470_107],
];

/** CRC-32 as zlib, PNG and librdkafka have it; the first is the algorithm's published check value. */
const crcs: ReadonlyArray<[key: string, crc: number]> = [
  ['123456789', 0xcbf43926],
  ['The quick brown fox jumps over the lazy dog', 0x414fa339],
  ['a', 0xe8b7be43],
  ['abc', 0x352441c2],
  ['', 0],
];

const anyPartitions = fc.integer({ min: 1, max: 10_000 });

describe('partitioner', () => {
  for (const [key, hash] of javaHashes) {
    it(`murmur2 of "${key}" is Java's`, () => {
      expect(murmur2(Buffer.from(key))).to.equal(hash);
      expect(partitioners.murmur2(Buffer.from(key), 1_000)).to.equal((hash & 0x7fffffff) % 1_000);
    });
  }

  it('murmur2 puts any key where kafkajs puts it', () => {
    const theirs = kafkajs.Partitioners.DefaultPartitioner();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.integer({ min: 1, max: 200 }), (bytes, count) => {
        const key = Buffer.from(bytes);
        const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 0 }));
        const place = theirs({
          topic: 'topic',
          partitionMetadata: partitionMetadata as PartitionMetadata[],
          message: { key, value: null },
        });
        expect(partitioners.murmur2(key, count)).to.equal(place);
      }),
      { numRuns: 1_000 },
    );
  });

  it('murmur2 reads a view into a larger block, and not the block', () => {
    const block = Buffer.from('....foobar....');
    expect(murmur2(block.subarray(4, 10))).to.equal(-790_332_482);
    expect(murmur2(Uint8Array.from(block).subarray(4, 10))).to.equal(-790_332_482);
  });

  for (const [key, crc] of crcs) {
    it(`crc32 of "${key}" is zlib's, unsigned`, () => {
      expect(partitioners.crc32(Buffer.from(key), 2 ** 32)).to.equal(crc);
      expect(partitioners.crc32(Buffer.from(key), 12)).to.equal(crc % 12);
    });
  }

  for (const name of ['murmur2', 'crc32'] as const) {
    it(`${name} always answers a partition that there is`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 40 }), anyPartitions, (key, count) => {
          const partition = partitioners[name](key, count);
          expect(Number.isInteger(partition) && partition >= 0 && partition < count).to.equal(true);
        }),
      );
    });
  }
});
