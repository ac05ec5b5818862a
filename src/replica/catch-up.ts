/** How far a node has read of what was there when it started. */
export interface CatchUpProgress {
  /** Offsets read and to be read; compaction leaves gaps, so records may be fewer. */
  readonly offsetsDone: number;
  readonly offsetsTotal: number;
  readonly percent: number;
  readonly offsetsPerSecond: number;
  /** undefined until there is a rate to go by. */
  readonly remainingMs: number | undefined;
}

/**
 * Catch-up: a partition is caught up once its position has reached the end that was read after start-up, and stays so. The
 * node is caught up when all of its partitions are.
 */
export class CatchUp {
  readonly #starts: readonly number[];
  readonly #targets: readonly number[];
  readonly #startedMs: number;
  readonly #behind: Set<number>;

  /** `starts` and `targets` by partition. */
  constructor(starts: readonly number[], targets: readonly number[], startedMs: number) {
    // Copies: a caller's array of positions goes on changing.
    this.#starts = [...starts];
    this.#targets = [...targets];
    this.#startedMs = startedMs;
    this.#behind = new Set(targets.keys());
    for (const [partition, start] of starts.entries()) this.advance(partition, start);
  }

  get done(): boolean {
    return this.#behind.size === 0;
  }

  isCaughtUp(partition: number): boolean {
    return !this.#behind.has(partition);
  }

  advance(partition: number, position: number): void {
    if (position >= (this.#targets[partition] ?? 0)) this.#behind.delete(partition);
  }

  progress(positions: readonly number[], nowMs: number): CatchUpProgress {
    let offsetsDone = 0;
    let offsetsTotal = 0;
    for (const [partition, target] of this.#targets.entries()) {
      const start = this.#starts[partition] ?? 0;
      offsetsTotal += target - start;
      offsetsDone += Math.min(positions[partition] ?? start, target) - start;
    }
    const elapsedMs = nowMs - this.#startedMs;
    const offsetsPerSecond = elapsedMs > 0 ? (offsetsDone * 1000) / elapsedMs : 0;
    return {
      offsetsDone,
      offsetsTotal,
      percent: offsetsTotal === 0 ? 100 : Math.floor((offsetsDone * 100) / offsetsTotal),
      offsetsPerSecond: Math.round(offsetsPerSecond),
      remainingMs:
        offsetsPerSecond > 0 ? Math.round(((offsetsTotal - offsetsDone) * 1000) / offsetsPerSecond) : undefined,
    };
  }
}
