import type { PeerAnswer } from './peer-answer.ts';

/** What this node knows of the key's partition at one moment. */
export interface LocalView {
  /** Its applied position. */
  readonly position: number;
  /** Where the partition ended when this node last heard, and never below its position. */
  readonly end: number;
  readonly caughtUp: boolean;
}

export type LookupOutcome =
  /** The log delivered the key, value or tombstone: the store has the answer. */
  | { readonly kind: 'log' }
  | { readonly kind: 'found'; readonly answer: PeerAnswer & { readonly value: object } }
  /** There is no value, as of `position`. */
  | { readonly kind: 'absent'; readonly position: number }
  /** Nobody who knows could be asked in time, and this node is still reading: not knowing is not absence. */
  | { readonly kind: 'unknown' };

/** Answers that were not used. */
export interface DroppedAnswers {
  /** From a peer that is behind this node. */
  stale: number;
  /** At a position that the log has not got. */
  forged: number;
  /** Ahead of what this node has heard of the log's end, when the log could not be asked. */
  unverified: number;
}

interface Unverified {
  readonly answer: PeerAnswer;
  /** Whether the log was asked for its end after the answer came. */
  asked: boolean;
}

/**
 * One look-up of one key that is not in memory: peers answer, the log delivers, deadlines pass, in any order. A pure state
 * machine: whoever owns it tells it what happens and looks at `outcome` after each call, which once set never changes.
 *
 * Rules. The log wins over every answer. An answer counts by the position at which its peer gave it: one below this node's own
 * position is dropped, because this node's memory is the state at a later one; of the others the highest counts, and "not
 * found" counts like a value. An answer at or past the known end of the log ends the wait. One beyond that end is not believed
 * before the log has said where it ends now: a peer that still holds a topic that was since made anew is far ahead of it.
 */
export class LookupRace {
  outcome: LookupOutcome | undefined;
  readonly dropped: DroppedAnswers = { stale: 0, forged: 0, unverified: 0 };
  readonly #local: () => LocalView;
  readonly #pending: Set<string>;
  #end = 0;
  #isAsking = false;
  #best: PeerAnswer | undefined;
  #unverified: Unverified[] = [];

  /** `local` is called whenever something is decided: this node goes on reading meanwhile. */
  constructor(peers: Iterable<string>, local: () => LocalView) {
    this.#pending = new Set(peers);
    this.#local = local;
    this.#decide(false);
  }

  /**
   * Whether an answer waits for the log to be asked where it ends; then call `endAsked`, and `endIs` or `endUnknown`. One question
   * at a time: an answer is judged by one that was sent after it came.
   */
  get wantsEnd(): boolean {
    return this.outcome === undefined && !this.#isAsking && this.#unverified.some(({ asked }) => !asked);
  }

  answered(peer: string, answer: PeerAnswer): void {
    if (this.outcome !== undefined || !this.#pending.delete(peer)) return;
    this.#unverified.push({ answer, asked: false });
    this.#decide(false);
  }

  /** The peer did not answer, or nothing that can be used. */
  failed(peer: string): void {
    if (this.outcome === undefined && this.#pending.delete(peer)) this.#decide(false);
  }

  endAsked(): void {
    this.#isAsking = true;
    for (const waiting of this.#unverified) waiting.asked = true;
  }

  /** The log ends at `end`, as asked when `endAsked` was called. */
  endIs(end: number): void {
    this.#isAsking = false;
    if (this.outcome !== undefined) return;
    this.#end = Math.max(this.#end, end);
    this.#admit();
    this.#unverified = this.#unverified.filter(({ asked }) => {
      if (asked) this.dropped.forged += 1;
      return !asked;
    });
    this.#decide(false);
  }

  /** The log did not say. */
  endUnknown(): void {
    this.#isAsking = false;
    if (this.outcome !== undefined) return;
    this.#admit();
    this.#unverified = this.#unverified.filter(({ asked }) => {
      if (asked) this.dropped.unverified += 1;
      return !asked;
    });
    this.#decide(false);
  }

  /** A record of the key was applied. */
  logDelivered(): void {
    this.outcome ??= { kind: 'log' };
  }

  /** Time is up: what is there now decides. */
  deadline(): void {
    if (this.outcome === undefined) this.#decide(true);
  }

  /** What this node read is dropped, and positions mean nothing any more. */
  abandon(): void {
    this.outcome ??= { kind: 'unknown' };
  }

  /** Answers within what is known of the log take their part in the race. */
  #admit(): void {
    const { position, end } = this.#local();
    this.#end = Math.max(this.#end, end);
    this.#unverified = this.#unverified.filter(({ answer }) => {
      if (answer.position > this.#end) return true;
      if (answer.position < position) this.dropped.stale += 1;
      else if (this.#best === undefined || outweighs(answer, this.#best)) this.#best = answer;
      return false;
    });
    if (this.#best !== undefined && this.#best.position < position) {
      this.dropped.stale += 1;
      this.#best = undefined;
    }
  }

  #decide(timeIsUp: boolean): void {
    this.#admit();
    const best = this.#best;
    const isDefinite = best !== undefined && best.position >= this.#end;
    const isOver = timeIsUp || (this.#pending.size === 0 && this.#unverified.length === 0);
    if (!isDefinite && !isOver) return;
    if (timeIsUp) this.dropped.unverified += this.#unverified.length;
    const { position, caughtUp } = this.#local();
    if (best?.value !== undefined) this.outcome = { kind: 'found', answer: { ...best, value: best.value } };
    else if (isDefinite || best?.caughtUp || caughtUp) {
      this.outcome = { kind: 'absent', position: Math.max(best?.position ?? 0, position) };
    } else this.outcome = { kind: 'unknown' };
  }
}

/** Between two nodes at the same position a value counts more: it proves that it was there. */
function outweighs(answer: PeerAnswer, best: PeerAnswer): boolean {
  if (answer.position !== best.position) return answer.position > best.position;
  return best.value === undefined && (answer.value !== undefined || answer.caughtUp);
}
