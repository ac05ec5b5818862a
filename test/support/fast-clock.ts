import { type Clock, systemClock } from '../../src/kernel/clock.ts';

/** Real time, only faster: for parts that wait for seconds, over real parts that do not. */
export class FastClock implements Clock {
  readonly #factor: number;

  constructor(factor: number) {
    this.#factor = factor;
  }

  nowMs(): number {
    return systemClock.nowMs();
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() * this.#factor;
  }

  after(delayMs: number, callback: () => void): () => void {
    return systemClock.after(delayMs / this.#factor, callback);
  }
}
