import type { KeyRange, OrderedStore, ScanPage } from '../../src/store/store.ts';

/** All pages of a scan in one, while nothing is written. */
export function scanAll(
  store: Pick<OrderedStore, 'scan'>,
  nowMs: number,
  range: Partial<KeyRange> = {},
): ScanPage['entries'][number][] {
  const entries: ScanPage['entries'][number][] = [];
  let after: Buffer | undefined = range.after;
  do {
    const page = store.scan({ limit: Number.MAX_SAFE_INTEGER, ...range, after }, nowMs);
    for (const entry of page.entries) entries.push(entry);
    after = page.after;
  } while (after !== undefined);
  return entries;
}
