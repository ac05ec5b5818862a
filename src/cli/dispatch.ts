import { FatalError } from '../kernel/errors.ts';
import type { CliContext, Command } from './command.ts';
import { connectionFlags, readConnection } from './connection.ts';
import { type FlagTable, parseFlags, UsageError } from './flags.ts';
import { commandHelp, overview, usageLine } from './help.ts';

const helpWords = new Set(['--help', '-h', 'help']);
const helpFlag = { help: { short: 'h', help: 'Prints help.' } } as const;

/** Runs what the arguments ask for and answers the exit code: 0 done, 1 failed, 2 the arguments are wrong. */
export async function dispatch(
  commands: readonly Command[],
  argv: readonly string[],
  context: CliContext,
): Promise<number> {
  const [first] = argv;
  // A node with flags alone is how `npm start` and the container start it.
  if (first === undefined || (first.startsWith('-') && !isQuestion(first))) {
    await context.programs.startNode(argv);
    return 0;
  }
  if (first === '--version' || first === '-v') {
    await context.output.line(context.programs.version());
    return 0;
  }
  const command = commands.find(({ path }) => path.every((word, i) => argv[i] === word));
  if (command === undefined) return withoutCommand(commands, argv, context);
  return runCommand(command, argv.slice(command.path.length), context);
}

function isQuestion(argument: string): boolean {
  return helpWords.has(argument) || argument === '--version' || argument === '-v';
}

async function withoutCommand(
  commands: readonly Command[],
  argv: readonly string[],
  { output, note }: CliContext,
): Promise<number> {
  const isGroup = commands.some(({ path }) => path.length > 1 && path[0] === argv[0]);
  const group = isGroup ? [argv[0]!] : [];
  const next = argv[group.length];
  if (next !== undefined && helpWords.has(next)) {
    await output.write(overview(commands, group));
    return 0;
  }
  const known = commands.filter(({ path }) => group.every((word, i) => path[i] === word));
  const words = [...new Set(known.map(({ path }) => path[group.length]))].join(', ');
  const what = next === undefined ? `${argv.join(' ')} needs a command` : `no command ${JSON.stringify(next)}`;
  note(`bitacora: ${what}: expected ${words}`);
  note(`Usage: ${['bitacora', ...group, 'COMMAND', '[--option value ...]'].join(' ')}`);
  return 2;
}

async function runCommand(command: Command, argv: readonly string[], context: CliContext): Promise<number> {
  if (command.passesOn) {
    await command.run({ flags: {}, positionals: argv, connection: readConnection(new Map(), {}) }, context);
    return 0;
  }
  // Help answers whatever else is wrong; after `--` nothing is a flag.
  const end = argv.indexOf('--');
  const asked = (end < 0 ? argv : argv.slice(0, end)).some((word) => word === '--help' || word === '-h');
  if (asked) {
    await context.output.write(commandHelp(command));
    return 0;
  }
  try {
    const flags: FlagTable = { ...command.flags, ...(command.connects ? connectionFlags : {}), ...helpFlag };
    const { positionals, values, given } = parseFlags(flags, argv);
    checkPositionals(command, positionals);
    const connectionGiven = new Map([...given].filter(([name]) => command.connects && name in connectionFlags));
    const connection = readConnection(connectionGiven, command.connects ? context.environment : {});
    await command.run({ flags: values as Record<string, never>, positionals, connection }, context);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      context.note(`bitacora: ${error.message}`);
      context.note(usageLine(command));
      return 2;
    }
    if (!(error instanceof FatalError)) throw error;
    context.note(`bitacora: ${error.message}`);
    return 1;
  }
}

function checkPositionals({ path, positionals: rule }: Command, positionals: readonly string[]): void {
  if (positionals.length < rule.min) throw new UsageError(`${path.join(' ')} needs ${rule.label}`);
  if (positionals.length <= rule.max) return;
  throw new UsageError(`${path.join(' ')} does not know what to do with ${JSON.stringify(positionals[rule.max])}`);
}
