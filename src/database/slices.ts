import { BitacoraError } from '../kernel/errors.ts';
import { nextTurn } from '../kernel/turns.ts';

/** Few enough to take some milliseconds at most, whatever is done with each. */
const sliceItems = 128;

/**
 * What `work` comes to for each item, in their order. Works on a slice at a time, the next one when all of the last is done, and
 * lets others have their turn in between.
 */
export async function inSlices<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (let from = 0; from < items.length; from += sliceItems) {
    if (from > 0) await nextTurn();
    for (const result of await Promise.all(items.slice(from, from + sliceItems).map(work))) results.push(result);
  }
  return results;
}

/** Work on many items. */
export interface Batch<Out> {
  /** Resolves when the work on every item has begun, in their order. */
  readonly begun: Promise<void>;
  /** What it comes to for each, in their order. */
  readonly results: Promise<Out[]>;
}

/** Begins the work on a slice at a time, without waiting for what it comes to, and lets others have their turn in between. */
export function beginInSlices<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Batch<Out> {
  const all: Promise<Out>[] = [];
  const beginAll = async () => {
    for (let from = 0; from < items.length; from += sliceItems) {
      if (from > 0) await nextTurn();
      for (const item of items.slice(from, from + sliceItems)) {
        const result = work(item);
        // Whoever waits for the results hears of it later; until then nobody does, which would end the process.
        result.catch(() => {});
        all.push(result);
      }
    }
  };
  const begun = beginAll();
  return { begun, results: begun.then(() => Promise.all(all)) };
}

/** An error as the answer to one of several; a fault of ours is that of all. */
export async function errorAsAnswer<Out>(work: () => Out | Promise<Out>): Promise<Out | BitacoraError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BitacoraError) return error;
    throw error;
  }
}
