import { expect } from 'chai';
import { type Config, readArguments } from '../../src/config/config.ts';
import { FatalError } from '../../src/kernel/errors.ts';

export function configOf(environment: NodeJS.ProcessEnv, argv: readonly string[] = []): Config {
  const command = readArguments(argv, environment);
  if (command.kind !== 'run') throw new Error(`taken for ${command.kind}`);
  return command.config;
}

/** The one line that the start ends with. */
export function complaintOf(environment: NodeJS.ProcessEnv, argv: readonly string[] = []): string {
  try {
    readArguments(argv, environment);
  } catch (error) {
    expect(error).to.be.instanceOf(FatalError);
    const { message } = error as FatalError;
    expect(message).not.to.include('\n');
    return message;
  }
  throw new Error('it was taken');
}
