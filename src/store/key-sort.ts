import type { KeysById } from './entries.ts';
import { PagedUint32 } from './paged-uint32.ts';

/** Up to this many ids are sorted by insertion. */
const smallMax = 16;
/** What is done between two yields: as much as 512 keys read from the arena, a tenth of a millisecond once it is compiled. */
const workPerYield = 4_096;
const workOfRead = 8;
const wordBytes = 3;

/**
 * Sorts ids by key, and yields now and then: what is between two yields takes less than a millisecond. No key may change or go
 * meanwhile; where it lies may.
 *
 * Multikey quicksort (Bentley and Sedgewick) with a word of each key at hand: ids are parted by the word at one depth, and
 * those that have it in common go on with the word after it. The arena is read once for each word of a key, not once for
 * each comparison, which is what sorting by comparing would be all about: each read is a cache miss.
 *
 * Ids and words are in pages, because an array of tens of megabytes makes V8 collect garbage there and then.
 */
export function* sortByKey(ids: PagedUint32, keys: KeysById): Generator<void, void> {
  const words = new PagedUint32();
  for (let i = 0; i < ids.length; i += 1) {
    words.push(0);
    if (i % workPerYield === 0) yield;
  }
  // Ranges still to be sorted, four numbers each: start, end, depth, whether their words are at hand.
  const ranges: number[] = [0, ids.length, 0, 0];
  let work = 0;
  let random = 1;
  while (ranges.length > 0) {
    const hasWords = ranges.pop()! === 1;
    const depth = ranges.pop()!;
    const end = ranges.pop()!;
    const start = ranges.pop()!;
    if (end - start <= smallMax) {
      sortSmall(ids, start, end, keys);
      work += (end - start) * 4 * workOfRead;
      if (work >= workPerYield) {
        work = 0;
        yield;
      }
      continue;
    }
    if (!hasWords) {
      for (let i = start; i < end; i += 1) {
        words.set(i, keys.wordAt(ids.get(i), depth));
        work += workOfRead;
        if (work >= workPerYield) {
          work = 0;
          yield;
        }
      }
    }
    // The middle one of three, picked so that nobody's keys can be laid out against it.
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) & 0x7fff_ffff;
    const spread = end - start;
    const pivot = middleOf(
      words.get(start + (random % spread)) | 0,
      words.get(start + ((random >>> 8) % spread)) | 0,
      words.get(start + ((random >>> 16) % spread)) | 0,
    );
    let lessEnd = start;
    let greaterStart = end;
    for (let i = start; i < greaterStart; ) {
      const word = words.get(i) | 0;
      if (word === pivot) {
        i += 1;
      } else if (word < pivot) {
        swap(ids, i, lessEnd);
        swap(words, i, lessEnd);
        lessEnd += 1;
        i += 1;
      } else {
        greaterStart -= 1;
        swap(ids, i, greaterStart);
        swap(words, i, greaterStart);
      }
      work += 1;
      if (work >= workPerYield) {
        work = 0;
        yield;
      }
    }
    ranges.push(start, lessEnd, depth, 1, greaterStart, end, depth, 1);
    // A key that ends within the word is the only one of its kind.
    if ((pivot & 3) === wordBytes) ranges.push(lessEnd, greaterStart, depth + wordBytes, 0);
  }
}

function sortSmall(ids: PagedUint32, start: number, end: number, keys: KeysById): void {
  for (let i = start + 1; i < end; i += 1) {
    const id = ids.get(i);
    let at = i;
    while (at > start && keys.compareIds(ids.get(at - 1), id) > 0) {
      ids.set(at, ids.get(at - 1));
      at -= 1;
    }
    ids.set(at, id);
  }
}

function middleOf(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

function swap(row: PagedUint32, i: number, j: number): void {
  const held = row.get(i);
  row.set(i, row.get(j));
  row.set(j, held);
}
