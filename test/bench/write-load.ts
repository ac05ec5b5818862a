import { type LoadResult, percentilesOf } from './closed-loop.ts';
import { keyAt } from './keys.ts';

const longestUs = 10_000_000;

export const writtenKeys = 100_000;
export const writtenValue = Buffer.alloc(100, 'v');

/** Writers that each await a write, then send the next, until the time is over. */
export async function putLoad(
  writers: number,
  durationMs: number,
  put: (key: Buffer, value: Buffer) => Promise<void>,
): Promise<LoadResult> {
  const keys = Array.from({ length: writtenKeys }, (_, i) => Buffer.from(keyAt(i)));
  const countsByUs = new Uint32Array(longestUs + 1);
  const startedMs = performance.now();
  let acknowledged = 0;
  let next = 0;
  const writer = async (): Promise<void> => {
    for (;;) {
      const sentMs = performance.now();
      if (sentMs - startedMs >= durationMs) return;
      next = (next + 1) % keys.length;
      await put(keys[next]!, writtenValue);
      countsByUs[Math.min(longestUs, Math.round((performance.now() - sentMs) * 1_000))]! += 1;
      acknowledged += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  const elapsedMs = performance.now() - startedMs;
  const percentile = percentilesOf(countsByUs);
  return { perSecond: (acknowledged * 1_000) / elapsedMs, p50Us: percentile(0.5), p99Us: percentile(0.99) };
}
