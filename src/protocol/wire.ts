/** What came over the wire is not what the protocol says; `message` says where it goes wrong. */
export class WireError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'WireError';
  }
}

const varintBytesMax = 5;
const varlongBytesMax = 10;

/**
 * Reads Kafka's primitive types (https://kafka.apache.org/protocol#protocol_types) from a buffer. Every length is checked against
 * what remains before anything is taken or allocated; what does not fit is a `WireError`. Slices share the buffer's memory.
 */
export class WireReader {
  readonly buffer: Buffer;
  at: number;
  readonly end: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  int8(): number {
    return this.buffer.readInt8(this.#take(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#take(2));
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.#take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#take(4));
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.#take(4));
  }

  /** As a number: exact to 2^53, which no offset, timestamp or producer id in use exceeds, and rounded beyond. */
  int64(): number {
    const at = this.#take(8);
    return this.buffer.readInt32BE(at) * 0x1_0000_0000 + this.buffer.readUInt32BE(at + 4);
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.#take(8));
  }

  /** Any byte but 0 is true. */
  bool(): boolean {
    return this.int8() !== 0;
  }

  /** In the canonical text form, lower case. */
  uuid(): string {
    const at = this.#take(16);
    const hex = this.buffer.toString('hex', at, at + 16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  uvarint(): number {
    let value = 0;
    for (let index = 0; index < varintBytesMax; index += 1) {
      const byte = this.buffer[this.#take(1)]!;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw new WireError(`an unsigned varint at byte ${this.at} has more than 32 bits`);
  }

  /** Zigzag, 32 bits. */
  varint(): number {
    const value = this.uvarint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** Zigzag, 64 bits, as a number: see `int64`. */
  varlong(): number {
    let value = 0;
    let isOdd = false;
    for (let index = 0; index < varlongBytesMax; index += 1) {
      const byte = this.buffer[this.#take(1)]!;
      if (index === 0) isOdd = (byte & 1) === 1;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return isOdd ? -(value + 1) / 2 : value / 2;
    }
    throw new WireError(`a varlong at byte ${this.at} has more than 64 bits`);
  }

  /** The next `length` bytes, in the buffer's own memory. */
  slice(length: number): Buffer {
    const at = this.#take(length);
    return this.buffer.subarray(at, at + length);
  }

  /** Valid UTF-8 or not: what is none has U+FFFD in its place, as in Kafka. */
  text(length: number): string {
    const at = this.#take(length);
    return this.buffer.toString('utf8', at, at + length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  #take(length: number): number {
    const { at } = this;
    if (length < 0 || length > this.end - at) {
      throw new WireError(`${length} bytes are announced at byte ${at}, and ${this.end - at} are there`);
    }
    this.at = at + length;
    return at;
  }
}

const firstBytes = 256;

/** Writes Kafka's primitive types into a buffer that grows. */
export class WireWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(expectedBytes = firstBytes) {
    this.#buffer = Buffer.allocUnsafe(expectedBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, in the writer's own memory: write nothing more. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  int8(value: number): void {
    this.#buffer.writeInt8(value, this.#grow(1));
  }

  int16(value: number): void {
    this.#buffer.writeInt16BE(value, this.#grow(2));
  }

  uint16(value: number): void {
    this.#buffer.writeUInt16BE(value, this.#grow(2));
  }

  int32(value: number): void {
    this.#buffer.writeInt32BE(value, this.#grow(4));
  }

  uint32(value: number): void {
    this.#buffer.writeUInt32BE(value, this.#grow(4));
  }

  int64(value: number): void {
    this.#buffer.writeBigInt64BE(BigInt(value), this.#grow(8));
  }

  float64(value: number): void {
    this.#buffer.writeDoubleBE(value, this.#grow(8));
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  uuid(value: string): void {
    const hex = value.replaceAll('-', '');
    if (!/^[0-9a-f]{32}$/i.test(hex)) throw new TypeError(`not a UUID: ${value}`);
    this.#buffer.write(hex, this.#grow(16), 'hex');
  }

  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#grow(1)] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#grow(1)] = rest;
  }

  varint(value: number): void {
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  varlong(value: number): void {
    // Beyond 2^52 twice the value is no longer exact as a number.
    if (Math.abs(value) < 2 ** 52) this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1);
    else this.#bigUvarint(BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n)));
  }

  bytes(value: Uint8Array): void {
    this.#buffer.set(value, this.#grow(value.length));
  }

  /** Bytes of the text as UTF-8, without its length. */
  text(value: string, byteLength: number): void {
    this.#buffer.write(value, this.#grow(byteLength), 'utf8');
  }

  /** Puts an int32 over four bytes that were written before. */
  int32At(at: number, value: number): void {
    this.#buffer.writeInt32BE(value, at);
  }

  #bigUvarint(value: bigint): void {
    let rest = value;
    while (rest >= 0x80n) {
      this.#buffer[this.#grow(1)] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#grow(1)] = Number(rest);
  }

  #grow(bytes: number): number {
    const at = this.#length;
    this.#length = at + bytes;
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}
