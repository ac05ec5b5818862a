import type { KeysByReference } from './entries.ts';

const firstSlots = 64;
/** Of ten slots, this many are used at most. */
const usedTenthsMax = 8;
const depthMax = 24;
/** The directory is doubled only while it would have no more places than this for each segment. */
const placesPerSegmentMax = 8;
/** Of ten slots, this many are used on average in a table that was made for a number of entries. */
const presizedTenths = 7;
const segmentsPerYield = 64;

/** A small table of its own. Slot i has its hash at 2i and its reference at 2i + 1; 0 there is an empty slot. */
class Segment {
  slots: Int32Array;
  used = 0;
  /** How many leading bits all its hashes have in common. */
  depth: number;

  constructor(slots: number, depth: number) {
    this.slots = new Int32Array(2 * slots);
    this.depth = depth;
  }

  get slotCount(): number {
    return this.slots.length / 2;
  }
}

/**
 * From keys to the references of their entries, by hash.
 *
 * Extendible hashing: leading bits of the hash choose a segment through a directory, its other bits the slot in the
 * segment, and from there it is open addressing, slot by slot. A full segment is split in two by its next bit, so growing
 * never touches more than one segment (a fraction of a millisecond), whatever the size of the whole. Slots hold whole hashes:
 * splitting reads no keys, and a look-up reads, but for one time in millions, no key but the right one.
 *
 * The hard case is hashes that splitting does not part. A directory that would be doubled for their sake, over and over,
 * is not; their segment is, in place, and look-ups among them are slow. No keys that anybody can choose do that, as
 * nobody knows the seed of the hash.
 */
export class KeyTable {
  readonly #keys: KeysByReference;
  readonly #segmentSlots: number;
  #directory: Segment[] = [];
  #depth = 0;
  #segments = 0;
  #slotBytes = 0;
  /** What a segment held before it was made anew; only grows. */
  #scratch = new Int32Array(0);

  /** `segmentSlots`, a power of two: how large a segment is when it is split. */
  constructor(keys: KeysByReference, segmentSlots: number) {
    this.#keys = keys;
    this.#segmentSlots = segmentSlots;
    this.clear();
  }

  get bytes(): number {
    return this.#slotBytes + this.#scratch.byteLength + this.#directory.length * 8;
  }

  /** The reference of the key `bytes[start, end)`, 0 when it is not there. */
  find(hash: number, bytes: Buffer, start: number, end: number): number {
    const { slots } = this.#segmentOf(hash);
    const mask = slots.length - 1;
    for (let at = (hash << 1) & mask; ; at = (at + 2) & mask) {
      const reference = slots[at + 1]! >>> 0;
      if (reference === 0) return 0;
      if (slots[at] === hash && this.#keys.hasKey(reference, bytes, start, end)) return reference;
    }
  }

  /** Adds a reference whose key is not there. */
  add(hash: number, reference: number): void {
    let segment = this.#segmentOf(hash);
    while ((segment.used + 1) * 10 > segment.slotCount * usedTenthsMax) {
      this.#makeRoom(segment, hash);
      segment = this.#segmentOf(hash);
    }
    place(segment.slots, hash, reference);
    segment.used += 1;
  }

  /** Puts one reference in the place of another, which is there. */
  move(hash: number, from: number, to: number): void {
    const { slots } = this.#segmentOf(hash);
    slots[slotOf(slots, hash, from) + 1] = to;
  }

  /** Takes out a reference that is there. */
  remove(hash: number, reference: number): void {
    const segment = this.#segmentOf(hash);
    const { slots } = segment;
    const mask = slots.length - 1;
    let hole = slotOf(slots, hash, reference);
    // What comes after the hole moves into it, unless it would then stand before its first slot, until there is an empty one.
    for (let at = (hole + 2) & mask; slots[at + 1] !== 0; at = (at + 2) & mask) {
      const first = (slots[at]! << 1) & mask;
      if (((at - first) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at]!;
      slots[hole + 1] = slots[at + 1]!;
      hole = at;
    }
    slots[hole + 1] = 0;
    segment.used -= 1;
  }

  /** The slots of the segment that `hash` belongs to, and where its hashes end; hashes here are without sign, and end at 2^32. */
  segmentAt(hash: number): { readonly slots: Int32Array; readonly end: number } {
    const { slots, depth } = this.#segmentOf(hash);
    const span = 2 ** (32 - depth);
    return { slots, end: (Math.floor(hash / span) + 1) * span };
  }

  /** Makes an empty table as large as so many entries need it, step by step: adding them splits next to nothing then. */
  *presize(count: number): Generator<void, void> {
    let depth = 0;
    while (depth < depthMax && count * 10 > 2 ** depth * this.#segmentSlots * presizedTenths) depth += 1;
    if (depth === 0) return;
    const segments: Segment[] = [];
    while (segments.length < 2 ** depth) {
      segments.push(new Segment(this.#segmentSlots, depth));
      if (segments.length % segmentsPerYield === 0) yield;
    }
    this.#directory = segments;
    this.#depth = depth;
    this.#segments = segments.length;
    this.#slotBytes = segments.length * segments[0]!.slots.byteLength;
  }

  clear(): void {
    const segment = new Segment(Math.min(firstSlots, this.#segmentSlots), 0);
    this.#directory = [segment];
    this.#depth = 0;
    this.#segments = 1;
    this.#slotBytes = segment.slots.byteLength;
  }

  #segmentOf(hash: number): Segment {
    // A shift by 32 would be one by 0.
    return this.#directory[(hash >>> 1) >>> (31 - this.#depth)]!;
  }

  #makeRoom(segment: Segment, hash: number): void {
    if (segment.slotCount < this.#segmentSlots || !this.#canSplit(segment)) this.#double(segment);
    else this.#split(segment, hash);
  }

  #canSplit({ depth }: Segment): boolean {
    if (depth < this.#depth) return true;
    return depth < depthMax && this.#directory.length * 2 <= placesPerSegmentMax * (this.#segments + 1);
  }

  #double(segment: Segment): void {
    const old = segment.slots;
    segment.slots = new Int32Array(2 * old.length);
    this.#slotBytes += old.byteLength;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) place(segment.slots, old[at]!, old[at + 1]!);
    }
  }

  #split(segment: Segment, hash: number): void {
    if (segment.depth === this.#depth) {
      // Each place becomes two, side by side.
      const doubled = new Array<Segment>(this.#directory.length * 2);
      for (let i = 0; i < doubled.length; i += 1) doubled[i] = this.#directory[i >>> 1]!;
      this.#directory = doubled;
      this.#depth += 1;
    }
    const { slots, depth } = segment;
    if (this.#scratch.length < slots.length) this.#scratch = new Int32Array(slots.length);
    const old = this.#scratch.subarray(0, slots.length);
    old.set(slots);
    slots.fill(0);
    segment.depth += 1;
    segment.used = 0;
    const other = new Segment(segment.slotCount, segment.depth);
    this.#segments += 1;
    this.#slotBytes += other.slots.byteLength;
    const bit = 1 << (31 - depth);
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] === 0) continue;
      const half = (old[at]! & bit) === 0 ? segment : other;
      place(half.slots, old[at]!, old[at + 1]!);
      half.used += 1;
    }
    // The segment had a row of places in the directory; the second half of the row is the other's.
    const places = 2 ** (this.#depth - segment.depth);
    const row = (((hash >>> 1) >>> (31 - this.#depth)) & ~(2 * places - 1)) + places;
    this.#directory.fill(other, row, row + places);
  }
}

/** Where the hash of a reference that is there stands. References are signed in the slots, as all numbers there are. */
function slotOf(slots: Int32Array, hash: number, reference: number): number {
  const mask = slots.length - 1;
  const signed = reference | 0;
  let at = (hash << 1) & mask;
  while (slots[at + 1] !== signed) {
    // It would be looked for without end.
    if (slots[at + 1] === 0) throw new Error('an entry is not in the table under the hash of its key');
    at = (at + 2) & mask;
  }
  return at;
}

function place(slots: Int32Array, hash: number, reference: number): void {
  const mask = slots.length - 1;
  let at = (hash << 1) & mask;
  while (slots[at + 1] !== 0) at = (at + 2) & mask;
  slots[at] = hash;
  slots[at + 1] = reference;
}
