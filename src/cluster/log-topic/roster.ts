export interface RosterLimits {
  /** A node that was not heard for longer is not alive. */
  readonly expireAfterMs: number;
  /** One that was not heard for longer will not come back: nothing more is known of it. */
  readonly forgetAfterMs: number;
  /** Nodes known at one time, alive or not. */
  readonly nodesMax: number;
}

/**
 * Who is alive, by when heartbeats are received: other nodes' clocks do not count. A node is silent while heartbeats arrive and
 * its own do not; time in which none arrive at all (the log is down) is nobody's silence.
 */
export class Roster {
  readonly #limits: RosterLimits;
  /** For how long each node has been silent. Who was heard last stands last. */
  readonly #silentMs = new Map<string, number>();

  constructor(limits: RosterLimits) {
    this.#limits = limits;
  }

  /** Those who are alive keep their places: a newcomer takes that of a silent node, or none. */
  heard(id: string): void {
    const isKnown = this.#silentMs.delete(id);
    if (!isKnown && this.#silentMs.size >= this.#limits.nodesMax) {
      const [longestSilent] = this.#silentMs;
      if (longestSilent === undefined || longestSilent[1] <= this.#limits.expireAfterMs) return;
      this.#silentMs.delete(longestSilent[0]);
    }
    this.#silentMs.set(id, 0);
  }

  /** The node has left. */
  gone(id: string): void {
    this.#silentMs.delete(id);
  }

  knows(id: string): boolean {
    return this.#silentMs.has(id);
  }

  /** Time has passed in which the log carried heartbeats. Answers who is forgotten. */
  pass(elapsedMs: number): readonly string[] {
    const forgotten: string[] = [];
    for (const [id, silentMs] of this.#silentMs) {
      const sumMs = silentMs + elapsedMs;
      if (sumMs > this.#limits.forgetAfterMs) forgotten.push(id);
      else this.#silentMs.set(id, sumMs);
    }
    for (const id of forgotten) this.#silentMs.delete(id);
    return forgotten;
  }

  alive(): string[] {
    const ids: string[] = [];
    for (const [id, silentMs] of this.#silentMs) if (silentMs <= this.#limits.expireAfterMs) ids.push(id);
    return ids;
  }
}
