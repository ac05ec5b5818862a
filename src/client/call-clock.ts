import { systemClock } from '../kernel/clock.ts';
import type { Call } from './call.ts';
import { CallLine } from './call-line.ts';

/**
 * Tells of calls whose time is up. All have the same time, so that the first that was made is the first to be late, and one timer
 * is enough: one for each call would be a third of what a read costs the client. It keeps the program alive: one is not over while
 * a call of its has no outcome.
 */
export class CallClock {
  readonly #timeoutMs: number;
  readonly #timeUp: (call: Call) => void;
  readonly #line = new CallLine();
  #timer: NodeJS.Timeout | undefined;

  /** `timeUp` stops the call. */
  constructor(timeoutMs: number, timeUp: (call: Call) => void) {
    this.#timeoutMs = timeoutMs;
    this.#timeUp = timeUp;
  }

  /** How many calls it runs for. */
  get size(): number {
    return this.#line.size;
  }

  start(call: Call): void {
    call.deadlineMs = systemClock.monotonicMs() + this.#timeoutMs;
    call.clockPlace = this.#line.add(call);
    this.#timer ??= setTimeout(() => this.#look(), this.#timeoutMs);
  }

  stop(call: Call): void {
    if (call.clockPlace === undefined) return;
    this.#line.delete(call.clockPlace);
    call.clockPlace = undefined;
    if (this.#line.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = systemClock.monotonicMs();
    for (let call = this.#line.first; call !== undefined && call.deadlineMs <= nowMs; call = this.#line.first) {
      this.#timeUp(call);
    }
    const next = this.#line.first;
    if (next !== undefined) this.#timer ??= setTimeout(() => this.#look(), Math.ceil(next.deadlineMs - nowMs));
  }
}
