import { crc32 } from 'node:zlib';

/** The partition that a key belongs to, of `partitions`. */
export type Partitioner = (key: Uint8Array, partitions: number) => number;

export type PartitionerName = 'murmur2' | 'crc32';

/**
 * Java's and kafkajs' default for records with a key: `toPositive(murmur2(key)) % partitions`
 * (org.apache.kafka.clients.producer.internals.BuiltInPartitioner).
 */
const murmur2Partitioner: Partitioner = (key, partitions) => (murmur2(key) & 0x7fffffff) % partitions;

/** librdkafka's default for records with a key: CRC-32 (IEEE) of the key, unsigned, modulo partitions. */
const crc32Partitioner: Partitioner = (key, partitions) => crc32(key) % partitions;

export const partitioners: Readonly<Record<PartitionerName, Partitioner>> = {
  murmur2: murmur2Partitioner,
  crc32: crc32Partitioner,
};

/** MurmurHash2, 32 bit, with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2); signed. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995;
  const length = data.length;
  let h = 0x9747b28c ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const rest = length - at;
  if (rest >= 3) h ^= data[at + 2]! << 16;
  if (rest >= 2) h ^= data[at + 1]! << 8;
  if (rest >= 1) h = Math.imul(h ^ data[at]!, m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}
