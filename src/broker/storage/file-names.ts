/** Files of a partition's folder, by Kafka's names: the first offset in 20 digits, then what it is. */
export const logSuffix = '.log';
export const offsetIndexSuffix = '.index';
export const timeIndexSuffix = '.timeindex';
export const transactionIndexSuffix = '.txnindex';
export const snapshotSuffix = '.snapshot';
export const leaderEpochsFile = 'leader-epoch-checkpoint';
/** Stands behind another suffix: output of a compaction that has not ended, and is worth nothing. */
export const cleanedSuffix = '.cleaned';
/** Output of a compaction that has ended, and only has to take the place of what it was made of. */
export const swapSuffix = '.swap';
/** About to be removed. */
export const deletedSuffix = '.deleted';

export const indexSuffixes = [offsetIndexSuffix, timeIndexSuffix, transactionIndexSuffix] as const;

export function offsetFileName(offset: number, suffix: string): string {
  return `${String(offset).padStart(20, '0')}${suffix}`;
}

/** The offset in the name of a file that has exactly this suffix; undefined for other files. */
export function offsetInName(name: string, suffix: string): number | undefined {
  if (name.length !== 20 + suffix.length || !name.endsWith(suffix)) return undefined;
  const digits = name.slice(0, 20);
  const offset = Number(digits);
  return /^\d{20}$/.test(digits) && Number.isSafeInteger(offset) ? offset : undefined;
}
