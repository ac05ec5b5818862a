import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../storage/whole-file.ts';

const topicIdFile = 'partition.metadata';
const deletedPattern = /^.+-\d+\.[\da-f]{32}-delete$/;
/** Of the topic's, in a name that has more after it: file systems take 255 bytes. */
const topicCharactersMax = 200;

export const partitionFolder = (topic: string, partition: number): string => `${topic}-${partition}`;

/** A name that no partition has, and no other folder: `delete` is Kafka's own for what is about to go. */
export function asideFolder(topic: string, partition: number, why: 'delete' | 'stray'): string {
  const unique = randomBytes(16).toString('hex');
  return `${partitionFolder(topic.slice(0, topicCharactersMax), partition)}.${unique}-${why}`;
}

/** Names of all that may be a partition's. */
export async function partitionFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && /^.+-\d+$/.test(entry.name)).map(({ name }) => name);
}

/** The file is Kafka's own, so that its tools know the topic too (KIP-516). */
export function writeTopicId(folder: string, id: string): void {
  const text = `version: 0\ntopic_id: ${Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url')}\n`;
  replaceFile(join(folder, topicIdFile), text, { isSynced: true });
}

/** undefined: there is no such folder. */
export async function topicIdIn(folder: string): Promise<string | 'unreadable' | undefined> {
  try {
    const text = await readFile(join(folder, topicIdFile), 'utf8');
    const id = /^topic_id: ([\w-]{22})$/m.exec(text)?.[1];
    if (id === undefined) return 'unreadable';
    const hex = Buffer.from(id, 'base64url').toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const isThere = await stat(folder).then(
      () => true,
      () => false,
    );
    return isThere ? 'unreadable' : undefined;
  }
}

/**
 * Removes what a crash has left of topics that were being deleted: folders whose topic has one of the ids, and those that were
 * called deleted before their files went one by one.
 */
export async function removeDeletedFolders(folder: string, deletedIds: readonly string[]): Promise<void> {
  if (deletedIds.length > 0) {
    for (const name of await partitionFolders(folder)) {
      const path = join(folder, name);
      if (!deletedIds.includes((await topicIdIn(path)) ?? '')) continue;
      const [, topic = '', partition] = /^(.+)-(\d+)$/.exec(name)!;
      await rename(path, join(folder, asideFolder(topic, Number(partition), 'delete')));
    }
  }
  for (const name of await readdir(folder)) {
    if (deletedPattern.test(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
