import type { Option } from './option-types.ts';
import { flagOf, options } from './options.ts';

const table: readonly Option<unknown>[] = Object.values(options);

function defaultOf(option: Option<unknown>): string {
  return option.defaultNote ?? option.default ?? 'unset';
}

/** The text of `bitacora --help`. */
export function helpText(): string {
  const lines = table.map(
    (option) =>
      `  --${flagOf(option)}, ${option.env}\n      ${option.help}\n      ${option.type.label}; default: ${defaultOf(option)}`,
  );
  return [
    'bitacora: serves a compacted Kafka topic as a key-value database',
    '',
    'Usage: bitacora [--option value ...]',
    '',
    'Every option is a flag or an environment variable; the flag wins.',
    '',
    ...lines,
    '',
    '  -h, --help      prints this',
    '  -v, --version   prints the version',
    '',
  ].join('\n');
}

/** docs/CONFIGURATION.md, whole. */
export function configurationPage(): string {
  const rows = table.map(
    (option) =>
      `| \`${option.env}\` | \`--${flagOf(option)}\` | ${option.type.label} | ${
        option.defaultNote ?? (option.default === undefined ? '' : `\`${option.default}\``)
      } | ${option.help} |`,
  );
  return [
    '# Configuration',
    '',
    'Made from `src/config/options.ts` by `npm run docs`; a test fails when this page is stale.',
    '',
    'Each option is an environment variable or a flag; the flag wins, and an empty variable counts as unset. A value that',
    'cannot be used stops the start with one line that names the variable, the value and what was expected.',
    '',
    '| variable | flag | value | default | meaning |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
