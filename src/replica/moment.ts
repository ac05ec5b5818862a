import type { Clock } from '../kernel/clock.ts';

/** A time by both clocks: the machine's can be set, and the other may stand still while the machine sleeps. */
export interface Moment {
  readonly atMs: number;
  readonly monotonicMs: number;
}

export function momentNow(clock: Clock): Moment {
  return { atMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
}

/** A time of the machine's clock by both clocks, as if that had gone evenly since. */
export function momentAt(atMs: number, clock: Clock): Moment {
  return { atMs, monotonicMs: clock.monotonicMs() - Math.max(0, clock.nowMs() - atMs) };
}

/** For how long it has been over, by the clock that says more. */
export function msSince({ atMs, monotonicMs }: Moment, clock: Clock): number {
  return Math.max(clock.monotonicMs() - monotonicMs, clock.nowMs() - atMs);
}

/** When that was, by the machine's clock as it is set now: a whole number. */
export function wallMsOf(moment: Moment, clock: Clock): number {
  return Math.floor(clock.nowMs() - msSince(moment, clock));
}
