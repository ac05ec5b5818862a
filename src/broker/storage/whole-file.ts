import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

const unfinishedSuffix = '.tmp';

/** Puts a file in place of another, so that a process that ends leaves one or the other. Throws what the system says. */
export function replaceFile(path: string, content: Buffer | string, { isSynced = false } = {}): void {
  const fd = openSync(`${path}${unfinishedSuffix}`, 'w');
  try {
    writeFileSync(fd, content);
    if (isSynced) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}${unfinishedSuffix}`, path);
}

/** Makes the names in a folder last: those of new files, and of renamed and removed ones. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
