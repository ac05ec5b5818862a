/** What an answer has of the memory, from before its records are read until its client has them. */
export interface AnswerRoom {
  /** As many bytes of records the answer may have. */
  readonly bytes: number;
  /** Less than was asked for. */
  readonly isShort: boolean;
  /** The answer has come out at `bytes`: what it does not need is for others. */
  keep(bytes: number): void;
  /** The answer has been sent, or nobody waits for it. May be called again. */
  free(): void;
}

/**
 * Shares out memory for the records of answers. A client may ask for much, on many connections, and read nothing of it: without a
 * limit for all of them together the answers that it leaves lying would take the whole machine. Who comes when others have it all gets a
 * little nevertheless, or those who read would be held up by those who do not.
 */
export class AnswerMemory {
  readonly #bytesMax: number;
  readonly #leastBytes: number;
  #usedBytes = 0;

  constructor({ bytesMax, leastBytes }: { readonly bytesMax: number; readonly leastBytes: number }) {
    this.#bytesMax = bytesMax;
    this.#leastBytes = leastBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** At most `wantedBytes`. The caller frees what it gets. */
  reserve(wantedBytes: number): AnswerRoom {
    const bytes = Math.min(wantedBytes, Math.max(this.#bytesMax - this.#usedBytes, this.#leastBytes));
    let heldBytes = 0;
    const hold = (wanted: number): void => {
      this.#usedBytes += wanted - heldBytes;
      heldBytes = wanted;
    };
    hold(bytes);
    return { bytes, isShort: bytes < wantedBytes, keep: hold, free: () => hold(0) };
  }
}
