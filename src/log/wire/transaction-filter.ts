import type { BatchHeader } from '../../protocol/record-batch.ts';

/** An aborted transaction as a Fetch answer names it: the producer, and the offset of its first record. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/**
 * Tells which batches of one answer belong to aborted transactions (KIP-98). Show it every batch, in order. A reader of committed
 * records is given the aborted transactions that touch the answer; one of uncommitted records is given none, and drops none.
 *
 * A producer has one transaction at a time, so that its next marker after the first record ends the aborted one, whatever the
 * marker says: the record in it need not be read, and may have been compacted away.
 */
export class TransactionFilter {
  /** By where they begin, the next one last. */
  readonly #coming: AbortedTransaction[];
  readonly #open = new Set<number>();

  constructor(aborted: readonly AbortedTransaction[] | null) {
    this.#coming = (aborted ?? []).toSorted((one, other) => other.firstOffset - one.firstOffset);
  }

  /** Whether the batch holds nothing for a reader: markers, or records of an aborted transaction. */
  drops({ isControl, isTransactional, producerId, lastOffset }: BatchHeader): boolean {
    for (
      let next = this.#coming.at(-1);
      next !== undefined && next.firstOffset <= lastOffset;
      next = this.#coming.at(-1)
    ) {
      this.#coming.pop();
      this.#open.add(next.producerId);
    }
    if (isControl) {
      this.#open.delete(producerId);
      return true;
    }
    return isTransactional && this.#open.has(producerId);
  }
}
