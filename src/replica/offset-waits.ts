import type { Clock } from '../kernel/clock.ts';

interface Wait {
  readonly position: number;
  finish(reached: boolean): void;
}

/** Callers that wait until a partition's applied position is somewhere. */
export class OffsetWaits {
  readonly #clock: Clock;
  /** For each partition its waits, lowest position first. */
  readonly #waits = new Map<number, Wait[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with true once `advance` reaches `position`, with false after `timeoutMs` or when the waits are abandoned. */
  wait(partition: number, position: number, timeoutMs: number): Promise<boolean> {
    let queue = this.#waits.get(partition);
    if (queue === undefined) {
      queue = [];
      this.#waits.set(partition, queue);
    }
    const waits = queue;
    return new Promise((resolve) => {
      const wait: Wait = {
        position,
        finish: (reached) => {
          cancel();
          resolve(reached);
        },
      };
      const cancel = this.#clock.after(timeoutMs, () => {
        waits.splice(waits.indexOf(wait), 1);
        resolve(false);
      });
      // Most waits are for the newest offset: the search from the end is nearly always one step.
      let at = waits.length;
      while (at > 0 && waits[at - 1]!.position > position) at -= 1;
      waits.splice(at, 0, wait);
    });
  }

  advance(partition: number, position: number): void {
    const waits = this.#waits.get(partition);
    if (waits === undefined) return;
    let reached = 0;
    while (reached < waits.length && waits[reached]!.position <= position) reached += 1;
    for (const wait of waits.splice(0, reached)) wait.finish(true);
  }

  /** Ends every wait with false: the positions they were for mean nothing any more. */
  abandon(): void {
    for (const waits of this.#waits.values()) for (const wait of waits.splice(0)) wait.finish(false);
  }
}
