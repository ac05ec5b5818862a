import type { Clock } from '../../src/kernel/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<Timer>();

  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** Somebody sets the machine's clock; no time passes by that. */
  setWall(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#monotonicMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Calls that are still to come. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Time passes: what is due is called in order, and what it sets off has settled before the next call. */
  async pass(durationMs: number): Promise<void> {
    const untilMs = this.#monotonicMs + durationMs;
    await settled();
    for (let timer = this.#next(untilMs); timer !== undefined; timer = this.#next(untilMs)) {
      this.#timers.delete(timer);
      this.#moveTo(timer.atMs);
      timer.callback();
      await settled();
    }
    this.#moveTo(untilMs);
  }

  /** Time passes all at once, as when a machine was asleep: nothing is called before it is over. */
  async leap(durationMs: number): Promise<void> {
    this.#moveTo(this.#monotonicMs + durationMs);
    await this.pass(0);
  }

  #next(untilMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (first === undefined || timer.atMs < first.atMs)) first = timer;
    }
    return first;
  }

  #moveTo(monotonicMs: number): void {
    const passedMs = Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs += passedMs;
    this.#wallMs += passedMs;
  }
}

/** Resolves when every promise that could settle without time or I/O has done so. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}
