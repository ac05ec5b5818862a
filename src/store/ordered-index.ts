import type { KeysById } from './entries.ts';

/** Ids in the order of their keys. */
class Leaf {
  readonly ids: Uint32Array;
  count = 0;
  /**
   * Not greater than any key of the leaf, greater than every key of the leaf before; one character a byte. The first leaf's
   * counts for nothing. Most of the way to a key leads over these, and spares one cache miss or two at each step.
   */
  readonly fence: string;

  constructor(capacity: number, fence: string) {
    this.ids = new Uint32Array(capacity);
    this.fence = fence;
  }
}

/**
 * Ids in the byte order of their keys, in leaves that are split when they are full and joined when two are sparse. Keys are read
 * where they lie: the index costs four bytes and a half to six for each key, however long the key.
 *
 * All leaves stand in one array. Splitting a leaf moves what comes after it there, which at a hundred million keys is a
 * megabyte every 512 keys: less than a tree of more levels would cost every look-up.
 */
export class OrderedIndex {
  readonly #keys: KeysById;
  readonly #leafIds: number;
  #leaves: Leaf[] = [];
  #count = 0;
  /** Where `#seek` ended. */
  #leaf = 0;
  #at = 0;

  /** `leafIds`: how many ids a leaf holds, 4 or more. */
  constructor(keys: KeysById, leafIds: number) {
    this.#keys = keys;
    this.#leafIds = leafIds;
  }

  get count(): number {
    return this.#count;
  }

  /** Without the fences. */
  get bytes(): number {
    return this.#leaves.length * (this.#leafIds * Uint32Array.BYTES_PER_ELEMENT + 8);
  }

  /** Adds an id that comes after all that are there. */
  append(id: number): void {
    let last = this.#leaves.at(-1);
    // A leaf that is quite full would be split by the first key that comes between.
    if (last === undefined || last.count * 8 >= this.#leafIds * 7) {
      last = new Leaf(this.#leafIds, this.#keys.textOf(id));
      this.#leaves.push(last);
    }
    last.ids[last.count] = id;
    last.count += 1;
    this.#count += 1;
  }

  /** Adds an id whose key, `bytes[start, end)`, is not there. */
  add(id: number, bytes: Buffer, start: number, end: number): void {
    if (this.#leaves.length === 0) this.#leaves.push(new Leaf(this.#leafIds, ''));
    this.#seek(bytes, start, end);
    let leaf = this.#leaves[this.#leaf]!;
    if (leaf.count === this.#leafIds) {
      this.#split(this.#leaf);
      if (this.#at > leaf.count) {
        this.#at -= leaf.count;
        leaf = this.#leaves[this.#leaf + 1]!;
      }
    }
    leaf.ids.copyWithin(this.#at + 1, this.#at, leaf.count);
    leaf.ids[this.#at] = id;
    leaf.count += 1;
    this.#count += 1;
  }

  /** Takes out the key `bytes[start, end)`, which is there. */
  remove(bytes: Buffer, start: number, end: number): void {
    this.#seek(bytes, start, end);
    if (this.#at === this.#leaves[this.#leaf]!.count) {
      this.#leaf += 1;
      this.#at = 0;
    }
    const leaf = this.#leaves[this.#leaf]!;
    leaf.ids.copyWithin(this.#at, this.#at + 1, leaf.count);
    leaf.count -= 1;
    this.#count -= 1;
    if (leaf.count * 2 <= this.#leafIds) this.#join(this.#leaf);
  }

  /** The ids of keys from `bytes[start, end)` on, in order. The index must not be changed meanwhile. */
  *from(bytes: Buffer, start: number, end: number): Generator<number, void> {
    if (this.#leaves.length === 0) return;
    this.#seek(bytes, start, end);
    let at = this.#at;
    for (let number = this.#leaf; number < this.#leaves.length; number += 1) {
      const { ids, count } = this.#leaves[number]!;
      for (; at < count; at += 1) yield ids[at]!;
      at = 0;
    }
  }

  clear(): void {
    this.#leaves = [];
    this.#count = 0;
  }

  /** Finds the first key that is not less; it is at `#at` in the leaf, or at the front of the next. */
  #seek(bytes: Buffer, start: number, end: number): void {
    const leaves = this.#leaves;
    const text = bytes.toString('latin1', start, end);
    let low = 0;
    let high = leaves.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (leaves[middle]!.fence <= text) low = middle;
      else high = middle - 1;
    }
    const { ids, count } = leaves[low]!;
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#keys.compareKey(ids[middle]!, bytes, start, end) < 0) from = middle + 1;
      else to = middle;
    }
    this.#leaf = low;
    this.#at = from;
  }

  #split(number: number): void {
    const leaf = this.#leaves[number]!;
    const half = leaf.count >>> 1;
    const other = new Leaf(this.#leafIds, this.#keys.textOf(leaf.ids[half]!));
    other.ids.set(leaf.ids.subarray(half, leaf.count));
    other.count = leaf.count - half;
    leaf.count = half;
    this.#leaves.splice(number + 1, 0, other);
  }

  /** Puts the leaf together with a neighbour when that leaves room for more; an empty one goes in any case. */
  #join(number: number): void {
    const leaf = this.#leaves[number]!;
    if (leaf.count === 0) {
      this.#leaves.splice(number, 1);
      return;
    }
    const left = number > 0 ? number - 1 : number;
    const [first, second] = [this.#leaves[left]!, this.#leaves[left + 1]];
    if (second === undefined || (first.count + second.count) * 4 > this.#leafIds * 3) return;
    first.ids.set(second.ids.subarray(0, second.count), first.count);
    first.count += second.count;
    this.#leaves.splice(left + 1, 1);
  }
}
