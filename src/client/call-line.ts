import type { Call } from './call.ts';

/** A call's place in a line. */
export interface Place {
  readonly call: Call;
  before: Place | undefined;
  after: Place | undefined;
}

/**
 * Calls one behind the other, any of which may step out. A Set would do, and costs more than everything else about a call, for the
 * reason that `PendingCalls` gives. Who has stepped out refers to nobody: else one that has grown old would keep all that came
 * after it.
 */
export class CallLine implements Iterable<Call> {
  #first: Place | undefined;
  #last: Place | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): Call | undefined {
    return this.#first?.call;
  }

  add(call: Call): Place {
    const place: Place = { call, before: this.#last, after: undefined };
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size += 1;
    return place;
  }

  /** `place` is one that `add` gave and that was not deleted. */
  delete(place: Place): void {
    const { before, after } = place;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    place.before = undefined;
    place.after = undefined;
    this.#size -= 1;
  }

  /** From the first to the last. The one that was given last may be deleted meanwhile. */
  *[Symbol.iterator](): IterableIterator<Call> {
    for (let place = this.#first; place !== undefined; ) {
      const { call, after }: Place = place;
      yield call;
      place = after;
    }
  }
}
