#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { CliContext, Programs } from './cli/command.ts';
import { commands } from './cli/commands.ts';
import { dispatch } from './cli/dispatch.ts';
import { Output } from './cli/output.ts';
import { FatalError } from './kernel/errors.ts';

const programs: Programs = {
  /** The node starts when its module is the program that Node.js runs, so it is made that. */
  async startNode(argv) {
    process.argv = [process.execPath, join(import.meta.dirname, `main${extname(import.meta.filename)}`), ...argv];
    await import('./main.ts');
  },

  async startBroker(argv) {
    const { runBroker } = await import('./broker-program.ts');
    await runBroker(argv, programs.version());
  },

  version() {
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

/** The exit code is only set: what still runs, such as a broker, decides when the process ends. */
async function main(): Promise<void> {
  const output = new Output(process.stdout);
  process.exitCode = await dispatch(commands, process.argv.slice(2), context(output));
  await output.flush();
}

/** One line for a person when it is the environment's fault; the stack when it is ours. */
function endWith(error: unknown): void {
  process.stderr.write(error instanceof FatalError ? `bitacora: ${error.message}\n` : `${(error as Error).stack}\n`);
  process.exit(1);
}

main().catch(endWith);
