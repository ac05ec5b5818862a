import { CodecError } from '../../protocol/codecs.ts';
import { KafkaError } from '../../protocol/errors.ts';
import {
  announcedBytes,
  type BatchHeader,
  batchHeaderBytes,
  hasSoundCrc,
  readHeader,
  recordBytes,
  walkRecords,
} from '../../protocol/record-batch.ts';
import { WireError } from '../../protocol/wire.ts';
import type { LogConfig } from './log-config.ts';

/** Batches that hold more are not looked into: whoever sends them must not decide how much memory that takes. */
const unpackedBytesMax = 64 * 1024 * 1024;
const magicAt = 16;

/**
 * What Kafka asks of a client's batch before it is appended, except for keys in compressed batches: see `checkCompressedKeys`. Throws a
 * `KafkaError` CORRUPT_MESSAGE, UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE or
 * RECORD_LIST_TOO_LARGE.
 */
export function checkBatch(batch: Buffer, config: LogConfig): BatchHeader {
  const header = soundHeader(batch);
  checkSize(header.bytes, config);
  checkClaims(header, config);
  // Compressed ones stay as they are: a consumer that cannot read one says so.
  if (header.codec === undefined) checkRecords(batch.subarray(batchHeaderBytes, header.bytes), header.count, config);
  return header;
}

/** What is asked of the broker's own batches, which are right otherwise. Throws a `KafkaError`. */
export function checkOwnBatch(batch: Buffer, config: LogConfig): BatchHeader {
  const header = soundHeader(batch);
  checkSize(header.bytes, config);
  return header;
}

/**
 * The key of every record on a compacted topic, when that takes decompression; undefined when there is nothing to look at. Rejects
 * with a `KafkaError` INVALID_RECORD or CORRUPT_MESSAGE.
 */
export function checkCompressedKeys(batch: Buffer, config: LogConfig): Promise<void> | undefined {
  if (!config.cleanupPolicy.compact) return undefined;
  // Anything else that is wrong is for `checkBatch` to tell.
  const header = headerOrNone(batch);
  if (header?.codec === undefined || !hasSoundCrc(batch, 0, header.bytes)) return undefined;
  return recordBytes(batch, 0, header, unpackedBytesMax).then(
    (bytes) => checkRecords(bytes, header.count, config),
    (error: unknown) => {
      if (!(error instanceof CodecError)) throw error;
      const name = error.reason === 'too-large' ? 'INVALID_RECORD' : 'CORRUPT_MESSAGE';
      throw new KafkaError(name, error.message, { cause: error });
    },
  );
}

function headerOrNone(batch: Buffer): BatchHeader | undefined {
  try {
    return readHeader(batch);
  } catch {
    return undefined;
  }
}

function soundHeader(batch: Buffer): BatchHeader {
  // All formats have their version in the same place.
  if (batch.length > magicAt && (batch[magicAt] === 0 || batch[magicAt] === 1)) {
    throw new KafkaError('UNSUPPORTED_FOR_MESSAGE_FORMAT', `Records of format ${batch[magicAt]} are no longer taken.`);
  }
  const header = readHeaderOf(batch);
  if (announcedBytes(batch, 0) !== batch.length) {
    throw new KafkaError('INVALID_RECORD', 'A request has exactly one batch for each partition.');
  }
  if (!hasSoundCrc(batch, 0, header.bytes)) throw new KafkaError('CORRUPT_MESSAGE', 'The CRC of the batch is wrong.');
  return header;
}

function readHeaderOf(batch: Buffer): BatchHeader {
  try {
    return readHeader(batch);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new KafkaError('CORRUPT_MESSAGE', error.message, { cause: error });
  }
}

function checkSize(bytes: number, { maxMessageBytes, segmentBytes }: LogConfig): void {
  if (bytes > maxMessageBytes) {
    throw new KafkaError(
      'MESSAGE_TOO_LARGE',
      `The batch has ${bytes} bytes, and max.message.bytes is ${maxMessageBytes}.`,
    );
  }
  if (bytes > segmentBytes) {
    throw new KafkaError(
      'RECORD_LIST_TOO_LARGE',
      `The batch has ${bytes} bytes, and segment.bytes is ${segmentBytes}.`,
    );
  }
}

function checkClaims(header: BatchHeader, { messageTimestampType }: LogConfig): void {
  const { baseOffset, lastOffset, count, producerId, baseTimestampMs, maxTimestampMs } = header;
  const refuse = (message: string): never => {
    throw new KafkaError('INVALID_RECORD', message);
  };
  if (header.isControl) refuse('Clients do not write control records.');
  if (baseOffset !== 0) refuse(`The base offset of a new batch is 0, and this one has ${baseOffset}.`);
  if (count < 1 || count !== lastOffset + 1) refuse(`The batch has ${count} records over ${lastOffset + 1} offsets.`);
  if (producerId < -1 || !Number.isSafeInteger(producerId)) refuse(`There is no producer id ${producerId}.`);
  if (producerId >= 0 && (header.producerEpoch < 0 || header.baseSequence < 0)) {
    refuse(
      `The batch of producer ${producerId} has epoch ${header.producerEpoch} and sequence ${header.baseSequence}.`,
    );
  }
  if (header.isTransactional && producerId < 0) refuse('A transactional batch has a producer id.');
  if (maxTimestampMs < -1 || !Number.isSafeInteger(maxTimestampMs)) {
    throw new KafkaError('INVALID_TIMESTAMP', `${maxTimestampMs} is no time.`);
  }
  // Times of records are sums with it, and compaction must be able to write them again.
  if (!Number.isSafeInteger(baseTimestampMs)) {
    throw new KafkaError('INVALID_TIMESTAMP', `${baseTimestampMs} is no time.`);
  }
  if (header.isLogAppendTime && messageTimestampType === 'CreateTime') {
    throw new KafkaError('INVALID_TIMESTAMP', 'A producer does not say that the time is the time of the append.');
  }
}

/** That there are as many as the batch says, numbered without gaps, each with a key where that matters. */
function checkRecords(bytes: Buffer, count: number, { cleanupPolicy: { compact } }: LogConfig): void {
  let index = 0;
  try {
    walkRecords(bytes, count, ({ offsetDelta, keyLength }) => {
      if (offsetDelta !== index) {
        throw new KafkaError('INVALID_RECORD', `Record ${index} of a batch has the number ${offsetDelta}.`);
      }
      if (compact && keyLength < 0) {
        throw new KafkaError('INVALID_RECORD', 'A compacted topic takes no record without a key.');
      }
      index += 1;
    });
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new KafkaError('CORRUPT_MESSAGE', error.message, { cause: error });
  }
}
