const firstSlots = 1024;
const firstArenaBytes = 16 * 1024;
/** Of a key, beside its bytes: offset 8, end 4, hash 4, and slots 4 at a load of a quarter to a half. */
const keyOverheadBytes = 28;
const fnvPrime = 0x0100_0193;

/**
 * Last offset of each key, with the keys' own bytes, so that no two keys are ever taken for one. Open addressing: a slot holds the
 * number of an entry plus one; keys lie one after the other in an arena.
 */
export class OffsetMap {
  readonly #bytesMax: number;
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000);
  #slots = new Uint32Array(firstSlots);
  #count = 0;
  #offsets = new Float64Array(firstSlots / 2);
  /** Where the key of each entry ends in the arena; it begins where the one before ends. */
  #ends = new Uint32Array(firstSlots / 2);
  /** Kept, so that the slots can grow without a look at the keys, and most keys be told apart without one. */
  #hashes = new Int32Array(firstSlots / 2);
  #arena = Buffer.allocUnsafe(firstArenaBytes);

  /** `bytesMax`: what the map may take before it says that it is full. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#arenaEnd + this.#count * keyOverheadBytes >= this.#bytesMax;
  }

  /** The key is the bytes of `buffer` from `start` on. */
  put(buffer: Buffer, start: number, length: number, offset: number): void {
    const hash = this.#hash(buffer, start, length);
    const slot = this.#slotOf(hash, buffer, start, length);
    const held = this.#slots[slot]!;
    if (held > 0) {
      this.#offsets[held - 1] = offset;
      return;
    }
    this.#ensureRoom(length);
    const at = this.#arenaEnd;
    buffer.copy(this.#arena, at, start, start + length);
    this.#ends[this.#count] = at + length;
    this.#offsets[this.#count] = offset;
    this.#hashes[this.#count] = hash;
    this.#count += 1;
    this.#slots[slot] = this.#count;
    if (this.#count * 2 > this.#slots.length) this.#growSlots();
  }

  /** -1: the key is not here. */
  get(buffer: Buffer, start: number, length: number): number {
    const held = this.#slots[this.#slotOf(this.#hash(buffer, start, length), buffer, start, length)]!;
    return held > 0 ? this.#offsets[held - 1]! : -1;
  }

  get #arenaEnd(): number {
    return this.#count === 0 ? 0 : this.#ends[this.#count - 1]!;
  }

  /** The slot that has the key, or the free one where it would be. */
  #slotOf(hash: number, buffer: Buffer, start: number, length: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const held = this.#slots[slot]!;
      if (held === 0) return slot;
      if (this.#hashes[held - 1] === hash && this.#hasKey(held - 1, buffer, start, length)) return slot;
    }
  }

  #hasKey(entry: number, buffer: Buffer, start: number, length: number): boolean {
    const end = this.#ends[entry]!;
    const from = entry === 0 ? 0 : this.#ends[entry - 1]!;
    return end - from === length && this.#arena.compare(buffer, start, start + length, from, end) === 0;
  }

  /** FNV-1a, its bits mixed once more as in MurmurHash3. */
  #hash(buffer: Buffer, start: number, length: number): number {
    let hash = this.#seed;
    for (let at = start; at < start + length; at += 1) hash = Math.imul(hash ^ buffer[at]!, fnvPrime);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
    return hash ^ (hash >>> 16);
  }

  #ensureRoom(keyBytes: number): void {
    const needed = this.#arenaEnd + keyBytes;
    if (needed > this.#arena.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#arena.length * 2));
      this.#arena.copy(larger, 0, 0, this.#arenaEnd);
      this.#arena = larger;
    }
    if (this.#count < this.#offsets.length) return;
    const offsets = new Float64Array(this.#count * 2);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const ends = new Uint32Array(this.#count * 2);
    ends.set(this.#ends);
    this.#ends = ends;
    const hashes = new Int32Array(this.#count * 2);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
  }

  #growSlots(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let entry = 0; entry < this.#count; entry += 1) {
      let slot = this.#hashes[entry]! & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry + 1;
    }
  }
}
