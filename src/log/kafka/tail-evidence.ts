interface Claim {
  readonly position: number;
  readonly end: number;
  readonly leader: string;
  readonly fetchesBefore: number;
}

/**
 * Finds out that nothing readable lies between a reader's position and a partition's end, when the reader itself cannot say.
 *
 * kafkajs reports a fetched batch only if it holds at least one record. A batch that compaction has emptied is dropped
 * without a trace and the position stays before it, so "position = end" may never come. What can be seen is that a broker
 * answered a Fetch. The rule: the end was looked up; after that the partition's leader answered two Fetches, and neither
 * brought anything of this partition. Two, because kafkajs starts a Fetch to a broker only when everything that the one
 * before brought has been processed; and the partition took part in both, because the reader shares its byte limits out so
 * that no partition can crowd out another. Any other event (a rejoin, a seek, an error) voids the evidence.
 */
export class TailEvidence {
  readonly #fetches = new Map<string, number>();
  readonly #claims = new Map<number, Claim>();

  /** The broker (`host:port`) answered a Fetch. */
  fetchAnswered(broker: string): void {
    this.#fetches.set(broker, (this.#fetches.get(broker) ?? 0) + 1);
  }

  /** Something of this partition arrived. */
  arrived(partition: number): void {
    this.#claims.delete(partition);
  }

  /** Fetches may have gone elsewhere or failed: what was seen so far proves nothing. */
  disturbed(): void {
    this.#claims.clear();
  }

  /**
   * Tells that the reader stands at `position` while the partition ends at `end`, led by `leader`; call it again and again.
   * Answers the position up to which the partition is known to be empty, once it is.
   */
  examine(partition: number, position: number, end: number, leader: string): number | undefined {
    const fetches = this.#fetches.get(leader) ?? 0;
    const claim = this.#claims.get(partition);
    if (claim === undefined || claim.position !== position || claim.leader !== leader) {
      this.#claims.set(partition, { position, end, leader, fetchesBefore: fetches });
      return undefined;
    }
    if (fetches - claim.fetchesBefore < 2) return undefined;
    this.#claims.delete(partition);
    return claim.end;
  }
}
