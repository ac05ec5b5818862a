import type { StoredValue } from '../store/store.ts';
import type { PeerAnswer } from './peer-answer.ts';

/** What this node knows of the key's partition at one moment. */
export interface LocalView {
  /** Its applied position. */
  readonly position: number;
  /** Where the partition ended when this node last heard, and never below its position. */
  readonly end: number;
  readonly caughtUp: boolean;
  /** By which values expire, in milliseconds since the epoch. */
  readonly nowMs: number;
}

export type LookupOutcome =
  /** The log delivered the key, value or tombstone: the store has the answer. */
  | { readonly kind: 'log' }
  /** A peer has this value, which was the key's at `position`. */
  | { readonly kind: 'found'; readonly position: number; readonly value: StoredValue }
  /** There is no value, as of `position`, by what a peer has read or this node itself. */
  | { readonly kind: 'absent'; readonly position: number; readonly source: 'peer' | 'log' }
  /**
   * Not knowing is not absence. Nobody who knows could be asked in time and this node is still reading; or a peer has shown a value
   * from beyond the end of the log that this node has heard of, and the log could not be asked (`shown`).
   */
  | { readonly kind: 'unknown'; readonly shown: boolean };

/** Answers that were not used. */
export interface DroppedAnswers {
  /** From a peer that is behind this node. */
  stale: number;
  /** At a position that the log has not got. */
  forged: number;
  /** Ahead of what this node has heard of the log's end, when the log could not be asked. */
  unverified: number;
  /** A value whose record this node has read past without finding it: a later one has replaced it. */
  contradicted: number;
  /** Nothing under the key, from a peer that is still reading the log. */
  unread: number;
}

/** An answer from beyond the end of the log that is known here. */
interface Ahead {
  readonly answer: PeerAnswer;
  /** What came of asking the log about it: no question yet, one under way, or one that had no answer. */
  inquiry: 'none' | 'open' | 'failed';
}

/** An answer within the known log. It tells the state of the key at `position` exactly. */
interface State {
  readonly position: number;
  readonly value: StoredValue | undefined;
}

/**
 * One look-up of one key that is not in memory: peers answer, the log delivers, deadlines pass, in any order. A pure state
 * machine: whoever owns it tells it what happens and looks at `outcome` after each call, which once set never changes.
 *
 * Rules. The log wins over every answer. An answer counts by the position of which it tells the state of the key: one below this
 * node's own position is dropped, because this node's memory is the state at a later one; of the others the highest counts, and
 * "not found" counts like a value. An answer at or past the known end of the log ends the wait. One beyond that end is not believed
 * before the log has said where it ends now: a peer that still holds a topic that was since made anew is far ahead of it. Until
 * then, and for good if the log does not say, a value shown there keeps any "not found" from below its record from being the
 * answer.
 *
 * The hard case is compaction. A node that has read a part of the log has not got the state at its position: a record that it
 * should have found there may have been compacted away because of a later one that it has not come to. So "not found" of a peer
 * that has not caught up says nothing, and a value of such a peer is the state right behind its record, not at the peer's
 * position. For the same reason a value is dropped whose record this node has read past.
 */
export class LookupRace {
  outcome: LookupOutcome | undefined;
  readonly dropped: DroppedAnswers = { stale: 0, forged: 0, unverified: 0, contradicted: 0, unread: 0 };
  readonly #local: () => LocalView;
  readonly #pending: Set<string>;
  #end = 0;
  #isAsking = false;
  #states: State[] = [];
  #ahead: Ahead[] = [];

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
    return this.outcome === undefined && !this.#isAsking && this.#ahead.some(({ inquiry }) => inquiry === 'none');
  }

  answered(peer: string, answer: PeerAnswer): void {
    if (this.outcome !== undefined || !this.#pending.delete(peer)) return;
    const isLive = answer.value !== undefined && !hasExpired(answer.value, this.#local().nowMs);
    if (isLive || answer.caughtUp) {
      this.#ahead.push({ answer: isLive ? answer : { ...answer, value: undefined }, inquiry: 'none' });
    } else this.dropped.unread += 1;
    this.#decide(false);
  }

  /** The peer did not answer, or nothing that can be used. */
  failed(peer: string): void {
    if (this.outcome === undefined && this.#pending.delete(peer)) this.#decide(false);
  }

  endAsked(): void {
    this.#isAsking = true;
    for (const waiting of this.#ahead) waiting.inquiry = 'open';
  }

  /** The log ends at `end`, as asked when `endAsked` was called. */
  endIs(end: number): void {
    this.#isAsking = false;
    if (this.outcome !== undefined) return;
    this.#end = Math.max(this.#end, end);
    this.#admit();
    this.#ahead = this.#ahead.filter(({ inquiry }) => {
      if (inquiry === 'open') this.dropped.forged += 1;
      return inquiry !== 'open';
    });
    this.#decide(false);
  }

  /** The log did not say. */
  endUnknown(): void {
    this.#isAsking = false;
    if (this.outcome !== undefined) return;
    for (const waiting of this.#ahead) if (waiting.inquiry === 'open') waiting.inquiry = 'failed';
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
    this.outcome ??= { kind: 'unknown', shown: false };
  }

  /** Answers within what is known of the log take their part in the race, as long as this node has not passed them. */
  #admit(): void {
    const { position, end } = this.#local();
    this.#end = Math.max(this.#end, end);
    this.#ahead = this.#ahead.filter(({ answer }) => {
      const isAhead = answer.position > this.#end;
      if (answer.position < position) this.dropped.stale += 1;
      else if (isPassed(answer.value, position)) this.dropped.contradicted += 1;
      else if (isAhead) return true;
      else this.#states.push(stateOf(answer));
      return false;
    });
    this.#states = this.#states.filter((state) => {
      if (state.position < position) this.dropped.stale += 1;
      else if (isPassed(state.value, position)) this.dropped.contradicted += 1;
      else return true;
      return false;
    });
  }

  #decide(timeIsUp: boolean): void {
    this.#admit();
    const best = this.#states.reduce<State | undefined>(
      (a, b) => (a === undefined || outweighs(b, a) ? b : a),
      undefined,
    );
    const shownOffset = Math.max(-1, ...this.#ahead.map(({ answer }) => answer.value?.offset ?? -1));
    const isDefinite =
      best !== undefined && best.position >= this.#end && (best.value !== undefined || best.position > shownOffset);
    const isOver = timeIsUp || (this.#pending.size === 0 && this.#ahead.every(({ inquiry }) => inquiry === 'failed'));
    if (!isDefinite && !isOver) return;
    this.dropped.unverified += this.#ahead.filter(({ inquiry }) => timeIsUp || inquiry === 'failed').length;
    const { position, caughtUp } = this.#local();
    if (best?.value !== undefined) this.outcome = { kind: 'found', position: best.position, value: best.value };
    else if (best !== undefined && best.position > shownOffset) {
      this.outcome = { kind: 'absent', position: best.position, source: 'peer' };
    } else if (best === undefined && caughtUp && position > shownOffset) {
      this.outcome = { kind: 'absent', position, source: 'log' };
    } else this.outcome = { kind: 'unknown', shown: shownOffset >= 0 };
  }
}

function hasExpired({ expiresAtMs }: StoredValue, nowMs: number): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs;
}

/** Whether a node at `position` that has not got the value has read past its record. */
function isPassed(value: StoredValue | undefined, position: number): boolean {
  return value !== undefined && value.offset < position;
}

function stateOf({ position, caughtUp, value }: PeerAnswer): State {
  return value === undefined || caughtUp ? { position, value } : { position: value.offset + 1, value };
}

/** At the same position a value counts more: it proves that it was there. */
function outweighs(a: State, b: State): boolean {
  if (a.position !== b.position) return a.position > b.position;
  return (a.value?.offset ?? -1) > (b.value?.offset ?? -1);
}
