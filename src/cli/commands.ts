import type { Command } from './command.ts';
import { consumeCommand } from './consume-command.ts';
import { groupCommands } from './group-commands.ts';
import { nodeCommands } from './node-commands.ts';
import { produceCommand } from './produce-command.ts';
import { snapshotCommands } from './snapshot-commands.ts';
import { topicCommands } from './topic-commands.ts';

/** Every command, in the order of help and documentation. */
export const commands: readonly Command[] = [
  ...nodeCommands,
  ...topicCommands,
  ...groupCommands,
  produceCommand,
  consumeCommand,
  ...snapshotCommands,
];
