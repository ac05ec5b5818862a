import { type Clock, pause } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { PartitionLog } from '../storage/partition-log.ts';
import type { Topics } from './topics.ts';

export interface MaintenanceOptions {
  readonly topics: Topics;
  readonly compactionIntervalMs: number;
  readonly retentionIntervalMs: number;
  /** Makes room on the disk, where that was asked for. */
  readonly makeRoom: (() => Promise<void>) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Goes over all logs again and again, one at a time: what is too old goes, what is dirty enough is compacted. */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  readonly #stopped = new AbortController();
  #loops: readonly Promise<void>[] = [];
  #failures = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** Logs that could not be cleaned; each is tried again next time. */
  get failures(): number {
    return this.#failures;
  }

  start(): void {
    const { compactionIntervalMs, retentionIntervalMs, makeRoom, clock } = this.#options;
    const compaction = this.#every(compactionIntervalMs, () =>
      this.#eachLog('compacting', async (log) => {
        if (log.config.cleanupPolicy.compact && log.isDirtyEnough(clock.nowMs())) await log.compact(clock.nowMs());
      }),
    );
    const retention = this.#every(retentionIntervalMs, async () => {
      // Not for what is deleted alone: it lets go of idle producers too.
      await this.#eachLog('deleting old segments of', (log) => log.retain(clock.nowMs()));
    });
    const room = this.#every(compactionIntervalMs, async () => {
      if (makeRoom !== undefined) await this.#attempt('making room on the disk', makeRoom);
    });
    this.#loops = [compaction, retention, room];
  }

  /** Begins nothing more. A compaction under way ends when its log is closed: see `ended`. */
  stop(): void {
    this.#stopped.abort();
  }

  async ended(): Promise<void> {
    await Promise.all(this.#loops);
  }

  async #every(intervalMs: number, act: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      await pause(this.#options.clock, intervalMs, signal);
      if (signal.aborted) return;
      await act();
    }
  }

  async #eachLog(doing: string, act: (log: PartitionLog) => Promise<unknown>): Promise<void> {
    const { topics } = this.#options;
    for (const { name, logs } of [...topics.all()]) {
      for (const [partition, log] of logs.entries()) {
        if (this.#stopped.signal.aborted) return;
        // It may have been deleted since.
        if (topics.log(name, partition) === log) await this.#attempt(`${doing} ${name}-${partition}`, () => act(log));
      }
    }
  }

  async #attempt(what: string, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#failures += 1;
      this.#options.logger.error({ err: error }, `${what} failed; it is tried again`);
    }
  }
}
