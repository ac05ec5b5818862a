import { Backoff, type Clock, pause } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { Connection } from './connection.ts';

/**
 * One look at a node and what follows from it. Answers for how long to wait for a change before the next, Infinity for as long
 * as it takes, or 'done'. `changed` is to be called at the change.
 */
export type Step = (connection: Connection, changed: () => void) => Promise<number | 'done'>;

/** Keeps something in ZooKeeper as it should be, over any number of connections. */
export class Repeater {
  readonly #task: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #backoff = new Backoff(250, 10_000);
  #complaint: string | undefined;
  #done = false;

  /** `task` completes the sentence "This node could not ...". */
  constructor(task: string, clock: Clock, logger: Logger) {
    this.#task = task;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Repeats `step` until nothing more can be asked, or it is done for good. What it throws is tried again. */
  async run(connection: Connection, step: Step): Promise<void> {
    while (!this.#done && !connection.over.aborted) {
      const change = new AbortController();
      try {
        const waitMs = await step(connection, () => change.abort());
        this.#backoff.reset();
        this.#complaint = undefined;
        if (waitMs === 'done') this.#done = true;
        else if (waitMs > 0) await this.#wait(waitMs, change.signal);
      } catch (error) {
        if (connection.over.aborted) return;
        this.#complain(rootMessage(error));
        await pause(this.#clock, this.#backoff.nextMs(), connection.over);
      }
    }
  }

  #wait(waitMs: number, change: AbortSignal): Promise<void> {
    if (waitMs < Number.POSITIVE_INFINITY) return pause(this.#clock, waitMs, change);
    if (change.aborted) return Promise.resolve();
    return new Promise((resolve) => change.addEventListener('abort', () => resolve(), { once: true }));
  }

  #complain(complaint: string): void {
    if (complaint === this.#complaint) return;
    this.#complaint = complaint;
    this.#logger.warn(`This node could not ${this.#task} in ZooKeeper (${complaint}): it tries again`);
  }
}
