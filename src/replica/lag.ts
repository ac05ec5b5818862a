interface Sighting {
  readonly atMs: number;
  readonly end: number;
}

/**
 * How far each partition's position is behind the log, in offsets and in time: for how long an end that was seen has not
 * been reached. While the log cannot be asked, nothing new is known and the lag does not grow: a node stays useful for reads
 * when Kafka is down.
 */
export class Lag {
  readonly #oldest: (Sighting | undefined)[] = [];
  readonly #latest: (Sighting | undefined)[] = [];

  /** The log said that `partition` ends at `end`. */
  sighted(partition: number, end: number, atMs: number): void {
    this.#latest[partition] = { atMs, end };
    this.#oldest[partition] ??= { atMs, end };
  }

  /** The position of `partition` is now `position`. */
  advance(partition: number, position: number): void {
    const oldest = this.#oldest[partition];
    if (oldest === undefined || position < oldest.end) return;
    const latest = this.#latest[partition];
    this.#oldest[partition] = latest !== undefined && position < latest.end ? latest : undefined;
  }

  /** The end last seen; undefined before the first. */
  end(partition: number): number | undefined {
    return this.#latest[partition]?.end;
  }

  /** The longest that any partition has been behind. */
  ms(nowMs: number): number {
    let longest = 0;
    for (const oldest of this.#oldest) if (oldest !== undefined) longest = Math.max(longest, nowMs - oldest.atMs);
    return longest;
  }
}
