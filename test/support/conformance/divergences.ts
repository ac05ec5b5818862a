import { readFileSync } from 'node:fs';

const path = new URL('../../../docs/DIVERGENCES.md', import.meta.url);
const columns = 4;

/** A test that the embedded broker is known not to pass. */
export interface Divergence {
  readonly client: string;
  /** The title of the test or, where the client brings its own tests, their name for it. */
  readonly test: string;
  readonly differs: string;
  readonly why: string;
}

/** The rows of docs/DIVERGENCES.md: what the documentation owns up to and what the suites let pass are one list. */
export const divergences: readonly Divergence[] = parseDivergences(readFileSync(path, 'utf8'));

export function parseDivergences(markdown: string): Divergence[] {
  const rows = markdown
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, line.lastIndexOf('|'))
        .split('|')
        .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
    );
  // The head and the line under it.
  return rows.slice(2).map((cells) => {
    if (cells.length !== columns || cells.includes('')) throw new Error(`not a divergence: ${cells.join(' | ')}`);
    const [client, test, differs, why] = cells as [string, string, string, string];
    return { client, test, differs, why };
  });
}
