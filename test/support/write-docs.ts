import { readFileSync, writeFileSync } from 'node:fs';
import { commands } from '../../src/cli/commands.ts';
import { cliPage } from '../../src/cli/help.ts';
import { configurationPage } from '../../src/config/describe-options.ts';
import { options } from '../../src/config/options.ts';
import { openApi } from '../../src/http/openapi.ts';

/** Files that are made from the source, by path from the top of the repository. `npm run docs` writes them. */
export const pages: Readonly<Record<string, () => string>> = {
  'docs/CONFIGURATION.md': configurationPage,
  'docs/CLI.md': () => cliPage(commands),
  'schemas/openapi.json': openApiDocument,
};

/** The API as a node with default options describes it at /openapi.json. */
function openApiDocument(): string {
  const { version } = JSON.parse(readFileSync(pageUrl('package.json'), 'utf8')) as { version: string };
  const valueBytesMax = Number(options.valueBytesMax.default);
  return `${JSON.stringify(openApi(version, valueBytesMax), null, 2)}\n`;
}

export function pageUrl(path: string): URL {
  return new URL(`../../${path}`, import.meta.url);
}

if (import.meta.filename === process.argv[1]) {
  for (const [path, text] of Object.entries(pages)) writeFileSync(pageUrl(path), text());
}
