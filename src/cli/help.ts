import type { Command } from './command.ts';
import { connectionFlags } from './connection.ts';
import { type Flag, type FlagTable, flagName, takesValue } from './flags.ts';

const widthMax = 110;

/** `bitacora topics create NAME... [--partitions N]`, in one line. */
export function usageLine({ path, positionals, flags, connects }: Command): string {
  const shown = Object.entries(flags).map(([name, flag]) => `[${flagText(name, flag)}]${isMany(flag) ? '...' : ''}`);
  const parts = ['bitacora', ...path, positionals.label, ...shown, connects ? '[--broker-list HOST:PORT,...]' : ''];
  return `Usage: ${parts.filter((part) => part !== '').join(' ')}`;
}

/** `bitacora topics create --help`. */
export function commandHelp(command: Command): string {
  const { path, summary, notes, examples, flags, connects } = command;
  return [
    `bitacora ${path.join(' ')}: ${summary}`,
    '',
    ...wrap(usageLine(command), '       '),
    ...(notes.length > 0 ? ['', ...notes.flatMap((note) => wrap(note, ''))] : []),
    '',
    'Options:',
    ...flagLines(flags),
    '  -h, --help',
    '      Prints this.',
    ...(connects ? ['', 'How Kafka is reached, by flag or environment:', ...flagLines(connectionFlags)] : []),
    ...(examples.length > 0 ? ['', 'Examples:', ...examples.map((example) => `  ${example}`)] : []),
    '',
  ].join('\n');
}

/** `bitacora --help`, or `bitacora topics --help` with the commands under `group`. */
export function overview(commands: readonly Command[], group: readonly string[]): string {
  const under = commands.filter(({ path }) => group.every((word, i) => path[i] === word));
  const names = under.map(({ path, positionals }) => `${path.join(' ')} ${positionals.label}`.trim());
  const width = Math.max(...names.map((name) => name.length));
  return [
    group.length === 0
      ? 'bitacora: a key-value database over a compacted Kafka topic, and tools for any Kafka'
      : `bitacora ${group.join(' ')}: commands for ${group.join(' ')}`,
    '',
    `Usage: ${['bitacora', ...group, 'COMMAND', '[--option value ...]'].join(' ')}`,
    '',
    'Commands:',
    ...under.map(({ summary }, i) => `  ${names[i]!.padEnd(width)}  ${summary}`),
    '',
    `bitacora ${[...group, 'COMMAND', '--help'].join(' ')} tells all about one.`,
    ...(group.length === 0 ? ['bitacora without a command starts a node; bitacora --version prints the version.'] : []),
    '',
  ].join('\n');
}

/** docs/CLI.md, whole. */
export function cliPage(commands: readonly Command[]): string {
  return [
    '# Command line',
    '',
    'Made from `src/cli` by `npm run docs`; a test fails when this page is stale.',
    '',
    'The tools speak to any Kafka: `BROKER_LIST` or `--broker-list` names it, `localhost:9092` by default, with the same TLS and',
    'SASL options as the node ([CONFIGURATION.md](CONFIGURATION.md)). What they print is for people; `--json` is for programs.',
    'Exit codes: 0 done, 1 it could not be done (one line on stderr says why), 2 the arguments are wrong.',
    '',
    '```text',
    overview(commands, []).trimEnd(),
    '```',
    ...commands.flatMap((command) => [
      '',
      `## bitacora ${command.path.join(' ')}`,
      '',
      ...(command.passesOn
        ? [command.notes.join(' ')]
        : // How Kafka is reached stands once, at the end.
          ['```text', commandHelp({ ...command, connects: false }).trimEnd(), '```']),
    ]),
    '',
    '## How Kafka is reached',
    '',
    'By every command but `start`, `broker` and `snapshot`:',
    '',
    '```text',
    ...flagLines(connectionFlags),
    '```',
    '',
  ].join('\n');
}

function flagLines(flags: FlagTable): string[] {
  return Object.entries(flags).flatMap(([name, flag]) => {
    const short = flag.short === undefined ? '' : `-${flag.short}, `;
    const fallback = takesValue(flag) && flag.default ? ` Default: ${flag.default}.` : '';
    const many = isMany(flag) ? ' May be given several times.' : '';
    return [`  ${short}${flagText(name, flag)}`, ...wrap(`      ${flag.help}${many}${fallback}`, '      ')];
  });
}

function flagText(name: string, flag: Flag): string {
  return takesValue(flag) ? `--${flagName(name)} ${flag.placeholder}` : `--${flagName(name)}`;
}

function isMany(flag: Flag): boolean {
  return takesValue(flag) && flag.many === true;
}

/** Breaks between words, but never inside brackets. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  const lead = /^ */.exec(text)![0];
  let line = '';
  for (const word of text.trimStart().match(/\[[^\]]*\](?:\.\.\.)?|\S+/g) ?? []) {
    const start = lines.length === 0 ? lead : indent;
    if (line === '') line = `${start}${word}`;
    else if (line.length + 1 + word.length <= widthMax) line += ` ${word}`;
    else {
      lines.push(line);
      line = `${indent}${word}`;
    }
  }
  return [...lines, line];
}
