/** What came over the wire is not what the protocol says; `message` says where it goes wrong. */
export class WireError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'WireError';
  }
}

/**
 * Elements of all arrays in one message, and its tagged fields. An element of two bytes becomes an object of a hundred and more, so that without a limit a
 * request within its limit of bytes could take all of the memory. Nothing real comes near: it would name as many partitions.
 */
export const elementsMax = 100_000;

/**
 * Reads Kafka's primitive types (https://kafka.apache.org/protocol#protocol_types) from a buffer. Every length is checked against
 * what remains before anything is taken or allocated; what does not fit is a `WireError`. Slices share the buffer's memory.
 */
export class WireReader {
  readonly buffer: Buffer;
  at: number;
  end: number;
  readonly #elementsMax: number;
  #elementsLeft: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length, elementsAllowed = elementsMax) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
    this.#elementsMax = elementsAllowed;
    this.#elementsLeft = elementsAllowed;
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
    const { buffer, at } = this;
    // Most are lengths and deltas of a single byte.
    if (at < this.end) {
      const byte = buffer[at]!;
      if (byte < 0x80) {
        this.at = at + 1;
        return byte;
      }
    }
    return this.#longUvarint();
  }

  /** Zigzag, 32 bits. */
  varint(): number {
    const value = this.uvarint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** Zigzag, 64 bits, as a number: see `int64`. */
  varlong(): number {
    // In two halves of 32 bits, since a number has no room for 64 bits and the bitwise operators none for more than 32.
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.buffer[this.#take(1)]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else {
        high |= bits << (shift - 32);
      }
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) break;
        const sign = -(low & 1);
        return ((high >>> 1) ^ sign) * 0x1_0000_0000 + ((((low >>> 1) | (high << 31)) ^ sign) >>> 0);
      }
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

  /** Before so many elements or tagged fields are read: each has a byte at least, and there are not too many altogether. */
  expectElements(count: number): void {
    if (count > this.remaining) throw new WireError(`${count} elements are in ${this.remaining} bytes`);
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) throw new WireError(`a message has more than ${this.#elementsMax} elements`);
  }

  #longUvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.#take(1)]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break;
        return value >>> 0;
      }
    }
    throw new WireError(`an unsigned varint at byte ${this.at} has more than 32 bits`);
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
/** Fewer are quicker copied than handed on by themselves. */
const sharedBytesMin = 4_096;
const int64Limit = 2 ** 63;

/**
 * Writes an integer of 64 bits at `at`. The largest is no number: it is read as 2^63, and 2^63 is written as the largest, so that
 * what a client sent can be written again. Throws a `RangeError` for a fraction and for what lies further out.
 */
export function writeInt64(buffer: Buffer, value: number, at: number): void {
  if (!Number.isInteger(value) || value > int64Limit || value < -int64Limit) {
    throw new RangeError(`${value} is no integer of 64 bits`);
  }
  const high = Math.floor(value / 0x1_0000_0000);
  if (high === 0x8000_0000) {
    buffer.writeInt32BE(0x7fff_ffff, at);
    buffer.writeUInt32BE(0xffff_ffff, at + 4);
  } else {
    buffer.writeInt32BE(high, at);
    buffer.writeUInt32BE(value - high * 0x1_0000_0000, at + 4);
  }
}

/** Writes Kafka's primitive types into a buffer that grows. */
export class WireWriter {
  #buffer: Buffer;
  /** Where the next byte goes in the buffer, and where the bytes begin that are in no part yet. */
  #at = 0;
  #partStart = 0;
  /** What is complete, in order; large bytes are here by reference. */
  readonly #parts: Buffer[] = [];
  #partBytes = 0;

  constructor(expectedBytes = firstBytes) {
    this.#buffer = Buffer.allocUnsafe(expectedBytes);
  }

  get length(): number {
    return this.#partBytes + this.#at - this.#partStart;
  }

  /** What was written, in one piece: write nothing more. */
  finish(): Buffer {
    const parts = this.finishParts();
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** What was written, in pieces: those given to `sharedBytes` in their own memory, the rest in the writer's. Write nothing more. */
  finishParts(): Buffer[] {
    this.#endPart();
    return this.#parts;
  }

  int8(value: number): void {
    const at = this.#grow(1);
    this.#buffer.writeInt8(value, at);
  }

  int16(value: number): void {
    const at = this.#grow(2);
    this.#buffer.writeInt16BE(value, at);
  }

  uint16(value: number): void {
    const at = this.#grow(2);
    this.#buffer.writeUInt16BE(value, at);
  }

  int32(value: number): void {
    const at = this.#grow(4);
    this.#buffer.writeInt32BE(value, at);
  }

  uint32(value: number): void {
    const at = this.#grow(4);
    this.#buffer.writeUInt32BE(value, at);
  }

  int64(value: number): void {
    const at = this.#grow(8);
    writeInt64(this.#buffer, value, at);
  }

  float64(value: number): void {
    const at = this.#grow(8);
    this.#buffer.writeDoubleBE(value, at);
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  uuid(value: string): void {
    const hex = value.replaceAll('-', '');
    if (!/^[0-9a-f]{32}$/i.test(hex)) throw new TypeError(`not a UUID: ${value}`);
    const at = this.#grow(16);
    this.#buffer.write(hex, at, 'hex');
  }

  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#byte((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.#byte(rest);
  }

  varint(value: number): void {
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  varlong(value: number): void {
    // Beyond 2^52 twice the value is no longer exact as a number.
    if (Math.abs(value) < 2 ** 52) this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1);
    else this.#bigVarlong(value);
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length);
    this.#buffer.set(value, at);
  }

  /** As `bytes`, but those that are large are not copied: they must stay as they are until the parts have been used. */
  sharedBytes(value: Buffer): void {
    if (value.length < sharedBytesMin) {
      this.bytes(value);
      return;
    }
    this.#endPart();
    this.#parts.push(value);
    this.#partBytes += value.length;
  }

  /** Bytes of the text as UTF-8, without its length. */
  text(value: string, byteLength: number): void {
    const at = this.#grow(byteLength);
    this.#buffer.write(value, at, byteLength, 'utf8');
  }

  /** Puts an int32 over four bytes that were written before, and before any shared bytes. */
  int32At(at: number, value: number): void {
    (this.#parts[0] ?? this.#buffer).writeInt32BE(value, at);
  }

  #endPart(): void {
    if (this.#at === this.#partStart && this.#parts.length > 0) return;
    this.#parts.push(this.#buffer.subarray(this.#partStart, this.#at));
    this.#partBytes += this.#at - this.#partStart;
    this.#partStart = this.#at;
  }

  #bigVarlong(value: number): void {
    // As in `writeInt64`.
    const whole = value === int64Limit ? BigInt(value) - 1n : BigInt(value);
    let rest = BigInt.asUintN(64, (whole << 1n) ^ (whole >> 63n));
    while (rest >= 0x80n) {
      this.#byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.#byte(Number(rest));
  }

  #byte(value: number): void {
    const at = this.#grow(1);
    this.#buffer[at] = value;
  }

  /** Answers where the bytes go. Call it before touching the buffer, which it may replace. */
  #grow(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) return this.#replace(bytes);
    this.#at = at + bytes;
    return at;
  }

  /** Only what is in no part yet moves: the parts keep the memory that they have. */
  #replace(bytes: number): number {
    const unfinished = this.#at - this.#partStart;
    const larger = Buffer.allocUnsafe(Math.max(unfinished + bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, this.#partStart, this.#at);
    this.#buffer = larger;
    this.#partStart = 0;
    this.#at = unfinished + bytes;
    return unfinished;
  }
}
