/** One broker as the consumer's fetch loop for it shows itself. */
interface Loop {
  /** Rounds of the loop that came to their end: fetched without an error, and all that was fetched processed. */
  rounds: number;
  /** Those of them in which the broker answered a Fetch that no byte limit can have cut short. */
  answers: number;
  returned: boolean;
  answered: boolean;
}

interface Claim {
  readonly position: number;
  readonly end: number;
  readonly leader: number;
  readonly before: ReadonlyMap<number, { readonly rounds: number; readonly answers: number }>;
}

/**
 * Finds out that nothing readable lies between a reader's position and a partition's end, when the reader itself cannot say.
 *
 * kafkajs reports a fetched batch only if it holds at least one record. A batch that compaction has emptied is dropped
 * without a trace and the position stays before it, so "position = end" may never come. What can be seen are the rounds of its
 * fetch loops, one loop for each broker.
 *
 * The rule: the end was looked up; after that the partition's leader answered two Fetches that were processed to their end, and
 * nothing of the partition arrived. Two, because the first may have been sent before. Why that is proof:
 * - A round counts when the next one starts: then what it brought has been through the handler. One that failed, be it that a
 *   batch could not be decoded, does not count.
 * - The partition had room in both answers: the reader allows each partition the topic's largest batch, and an answer that
 *   came near the limit of a whole answer does not count.
 * - Every other broker's loop went round twice as well, so no fetch of the partition hangs at a former leader.
 * Any other event (a rejoin, a seek, a disturbance) voids what was seen.
 */
export class TailEvidence {
  readonly #loops = new Map<number, Loop>();
  readonly #claims = new Map<number, Claim>();

  /** The loop of a broker begins a round, and so has ended the one before. */
  roundStarts(nodeId: number): void {
    const loop = this.#loops.get(nodeId) ?? { rounds: 0, answers: 0, returned: false, answered: false };
    if (loop.returned) {
      loop.rounds += 1;
      if (loop.answered) loop.answers += 1;
    }
    loop.returned = false;
    loop.answered = false;
    this.#loops.set(nodeId, loop);
  }

  /** The broker answered a Fetch, and no byte limit cut the answer short. */
  answered(nodeId: number): void {
    const loop = this.#loops.get(nodeId);
    if (loop !== undefined) loop.answered = true;
  }

  /** The Fetch of this round returned without an error. */
  returned(nodeId: number): void {
    const loop = this.#loops.get(nodeId);
    if (loop !== undefined) loop.returned = true;
  }

  /** Something of this partition arrived. */
  arrived(partition: number): void {
    this.#claims.delete(partition);
  }

  /** Fetches may have gone elsewhere or failed: what was seen so far proves nothing. */
  disturbed(): void {
    this.#claims.clear();
    this.#loops.clear();
  }

  /**
   * Tells that the reader stands at `position` while the partition ends at `end`, led by the broker `leader`; call it again
   * and again. Answers the position up to which the partition is known to be empty, once it is.
   */
  examine(partition: number, position: number, end: number, leader: number): number | undefined {
    const claim = this.#claims.get(partition);
    if (claim === undefined || claim.position !== position || claim.leader !== leader) {
      const before = new Map([...this.#loops].map(([nodeId, { rounds, answers }]) => [nodeId, { rounds, answers }]));
      this.#claims.set(partition, { position, end, leader, before });
      return undefined;
    }
    const since = (nodeId: number, count: 'rounds' | 'answers') =>
      (this.#loops.get(nodeId)?.[count] ?? 0) - (claim.before.get(nodeId)?.[count] ?? 0);
    if (since(leader, 'answers') < 2) return undefined;
    for (const nodeId of this.#loops.keys()) if (since(nodeId, 'rounds') < 2) return undefined;
    this.#claims.delete(partition);
    return claim.end;
  }
}
