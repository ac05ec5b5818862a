import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Context } from 'mocha';

const run = promisify(execFile);

/** A limit to the size of files stands in for a full disk: writes beyond it fail (EFBIG). Skips the suite where there is no prlimit. */
export async function needsFileSizeLimits(context: Context): Promise<void> {
  try {
    await run('prlimit', ['--version']);
  } catch {
    context.skip();
  }
}

/** No file of the process grows beyond `bytes` any more; undefined: all may grow again. */
export async function limitFileSize(pid: number, bytes: number | undefined): Promise<void> {
  // The second one is what the first may be raised to again.
  await run('prlimit', ['--pid', String(pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`]);
}
