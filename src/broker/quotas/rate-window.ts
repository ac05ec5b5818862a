/** Kafka's `quota.window.num` and `quota.window.size.seconds`, at their defaults. */
const samplesMax = 11;
const sampleMs = 1_000;

interface Sample {
  readonly startMs: number;
  lastMs: number;
  amount: number;
}

/**
 * A rate over the last samples, as Kafka's quotas measure it (KIP-13): a sample begins with what is counted first and ends a second
 * later; it goes when nothing was added to it for as long as all samples take. Time before the first one counts as idle, so that a
 * client which has just come is not taken for a fast one.
 */
export class RateWindow {
  /** Oldest first. */
  #samples: Sample[] = [];

  add(amount: number, nowMs: number): void {
    this.#dropOld(nowMs);
    const last = this.#samples.at(-1);
    if (last === undefined || nowMs - last.startMs >= sampleMs) {
      this.#samples.push({ startMs: nowMs, lastMs: nowMs, amount });
    } else {
      last.amount += amount;
      last.lastMs = nowMs;
    }
  }

  perSecond(nowMs: number): number {
    this.#dropOld(nowMs);
    const sum = this.#samples.reduce((total, { amount }) => total + amount, 0);
    return sum / (this.spanMs(nowMs) / 1_000);
  }

  /** The time that the rate is taken over: never less than all samples but the last, which may just have begun. */
  spanMs(nowMs: number): number {
    this.#dropOld(nowMs);
    const elapsedMs = nowMs - (this.#samples[0]?.startMs ?? nowMs);
    const missing = Math.max(0, samplesMax - 1 - Math.floor(elapsedMs / sampleMs));
    return elapsedMs + missing * sampleMs;
  }

  /** Nothing is left of what was counted: a new window would measure the same. */
  isIdle(nowMs: number): boolean {
    this.#dropOld(nowMs);
    return this.#samples.length === 0;
  }

  #dropOld(nowMs: number): void {
    const isOld = ({ lastMs }: Sample): boolean => nowMs - lastMs >= samplesMax * sampleMs;
    while (this.#samples.length > 0 && isOld(this.#samples[0]!)) this.#samples.shift();
  }
}

/** How much may be had at once, after a rest, without exceeding the rate. */
export function burstOf(perSecondMax: number): number {
  return perSecondMax * (samplesMax - 1);
}

/** How long the excess takes at the allowed rate, which is the time to wait; 0: the rate is not exceeded. */
export function throttleTimeMs(window: RateWindow, perSecondMax: number, nowMs: number): number {
  const excess = window.perSecond(nowMs) - perSecondMax;
  return excess <= 0 ? 0 : Math.round((excess / perSecondMax) * window.spanMs(nowMs));
}

/** After so long without use a window is as a new one. */
export const windowLifetimeMs = samplesMax * sampleMs;
