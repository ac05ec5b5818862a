import { gzipSync } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import { batchHeaderBytes } from '../../../../src/protocol/record-batch.ts';

/** The batch with its records compressed, as a producer with `compression.type=gzip` makes it. */
export function gzipped(batch: Buffer): Buffer {
  const result = Buffer.concat([batch.subarray(0, batchHeaderBytes), gzipSync(batch.subarray(batchHeaderBytes))]);
  result.writeInt32BE(result.length - 12, 8);
  result.writeInt16BE(result.readInt16BE(21) | 1, 21);
  return sealed(result);
}

/** The batch with the CRC that its bytes should have. */
export function sealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}
