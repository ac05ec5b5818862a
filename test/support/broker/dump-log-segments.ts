import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { KafkaTools } from '../kafka/tools.ts';

export interface Dump {
  /** Files that the tool has read. */
  readonly files: number;
  /** Lines that it prints of what is wrong; its exit code tells nothing. */
  readonly complaints: readonly string[];
}

const suffixes = ['.log', '.index', '.timeindex', '.txnindex', '.snapshot'];

/** Has Kafka's DumpLogSegments read every file of every partition under `folder`, each record included. */
export async function dumpLogSegments(tools: KafkaTools, folder: string): Promise<Dump> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && suffixes.some((suffix) => entry.name.endsWith(suffix))) {
      files.push(join(entry.parentPath, entry.name));
    }
  }
  const { stdout, stderr } = await tools.run('kafka.tools.DumpLogSegments', [
    '--deep-iteration',
    '--files',
    files.join(','),
  ]);
  const complaints = `${stdout}\n${stderr}`
    .split('\n')
    .filter((line) => /mismatch|not found|out of order|secutive|corrupt|exception|isvalid: false/i.test(line));
  return { files: files.length, complaints };
}
