import type { Clock } from '../../../kernel/clock.ts';
import type { PartitionLog } from '../../storage/partition-log.ts';

/**
 * Resolves when about `missingBytes` were appended to the logs, when a transaction's end lets readers further in one of them, after
 * `timeoutMs`, or when nobody waits any more. That it may come too early is for the caller to see by reading again.
 */
export function waitForAppends(
  logs: readonly PartitionLog[],
  missingBytes: number,
  { timeoutMs, clock, signal }: { timeoutMs: number; clock: Clock; signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    let leftBytes = missingBytes;
    const stop: (() => void)[] = [];
    const finish = (): void => {
      for (const each of stop) each();
      signal.removeEventListener('abort', finish);
      resolve();
    };
    signal.addEventListener('abort', finish);
    stop.push(clock.after(timeoutMs, finish));
    for (const log of logs) {
      const wasHeldBack = log.lastStableOffset < log.endOffset;
      const stableBefore = log.lastStableOffset;
      let sizeBefore = log.sizeBytes;
      stop.push(
        log.onAdvance(() => {
          const isReleased = wasHeldBack && log.lastStableOffset > stableBefore;
          // Growth alone counts: retention and compaction make a log smaller meanwhile.
          leftBytes -= Math.max(log.sizeBytes - sizeBefore, 0);
          sizeBefore = log.sizeBytes;
          if (isReleased || leftBytes <= 0) finish();
        }),
      );
    }
  });
}
