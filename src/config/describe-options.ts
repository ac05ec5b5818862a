import { brokerFlagOf, brokerOptions } from './broker-options.ts';
import type { Option } from './option-types.ts';
import { flagOf, options } from './options.ts';

interface Described {
  readonly table: Readonly<Record<string, Option<unknown>>>;
  readonly flagOf: (option: Option<unknown>) => string;
}

const ofNode: Described = { table: options, flagOf };
const ofBroker: Described = { table: brokerOptions, flagOf: brokerFlagOf };

function defaultOf(option: Option<unknown>): string {
  return option.defaultNote ?? option.default ?? 'unset';
}

function help(title: string, usage: string, described: Described): string {
  const lines = Object.values(described.table).map(
    (option) =>
      `  --${described.flagOf(option)}, ${option.env}\n      ${option.help}\n      ${option.type.label}; default: ${defaultOf(option)}`,
  );
  return [
    title,
    '',
    `Usage: ${usage} [--option value ...]`,
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

/** The text of `bitacora --help`. */
export function helpText(): string {
  return help('bitacora: serves a compacted Kafka topic as a key-value database', 'bitacora', ofNode);
}

/** The text of `bitacora broker --help`. */
export function brokerHelpText(): string {
  return help('bitacora broker: the embedded broker alone, for any client of Kafka', 'bitacora broker', ofBroker);
}

function rowsOf({ table, flagOf: flag }: Described): string[] {
  const rows = Object.values(table).map(
    (option) =>
      `| \`${option.env}\` | \`--${flag(option)}\` | ${option.type.label} | ${
        option.defaultNote ?? (option.default === undefined ? '' : `\`${option.default}\``)
      } | ${option.help} |`,
  );
  return ['| variable | flag | value | default | meaning |', '|---|---|---|---|---|', ...rows, ''];
}

/** docs/CONFIGURATION.md, whole. */
export function configurationPage(): string {
  return [
    '# Configuration',
    '',
    'Made from `src/config/options.ts` and `src/config/broker-options.ts` by `npm run docs`; a test fails when this page is stale.',
    '',
    'Each option is an environment variable or a flag; the flag wins, and an empty variable counts as unset. A value that',
    'cannot be used stops the start with one line that names the variable, the value and what was expected.',
    '',
    ...rowsOf(ofNode),
    '## bitacora broker',
    '',
    'The embedded broker alone. A node that starts it in itself has the defaults of these, but for those in the table above.',
    '',
    ...rowsOf(ofBroker),
  ].join('\n');
}
