#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { BrokerArguments, CliContext } from './cli/command.ts';
import { commands } from './cli/commands.ts';
import { dispatch } from './cli/dispatch.ts';
import { Output } from './cli/output.ts';

const programs = {
  /** The node starts when its module is the program that Node.js runs, so it is made that. */
  async startNode(argv: readonly string[]): Promise<void> {
    const program = join(import.meta.dirname, `main${extname(import.meta.filename)}`);
    process.argv = [process.execPath, program, ...argv];
    await import('./main.ts');
  },

  async runBroker(options: BrokerArguments): Promise<void> {
    const program: string = './broker/main.ts';
    const { runBroker } = (await import(program)) as { runBroker(options: BrokerArguments): Promise<void> };
    await runBroker(options);
  },

  version(): string {
    const file = new URL('../package.json', import.meta.url);
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  },
};

function context(output: Output): CliContext {
  return {
    environment: process.env,
    stdin: process.stdin,
    output,
    note: (line) => void process.stderr.write(`${line}\n`),
    interrupted() {
      const controller = new AbortController();
      const abort = (): void => controller.abort();
      // Once: the second signal finds nobody listening, and ends the process as signals do.
      process.once('SIGINT', abort).once('SIGTERM', abort);
      return controller.signal;
    },
    programs,
  };
}

/** The exit code is only set: what still runs, such as a node, decides when the process ends. */
async function main(): Promise<void> {
  const output = new Output(process.stdout);
  try {
    process.exitCode = await dispatch(commands, process.argv.slice(2), context(output));
    await output.flush();
  } catch (error) {
    process.stderr.write(`${(error as Error).stack}\n`);
    process.exitCode = 1;
  }
}

await main();
