interface Sighting {
  readonly atMs: number;
  readonly end: number;
}

/** The ends of one partition that were seen and are not reached, oldest first, at least `gapMs` apart. */
interface Ahead {
  sightings: Sighting[];
  gapMs: number;
}

const sightingsMax = 256;

/**
 * How far each partition's position is behind the log, in offsets and in time: for how long an end that was seen has not
 * been reached. While the log cannot be asked, nothing new is known and a node that had caught up has no lag: it stays useful
 * for reads when Kafka is down.
 */
export class Lag {
  readonly #ahead: Ahead[] = [];
  readonly #ends: number[] = [];

  /** The log said that `partition` ends at `end`. */
  sighted(partition: number, end: number, atMs: number): void {
    this.#ends[partition] = end;
    this.#ahead[partition] ??= { sightings: [], gapMs: 0 };
    const ahead = this.#ahead[partition];
    const newest = ahead.sightings.at(-1);
    if (newest !== undefined && (end <= newest.end || atMs - newest.atMs < ahead.gapMs)) return;
    ahead.sightings.push({ atMs, end });
    if (ahead.sightings.length <= sightingsMax) return;
    // A node that is behind for long: half as many sightings tell nearly as much.
    ahead.sightings = ahead.sightings.filter((_, i) => i % 2 === 0);
    ahead.gapMs = (2 * (atMs - ahead.sightings[0]!.atMs)) / sightingsMax;
  }

  /** The position of `partition` is now `position`. */
  advance(partition: number, position: number): void {
    const ahead = this.#ahead[partition];
    if (ahead === undefined) return;
    let reached = 0;
    while (reached < ahead.sightings.length && ahead.sightings[reached]!.end <= position) reached += 1;
    if (reached > 0) ahead.sightings.splice(0, reached);
    if (ahead.sightings.length === 0) ahead.gapMs = 0;
  }

  /** The end last seen; undefined before the first. */
  end(partition: number): number | undefined {
    return this.#ends[partition];
  }

  /** The longest that any partition has been behind. */
  ms(nowMs: number): number {
    let longest = 0;
    for (const { sightings } of this.#ahead) {
      const [oldest] = sightings;
      if (oldest !== undefined) longest = Math.max(longest, nowMs - oldest.atMs);
    }
    return longest;
  }
}
