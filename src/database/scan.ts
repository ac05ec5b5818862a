import type { Clock } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import { nextTurn } from '../kernel/turns.ts';
import type { Replica } from '../replica/replica.ts';
import type { KeyRange, OrderedStore, ScanPage } from '../store/store.ts';
import { notCaughtUp } from './miss-lookup.ts';

export type { KeyRange, ScanPage } from '../store/store.ts';

/** Of one answer, in entries. */
export const scanLimitMax = 10_000;
/** A page of so many, with what a front end makes of it, takes a millisecond or two. */
export const pageEntriesMax = 500;
/** Of one answer, in bytes of keys and values: what lies ready for a client that may be slow to take it. */
const answerBytesMax = 1024 * 1024;
/** Of one answer: where entries are many that are not live any more, it ends before it has what was asked for. */
const answerPagesMax = 64;

export interface ScanOptions {
  /** undefined: the node keeps no order of its keys. */
  readonly store: OrderedStore | undefined;
  readonly replica: Replica;
  readonly clock: Clock;
}

/** Reads of the keys of all partitions in byte order, out of this node's memory. Every method throws a `BitacoraError`. */
export class Scan {
  readonly #options: ScanOptions;

  constructor(options: ScanOptions) {
    this.#options = options;
  }

  /** Throws `scan_disabled`, `not_caught_up` or `scan_not_ready` while a scan would not be of the whole. */
  check(): void {
    this.#readyStore();
  }

  /** By partition, the applied positions: what was scanned so far is not newer. */
  get positions(): readonly number[] {
    const { replica } = this.#options;
    return Array.from({ length: replica.partitions ?? 0 }, (_, partition) => replica.position(partition));
  }

  /**
   * A page, at once: as the store's (see `OrderedStore.scan`), of some hundred entries at most, so that it may have fewer than
   * `limit` and yet not be the last.
   */
  page(range: KeyRange): ScanPage {
    const limit = Math.min(range.limit, pageEntriesMax);
    return this.#readyStore().scan({ ...range, limit }, this.#options.clock.nowMs());
  }

  /**
   * The pages of one answer, each in a turn of the event loop of its own: up to `limit` entries, some mebibytes or some
   * hundred thousand entries that are not live any more. Where the scan is to go on the last one says.
   */
  async *pages(range: KeyRange): AsyncGenerator<ScanPage, void, undefined> {
    let { after, limit } = range;
    let bytesLeft = answerBytesMax;
    for (let pagesLeft = answerPagesMax - 1; ; pagesLeft -= 1) {
      await nextTurn();
      const page = this.page({ ...range, after, limit });
      yield page;
      limit -= page.entries.length;
      for (const [key, value] of page.entries) bytesLeft -= key.length + value.latin1.length;
      after = page.after;
      if (after === undefined || limit === 0 || bytesLeft <= 0 || pagesLeft === 0) return;
    }
  }

  #readyStore(): OrderedStore {
    const { store, replica } = this.#options;
    if (store === undefined) {
      const detail = 'This node keeps no order of its keys: ask another one, or start it with ORDERED_INDEX=on.';
      throw new BitacoraError('scan_disabled', detail);
    }
    const { partitions = 0 } = replica;
    let caughtUp = 0;
    while (caughtUp < partitions && replica.isCaughtUp(caughtUp)) caughtUp += 1;
    if (partitions === 0 || caughtUp < partitions) throw notCaughtUp('A scan would leave keys out.');
    if (store.isOrdered) return store;
    const detail = 'The node has read the log and is putting its keys in order. Ask again later, or another node.';
    throw new BitacoraError('scan_not_ready', detail);
  }
}
