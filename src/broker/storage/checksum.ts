/** CRC-32C, which Kafka has in its producer snapshots; the files of this broker's own have it too. */
export { crc32c as checksum } from '@node-rs/crc32';
