import { writeFileSync } from 'node:fs';
import { configurationPage } from '../../src/config/describe-options.ts';

/** Pages of docs/ that are made from the source, by path from the top of the repository. `npm run docs` writes them. */
export const pages: Readonly<Record<string, () => string>> = {
  'docs/CONFIGURATION.md': configurationPage,
};

export function pageUrl(path: string): URL {
  return new URL(`../../${path}`, import.meta.url);
}

if (import.meta.filename === process.argv[1]) {
  for (const [path, text] of Object.entries(pages)) writeFileSync(pageUrl(path), text());
}
