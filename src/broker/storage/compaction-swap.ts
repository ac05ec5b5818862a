import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { scanBatches } from './batch-scan.ts';
import { cleanedSuffix, logSuffix, offsetFileName, offsetInName, swapSuffix } from './file-names.ts';
import { readHandles } from './read-handles.ts';
import type { Segment } from './segment.ts';

/**
 * Puts the output of a compaction in the place of what it was made of, at once for whoever reads this log. A crash leaves the old
 * segments or the new ones: the output counts once none of its files is `.cleaned`, which is why the first file is renamed last; from
 * then on `finishSwap` can do the rest. Answers the files that are left to be unlinked. Throws what the system says.
 */
export function swapSegments(cleaned: readonly Segment[], old: readonly Segment[]): string[] {
  for (const segment of cleaned.toReversed()) segment.rename(swapSuffix);
  const left = old.flatMap((segment) => segment.retire());
  for (const segment of cleaned) segment.rename('');
  return left;
}

/** At the start: ends a swap that a crash has interrupted, or drops its output when it was not complete. */
export async function finishSwap(folder: string): Promise<void> {
  const names = await readdir(folder);
  const offsets = (suffix: string): number[] =>
    names
      .map((name) => offsetInName(name, suffix))
      .filter((offset) => offset !== undefined)
      .sort((one, other) => one - other);
  const swaps = offsets(`${logSuffix}${swapSuffix}`);
  if (swaps.length === 0) return;
  if (offsets(`${logSuffix}${cleanedSuffix}`).length > 0) {
    for (const base of swaps) await rm(pathOf(folder, base, swapSuffix));
    return;
  }
  const endOffset = await endOf(pathOf(folder, swaps.at(-1)!, swapSuffix));
  for (const base of offsets(logSuffix)) {
    if (base >= swaps[0]! && base < endOffset) await rm(pathOf(folder, base));
  }
  for (const base of swaps) await rename(pathOf(folder, base, swapSuffix), pathOf(folder, base));
}

function pathOf(folder: string, base: number, suffix = ''): string {
  return join(folder, offsetFileName(base, `${logSuffix}${suffix}`));
}

/** One past the last offset in a file. */
async function endOf(logPath: string): Promise<number> {
  const { size } = await stat(logPath);
  const file = { logPath };
  const handle = readHandles.acquire(file);
  let endOffset = 0;
  try {
    await scanBatches(handle.fd, { fromPosition: 0, toPosition: size, checksCrc: false }, ({ header }) => {
      endOffset = header.lastOffset + 1;
    });
  } finally {
    readHandles.drop(file);
    handle.release();
  }
  return endOffset;
}
