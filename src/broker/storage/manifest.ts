import { renameSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { checksum } from './checksum.ts';
import type { IndexChecksums, SegmentFacts } from './segment.ts';

/** This broker's own file in a partition's folder: Kafka passes over it. */
export const manifestFile = 'bitacora-manifest';

/** What a start need not find out by reading the log. Every part of it is compared with the files before it is believed. */
export interface Manifest {
  readonly logStartOffset: number;
  /** Compaction has been over everything before this offset. */
  readonly cleanOffset: number;
  /** Segments that are on the disk and did not change since. */
  readonly segments: readonly (SegmentFacts & { readonly checksums: IndexChecksums })[];
}

const formatVersion = 1;

/** A line with the checksum of what follows it, as JSON. */
export function manifestText(manifest: Manifest): string {
  const body = JSON.stringify({ formatVersion, ...manifest });
  return `${checksum(body)}\n${body}\n`;
}

/** undefined: there is none, or it is not whole, or of a version that is not known. */
export async function readManifest(path: string): Promise<Manifest | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [sum, body = ''] = text.split('\n');
  if (Number(sum) !== checksum(body) || body === '') return undefined;
  const parsed = JSON.parse(body) as Manifest & { formatVersion: number };
  return parsed.formatVersion === formatVersion ? parsed : undefined;
}

/** Puts the manifest in place once it is on the disk. `textOf` is asked again when it has changed meanwhile. */
export async function replaceManifest(path: string, textOf: () => string): Promise<void> {
  for (;;) {
    const text = textOf();
    const handle = await open(`${path}.new.tmp`, 'w');
    try {
      await handle.writeFile(text);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    if (text !== textOf()) continue;
    renameSync(`${path}.new.tmp`, path);
    return;
  }
}
