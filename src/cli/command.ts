import type { Readable } from 'node:stream';
import type { KafkaConnection } from '../log/kafka/client.ts';
import type { FlagTable, FlagValues } from './flags.ts';
import type { Output } from './output.ts';

/** Programs that the command line starts and that stand above it: the entry file hands them in. */
export interface Programs {
  startNode(argv: readonly string[]): Promise<void>;
  startBroker(argv: readonly string[]): Promise<void>;
  version(): string;
}

export interface CliContext {
  readonly environment: NodeJS.ProcessEnv;
  readonly stdin: Readable;
  readonly output: Output;
  /** A line on stderr: what a person should know and a pipe should not get. */
  note(line: string): void;
  /** Aborts at the first SIGINT or SIGTERM; a second one ends the process. Until it is called, the first one does. */
  interrupted(): AbortSignal;
  readonly programs: Programs;
}

export interface CommandInput<Flags> {
  readonly flags: FlagValues<Flags>;
  readonly positionals: readonly string[];
  readonly connection: KafkaConnection;
}

export interface PositionalRule {
  /** As help shows it; empty where none are taken. */
  readonly label: string;
  readonly min: number;
  readonly max: number;
}

export const positionals = {
  none: { label: '', min: 0, max: 0 },
  one: (name: string): PositionalRule => ({ label: name, min: 1, max: 1 }),
  many: (name: string): PositionalRule => ({ label: `${name}...`, min: 1, max: Number.POSITIVE_INFINITY }),
} as const;

/** One command of the table, its flags' types known only to itself. */
export interface Command {
  /** `['topics', 'create']` */
  readonly path: readonly string[];
  readonly summary: string;
  readonly positionals: PositionalRule;
  readonly flags: FlagTable;
  /** Takes the flags and variables that say how to reach Kafka. */
  readonly connects: boolean;
  /** Hands all its arguments on unread, as positionals, help among them. */
  readonly passesOn: boolean;
  /** Longer than a summary: what a user must know before the first use. Lines of help. */
  readonly notes: readonly string[];
  readonly examples: readonly string[];
  run(input: CommandInput<Record<string, never>>, context: CliContext): Promise<void>;
}

interface CommandDefinition<Flags extends FlagTable> {
  readonly path: readonly string[];
  readonly summary: string;
  readonly positionals: PositionalRule;
  readonly flags: Flags;
  readonly connects?: false;
  readonly passesOn?: true;
  readonly notes?: readonly string[];
  readonly examples?: readonly string[];
  run(input: CommandInput<Flags>, context: CliContext): Promise<void>;
}

export function command<const Flags extends FlagTable>(definition: CommandDefinition<Flags>): Command {
  const { connects = true, passesOn = false, notes = [], examples = [] } = definition;
  return { ...definition, connects, passesOn, notes, examples } as unknown as Command;
}
