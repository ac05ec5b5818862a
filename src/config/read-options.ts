import { parseArgs } from 'node:util';
import { FatalError } from '../kernel/errors.ts';
import { ExpectationError, type Option, type OptionType } from './option-types.ts';

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

type ValueOf<O> = O extends { type: OptionType<infer T> } ? (O extends { default: string } ? T : T | undefined) : never;

/** What a table of options becomes when it is read: undefined where one has no default and was not given. */
export type ValuesOf<Table> = { readonly [Name in keyof Table]: ValueOf<Table[Name]> };

/**
 * Reads every option of a table from flags and environment. A flag wins; an empty variable counts as unset. Throws a `FatalError` of
 * one line that names the variable or flag, the value and what was expected.
 */
export function readOptions<const Table extends OptionTable>({
  table,
  flagOf,
  argv,
  environment,
}: {
  table: Table;
  flagOf: (option: Option<unknown>) => string;
  argv: readonly string[];
  environment: NodeJS.ProcessEnv;
}): { kind: 'run'; values: ValuesOf<Table> } | { kind: 'help' } | { kind: 'version' } {
  const flags = readFlags(Object.values(table).map(flagOf), argv);
  if (flags.help === true) return { kind: 'help' };
  if (flags.version === true) return { kind: 'version' };
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(table)) {
    const flag = flags[flagOf(option)];
    const fromFlag = typeof flag === 'string' ? flag : undefined;
    const given = fromFlag ?? (environment[option.env] || undefined);
    const source = fromFlag !== undefined ? `--${flagOf(option)}` : option.env;
    const value = given ?? option.default;
    values[name] = value === undefined ? undefined : parseOption(option, source, value);
  }
  return { kind: 'run', values: values as ValuesOf<Table> };
}

function readFlags(names: readonly string[], argv: readonly string[]): Record<string, string | boolean | undefined> {
  const known = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { ...known, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } },
      strict: true,
      allowPositionals: false,
    });
    return values as Record<string, string | boolean | undefined>;
  } catch (error) {
    throw new FatalError(`${(error as Error).message.split('.')[0]}; --help lists every option`, { cause: error });
  }
}

function parseOption(option: Option<unknown>, source: string, value: string): unknown {
  try {
    return option.type.parse(value);
  } catch (error) {
    if (!(error instanceof ExpectationError)) throw error;
    const shown = option.secret ? '(hidden)' : JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
    throw new FatalError(`${source} is ${shown}: expected ${error.message}`, { cause: error });
  }
}
