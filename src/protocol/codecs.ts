import { constants } from 'node:buffer';
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import lz4 from 'lz4-napi';
import * as snappy from 'snappy';
import { ZSTDDecoder } from 'zstddec';

/**
 * Decompression of Kafka record batches. Who wrote a batch is not known here, so what it claims about its own size is never
 * believed: every decoder stops at `maxBytes` of output, whatever the headers say.
 *
 * The checksums inside gzip and zstd are verified by their decoders. Those inside an LZ4 frame are not: the batch's CRC-32C
 * covers the same bytes, and the broker has checked that one.
 */
export type Codec = 'gzip' | 'snappy' | 'lz4' | 'zstd';

export class CodecError extends Error {
  readonly reason: 'too-large' | 'corrupt';

  constructor(reason: CodecError['reason'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CodecError';
    this.reason = reason;
  }
}

/** Rejects with a `CodecError` when the input is damaged or holds more than `maxBytes`. */
export async function decompress(codec: Codec, compressed: Buffer, maxBytes: number): Promise<Buffer> {
  if (compressed.length === 0) throw corrupt(`${codec}: the input is empty`);
  return decoders[codec](compressed, maxBytes);
}

const decoders: Record<Codec, (compressed: Buffer, maxBytes: number) => Buffer | Promise<Buffer>> = {
  gzip: decompressGzip,
  snappy: decompressSnappy,
  lz4: decompressLz4,
  zstd: decompressZstd,
};

const gunzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip);

async function decompressGzip(compressed: Buffer, maxBytes: number): Promise<Buffer> {
  // Zlib takes neither 0 nor Infinity here.
  const maxOutputLength = Math.min(Math.max(maxBytes, 1), constants.MAX_LENGTH);
  const plain = await gunzip(compressed, { maxOutputLength }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('gzip', maxBytes, { cause: error });
    throw corrupt('gzip: not a complete stream', { cause: error });
  });
  if (plain.length > maxBytes) throw tooLarge('gzip', maxBytes);
  return plain;
}

/** The framing of snappy-java, which Kafka's own clients write: this, two versions of 4 bytes, then blocks by length. */
const xerialMagic = Buffer.from('\x82SNAPPY\0', 'latin1');
const xerialVersionsBytes = 8;

function decompressSnappy(compressed: Buffer, maxBytes: number): Buffer {
  const output = new BoundedOutput('snappy', maxBytes);
  const input = new Cursor('snappy', compressed);
  // Other clients, such as librdkafka, write one bare block.
  if (!input.skipIf(xerialMagic)) {
    output.push(decompressSnappyBlock(compressed, output));
    return output.toBuffer();
  }
  do {
    input.take(xerialVersionsBytes);
    while (input.remainingBytes > 0 && !input.startsWith(xerialMagic)) {
      output.push(decompressSnappyBlock(input.take(input.take(4).readUInt32BE()), output));
    }
  } while (input.skipIf(xerialMagic));
  return output.toBuffer();
}

function decompressSnappyBlock(block: Buffer, output: BoundedOutput): Buffer {
  output.requireRoom(declaredSnappyBytes(block));
  try {
    // Fails unless the block holds exactly what it declares.
    return snappy.uncompressSync(block, { asBuffer: true }) as Buffer;
  } catch (error) {
    throw corrupt('snappy: not a complete block', { cause: error });
  }
}

/** A block starts with its decompressed length: 7 bits a byte, the lowest first, the top bit set on all but the last. */
function declaredSnappyBytes(block: Buffer): number {
  const input = new Cursor('snappy', block);
  let bytes = 0;
  for (let scale = 1; scale <= 2 ** 28; scale *= 2 ** 7) {
    const byte = input.take(1).readUInt8();
    bytes += (byte & 0x7f) * scale;
    if (byte < 0x80) return bytes;
  }
  throw corrupt('snappy: the declared length has no end');
}

/** LZ4 and Zstandard share these: frames of another program's, to be passed over. */
const skippableMagics = { first: 0x184d2a50, last: 0x184d2a5f };

const lz4Magic = 0x184d2204;
const lz4WindowBytes = 64 * 1024;
/** No LZ4 block grows more than this: a match of any length costs a byte for each 255 bytes. */
const lz4MaxGrowth = 255;

function decompressLz4(compressed: Buffer, maxBytes: number): Buffer {
  const output = new BoundedOutput('lz4', maxBytes);
  const input = new Cursor('lz4', compressed);
  while (input.remainingBytes > 0) {
    const magic = input.take(4).readUInt32LE();
    if (magic === lz4Magic) decompressLz4Frame(input, output);
    else if (magic >= skippableMagics.first && magic <= skippableMagics.last) input.take(input.take(4).readUInt32LE());
    else throw corrupt('lz4: not a frame');
  }
  return output.toBuffer();
}

/** The library reads whole frames too, but without a limit: so the frame is read here, and the library does the blocks. */
function decompressLz4Frame(input: Cursor, output: BoundedOutput): void {
  const flags = input.take(1).readUInt8();
  const version = flags >> 6;
  const blocksAreLinked = (flags & 0x20) === 0;
  const blockChecksumBytes = flags & 0x10 ? 4 : 0;
  const hasContentSize = (flags & 0x08) !== 0;
  const contentChecksumBytes = flags & 0x04 ? 4 : 0;
  const hasDictionary = (flags & 0x01) !== 0;
  const blockSizeCode = (input.take(1).readUInt8() >> 4) & 0x07;
  if (version !== 1 || blockSizeCode < 4 || hasDictionary) throw corrupt('lz4: a frame header that cannot be read');
  const maxBlockBytes = 2 ** (8 + 2 * blockSizeCode);

  const contentBytes = hasContentSize ? Number(input.take(8).readBigUInt64LE()) : undefined;
  if (contentBytes !== undefined) output.requireRoom(contentBytes);
  input.take(1); // Checksum of the header.

  const startBytes = output.lengthBytes;
  let window = Buffer.alloc(0);
  for (;;) {
    const blockHeader = input.take(4).readUInt32LE();
    if (blockHeader === 0) break;
    const isCompressed = blockHeader < 2 ** 31;
    const block = input.take(blockHeader % 2 ** 31);
    input.take(blockChecksumBytes);
    if (block.length > maxBlockBytes) throw corrupt('lz4: a block is larger than its frame allows');

    const plain = isCompressed ? decompressLz4Block(block, maxBlockBytes, window) : block;
    output.push(plain);
    if (blocksAreLinked) window = Buffer.concat([window, plain]).subarray(-lz4WindowBytes);
  }
  input.take(contentChecksumBytes);

  if (contentBytes !== undefined && output.lengthBytes - startBytes !== contentBytes) {
    throw corrupt('lz4: a frame does not hold as much as it declares');
  }
}

function decompressLz4Block(block: Buffer, maxBlockBytes: number, window: Buffer): Buffer {
  // The library takes the room for the output from 4 bytes in front of the block.
  const prefixed = Buffer.alloc(4 + block.length);
  prefixed.writeUInt32LE(Math.min(maxBlockBytes, block.length * lz4MaxGrowth));
  block.copy(prefixed, 4);
  try {
    return lz4.uncompressSync(prefixed, window);
  } catch (error) {
    throw corrupt('lz4: a block is damaged', { cause: error });
  }
}

const zstdMagic = 0xfd2fb528;
const zstdMaxBlockBytes = 128 * 1024;
/** The decoder works in WebAssembly memory, which holds input and output together, ends at 2 GiB and never shrinks. */
const zstdMemoryBytes = 2 ** 29;

const zstdDecoder = new ZSTDDecoder();

async function decompressZstd(compressed: Buffer, maxBytes: number): Promise<Buffer> {
  const possibleBytes = possibleZstdBytes(compressed, maxBytes);
  if (possibleBytes === 0) return Buffer.alloc(0);
  // A block more than is allowed, so that a damaged frame that just fits is not taken for one that is too large.
  const roomBytes = Math.min(possibleBytes, maxBytes + zstdMaxBlockBytes);
  if (compressed.length + roomBytes > zstdMemoryBytes) throw tooLarge('zstd', zstdMemoryBytes);

  await zstdDecoder.init();
  const output = new BoundedOutput('zstd', maxBytes);
  // Writes no further than `roomBytes`, and answers any failure, too little room among them, with no bytes.
  output.push(Buffer.from(zstdDecoder.decode(compressed, roomBytes).buffer));
  if (output.lengthBytes > 0) return output.toBuffer();
  throw possibleBytes > roomBytes ? tooLarge('zstd', maxBytes) : corrupt('zstd: a frame is damaged');
}

/** The most that these frames can hold, from the headers of their blocks: a bound that no lie in them can lift. */
function possibleZstdBytes(compressed: Buffer, maxBytes: number): number {
  const input = new Cursor('zstd', compressed);
  let bytes = 0;
  while (input.remainingBytes > 0) {
    const magic = input.take(4).readUInt32LE();
    if (magic === zstdMagic) bytes += possibleZstdFrameBytes(input, maxBytes);
    else if (magic >= skippableMagics.first && magic <= skippableMagics.last) input.take(input.take(4).readUInt32LE());
    else throw corrupt('zstd: not a frame');
  }
  return bytes;
}

function possibleZstdFrameBytes(input: Cursor, maxBytes: number): number {
  const descriptor = input.take(1).readUInt8();
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const checksumBytes = descriptor & 0x04 ? 4 : 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 0x03]!;
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const windowBytes = isSingleSegment ? 0 : 1;
  input.take(windowBytes + dictionaryIdBytes);
  const declaredBytes = declaredZstdBytes(input.take(contentSizeBytes));
  if (declaredBytes > maxBytes) throw tooLarge('zstd', maxBytes);

  let bytes = 0;
  let isLast = false;
  while (!isLast) {
    const header = input.take(3).readUIntLE(0, 3);
    isLast = (header & 0x01) !== 0;
    const type = (header >> 1) & 0x03;
    const size = header >> 3;
    if (type === 3 || size > zstdMaxBlockBytes) throw corrupt('zstd: a block header that cannot be read');
    // Raw blocks hold their bytes, repeated ones a single byte to be written `size` times, compressed ones up to the limit.
    input.take(type === 1 ? 1 : size);
    bytes += type === 2 ? zstdMaxBlockBytes : size;
  }
  input.take(checksumBytes);
  // A declared 0 is only believed of blocks that are empty too: nothing to decode would mean nothing to verify.
  return declaredBytes === 0 ? bytes : Math.min(bytes, declaredBytes);
}

/** 0 where the frame declares nothing, as when it was written as a stream, which Kafka's own clients do. */
function declaredZstdBytes(field: Buffer): number {
  switch (field.length) {
    case 1:
      return field.readUInt8();
    case 2:
      return field.readUInt16LE() + 256;
    case 4:
      return field.readUInt32LE();
    case 8:
      return Number(field.readBigUInt64LE());
    default:
      return 0;
  }
}

/** Reads forward through input that may end anywhere. */
class Cursor {
  readonly #codec: Codec;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(codec: Codec, bytes: Buffer) {
    this.#codec = codec;
    this.#bytes = bytes;
  }

  get remainingBytes(): number {
    return this.#bytes.length - this.#at;
  }

  take(bytes: number): Buffer {
    if (bytes > this.remainingBytes) throw corrupt(`${this.#codec}: the input ends early`);
    this.#at += bytes;
    return this.#bytes.subarray(this.#at - bytes, this.#at);
  }

  startsWith(prefix: Buffer): boolean {
    return this.#bytes.subarray(this.#at, this.#at + prefix.length).equals(prefix);
  }

  skipIf(prefix: Buffer): boolean {
    const found = this.startsWith(prefix);
    if (found) this.#at += prefix.length;
    return found;
  }
}

class BoundedOutput {
  readonly #codec: Codec;
  readonly #maxBytes: number;
  readonly #parts: Buffer[] = [];
  lengthBytes = 0;

  constructor(codec: Codec, maxBytes: number) {
    this.#codec = codec;
    this.#maxBytes = maxBytes;
  }

  requireRoom(bytes: number): void {
    if (this.lengthBytes + bytes > this.#maxBytes) throw tooLarge(this.#codec, this.#maxBytes);
  }

  push(part: Buffer): void {
    this.requireRoom(part.length);
    this.#parts.push(part);
    this.lengthBytes += part.length;
  }

  toBuffer(): Buffer {
    return this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
  }
}

function corrupt(message: string, options?: { cause?: unknown }): CodecError {
  return new CodecError('corrupt', message, options);
}

function tooLarge(codec: Codec, maxBytes: number, options?: { cause?: unknown }): CodecError {
  return new CodecError('too-large', `${codec}: the input holds more than ${maxBytes} bytes`, options);
}
