import { type Clock, pause } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { Topics } from './topics.ts';

export interface MaintenanceOptions {
  readonly topics: Topics;
  readonly intervalMs: number;
  /** Makes room on the disk, where that was asked for. */
  readonly makeRoom: (() => Promise<void>) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Goes over all logs, one at a time, again and again: what is too old goes, what is dirty enough is compacted. */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  readonly #stopped = new AbortController();
  #done: Promise<void> = Promise.resolve();
  #failures = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** Logs that could not be cleaned; each is tried again next time. */
  get failures(): number {
    return this.#failures;
  }

  start(): void {
    this.#done = this.#loop();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#done;
  }

  async #loop(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#stopped;
    for (;;) {
      await pause(clock, intervalMs, signal);
      if (signal.aborted) return;
      await this.#round(signal);
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { topics, makeRoom, clock } = this.#options;
    for (const { name, logs } of [...topics.all()]) {
      for (const [partition, log] of logs.entries()) {
        if (signal.aborted) return;
        // It may have been deleted since.
        if (topics.log(name, partition) !== log) continue;
        await this.#attempt(`cleaning ${name}-${partition}`, async () => {
          // Not for what is deleted alone: it lets go of idle producers too.
          await log.retain(clock.nowMs());
          if (log.config.cleanupPolicy.compact && log.isDirtyEnough(clock.nowMs())) await log.compact(clock.nowMs());
        });
      }
    }
    if (makeRoom !== undefined) await this.#attempt('making room on the disk', makeRoom);
  }

  async #attempt(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#failures += 1;
      this.#options.logger.error({ err: error }, `${what} failed; it is tried again`);
    }
  }
}
