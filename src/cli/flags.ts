import { parseArgs } from 'node:util';
import { ExpectationError, type OptionType } from '../config/option-types.ts';

/** The arguments are not as the command takes them: exit code 2, with the line that shows how. */
export class UsageError extends Error {}

/** A flag with a value. */
export interface ValueFlag<T = unknown> {
  readonly type: OptionType<T>;
  /** What stands for the value in help texts: `N`, `NAME=VALUE`. */
  readonly placeholder: string;
  readonly help: string;
  readonly short?: string;
  /** As a user would write it; absent where the flag may stay unset. */
  readonly default?: string;
  /** May be given several times. */
  readonly many?: true;
}

/** A flag that is there or not. */
export interface Switch {
  readonly help: string;
  readonly short?: string;
}

export type Flag = ValueFlag | Switch;
/** By the flag's name in camel case. */
export type FlagTable = Readonly<Record<string, Flag>>;

type FlagValue<F> = F extends { readonly type: OptionType<infer T> }
  ? F extends { readonly many: true }
    ? readonly T[]
    : F extends { readonly default: string }
      ? T
      : T | undefined
  : boolean;

export type FlagValues<Flags> = { readonly [Name in keyof Flags]: FlagValue<Flags[Name]> };

/** `nullValue` → `null-value`. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function takesValue(flag: Flag): flag is ValueFlag {
  return 'type' in flag;
}

export interface ParsedArguments {
  readonly positionals: readonly string[];
  /** Checked values by name; of every flag of the table. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The text of the flags that were given and take a value, by name. */
  readonly given: ReadonlyMap<string, string>;
}

/** Throws a `UsageError` of one line that names the flag, the value and what was expected. */
export function parseFlags(flags: FlagTable, argv: readonly string[]): ParsedArguments {
  const names = new Map(Object.keys(flags).map((name) => [flagName(name), name]));
  const { values: raw, positionals } = rawArguments(flags, argv);
  const values: Record<string, unknown> = {};
  const given = new Map<string, string>();
  for (const [written, name] of names) {
    const flag = flags[name]!;
    const value = raw[written];
    if (!takesValue(flag)) {
      values[name] = value === true;
      continue;
    }
    const texts = (Array.isArray(value) ? value : value === undefined ? [] : [value]) as string[];
    if (texts.length > 1 && !flag.many) throw new UsageError(`--${written} is given ${texts.length} times`);
    const parsed = texts.map((text) => parseValue(flag, written, text));
    if (texts[0] !== undefined) given.set(name, texts[0]);
    if (flag.many) values[name] = parsed;
    else if (parsed.length > 0) values[name] = parsed[0];
    else values[name] = flag.default === undefined ? undefined : flag.type.parse(flag.default);
  }
  return { positionals, values, given };
}

function rawArguments(
  flags: FlagTable,
  argv: readonly string[],
): { values: Record<string, unknown>; positionals: readonly string[] } {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [
      flagName(name),
      {
        // A flag given twice is seen as such, instead of the last one winning without a word.
        ...(takesValue(flag) ? { type: 'string' as const, multiple: true } : { type: 'boolean' as const }),
        ...(flag.short === undefined ? {} : { short: flag.short }),
      },
    ]),
  );
  try {
    return parseArgs({ args: withJoinedNegatives(flags, argv), options, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message.split(/\.(?:\s|$)/)[0]);
  }
}

/** `--offset -10` means what it says, though `parseArgs` takes whatever begins with a dash for a flag. */
function withJoinedNegatives(flags: FlagTable, argv: readonly string[]): string[] {
  const valued = new Map<string, string>();
  for (const [name, flag] of Object.entries(flags)) {
    if (!takesValue(flag)) continue;
    valued.set(`--${flagName(name)}`, flagName(name));
    if (flag.short !== undefined) valued.set(`-${flag.short}`, flagName(name));
  }
  const args: string[] = [];
  for (const argument of argv) {
    const flag = valued.get(args.at(-1) ?? '');
    if (flag !== undefined && /^-\d+$/.test(argument)) args[args.length - 1] = `--${flag}=${argument}`;
    else args.push(argument);
  }
  return args;
}

function parseValue(flag: ValueFlag, written: string, text: string): unknown {
  try {
    return flag.type.parse(text);
  } catch (error) {
    if (!(error instanceof ExpectationError)) throw error;
    const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
    throw new UsageError(`--${written} is ${shown}: expected ${error.message}`);
  }
}
