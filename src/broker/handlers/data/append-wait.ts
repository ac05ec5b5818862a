import type { Clock } from '../../../kernel/clock.ts';
import type { PartitionLog } from '../../storage/partition-log.ts';

/** A log as it was before it was read, so that what is appended during the reading counts too. */
interface Mark {
  readonly appendedBytes: number;
  readonly lastStableOffset: number;
  readonly isHeldBack: boolean;
}

/** The logs of a fetch, each once however often it is named. */
export class AppendWait {
  readonly #marks = new Map<PartitionLog, Mark>();

  /** To be called before the log is read. */
  note(log: PartitionLog): void {
    if (this.#marks.has(log)) return;
    const { appendedBytes, lastStableOffset, endOffset } = log;
    this.#marks.set(log, { appendedBytes, lastStableOffset, isHeldBack: lastStableOffset < endOffset });
  }

  /**
   * Resolves when about `missingBytes` were appended to the logs since they were noted, when a transaction's end lets readers further in
   * one of them, when one is closed, after `timeoutMs`, or when nobody waits any more. That it may come too early is for the caller to
   * see by reading again.
   */
  until(
    missingBytes: number,
    { timeoutMs, clock, signal }: { timeoutMs: number; clock: Clock; signal: AbortSignal },
  ): Promise<void> {
    return new Promise((resolve) => {
      let leftBytes = missingBytes;
      let isOver = false;
      const stop: (() => void)[] = [];
      const finish = (): void => {
        isOver = true;
        for (const each of stop) each();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      signal.addEventListener('abort', finish);
      stop.push(clock.after(timeoutMs, finish));
      for (const [log, { appendedBytes, lastStableOffset, isHeldBack }] of this.#marks) {
        let countedBytes = appendedBytes;
        const look = (): void => {
          leftBytes -= log.appendedBytes - countedBytes;
          countedBytes = log.appendedBytes;
          const isReleased = isHeldBack && log.lastStableOffset > lastStableOffset;
          if (log.isClosed || isReleased || leftBytes <= 0) finish();
        };
        look();
        if (isOver) return;
        stop.push(log.onAdvance(look));
      }
    });
  }
}
