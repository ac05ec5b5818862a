import type { BatchHeader } from '../../protocol/record-batch.ts';
import type { AbortedTransaction } from './aborted-transactions.ts';

interface OpenAborted {
  readonly transaction: AbortedTransaction;
  hasBatches: boolean;
}

/** What compaction may do with a marker. */
export interface MarkerFate {
  /** Nothing is left of the transaction, so once readers had their time the marker says nothing. */
  readonly canGo: boolean;
  /** To be put in the index with the marker. */
  readonly aborted: AbortedTransaction | undefined;
}

/**
 * Tells compaction which batches belong to aborted transactions, and which markers have nothing left to end. It is shown the batches
 * of the log in order.
 */
export class TransactionFilter {
  /** By where they begin, the next one last. */
  readonly #coming: AbortedTransaction[];
  readonly #openAborted = new Map<number, OpenAborted>();
  readonly #committing = new Set<number>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#coming = aborted.toSorted((one, other) => other.firstOffset - one.firstOffset);
  }

  /** Whether the batch, which is not a control batch, belongs to an aborted transaction. */
  isAborted({ isTransactional, producerId, lastOffset }: BatchHeader): boolean {
    this.#openUpTo(lastOffset);
    if (!isTransactional) return false;
    const open = this.#openAborted.get(producerId);
    if (open === undefined) {
      this.#committing.add(producerId);
      return false;
    }
    open.hasBatches = true;
    return true;
  }

  marker({ producerId, lastOffset }: BatchHeader, commit: boolean): MarkerFate {
    this.#openUpTo(lastOffset);
    if (commit) return { canGo: !this.#committing.delete(producerId), aborted: undefined };
    const open = this.#openAborted.get(producerId);
    this.#openAborted.delete(producerId);
    return open?.hasBatches ? { canGo: false, aborted: open.transaction } : { canGo: true, aborted: undefined };
  }

  #openUpTo(offset: number): void {
    for (let next = this.#coming.at(-1); next !== undefined && next.firstOffset <= offset; next = this.#coming.at(-1)) {
      this.#coming.pop();
      this.#openAborted.set(next.producerId, { transaction: next, hasBatches: false });
    }
  }
}
