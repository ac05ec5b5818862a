import { randomBytes, randomUUID } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FatalError } from '../../kernel/errors.ts';
import { type EntityQuotas, entityTypes, quotaKeys } from '../quotas/quota-table.ts';
import { syncFolder } from '../storage/whole-file.ts';
import { isTopicName } from './topic-name.ts';

/** What the broker knows beside the records themselves. */
export interface Metadata {
  /** 22 characters of base64url, as Kafka makes them. */
  readonly clusterId: string;
  /**
   * How many times a broker has started on these files. It is the leader epoch of every partition meanwhile (KIP-101): a restart may
   * have cut an unflushed tail off, and a client that compares epochs notices.
   */
  readonly epoch: number;
  /** Ids below it may be in use by producers. */
  readonly nextProducerId: number;
  readonly topics: readonly TopicMetadata[];
  readonly quotas: readonly EntityQuotas[];
  /** Topics that are deleted, and whose files may be there still. */
  readonly deletedIds: readonly string[];
}

export interface TopicMetadata {
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
  readonly configs: Readonly<Record<string, string>>;
}

/** 2 has the quotas. A broker that does not know them refuses the file, rather than lose them with its next change. */
const format = 2;
const formatWithoutQuotas = 1;
const fileName = 'metadata.json';
const uuidPattern = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

export function newMetadata(): Metadata {
  const clusterId = randomBytes(16).toString('base64url');
  return { clusterId, epoch: 0, nextProducerId: 0, topics: [], quotas: [], deletedIds: [] };
}

export const newTopicId = (): string => randomUUID();

/** undefined: there is none yet. Throws a `FatalError` for one that cannot be used, which is then left as it is. */
export async function readMetadata(folder: string): Promise<Metadata | undefined> {
  const path = join(folder, fileName);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FatalError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return checked(JSON.parse(text));
  } catch (error) {
    throw new FatalError(
      `${path} is not what this broker wrote (${(error as Error).message}): restore it from a copy, or give another data folder`,
      { cause: error },
    );
  }
}

/** Puts the file in place as a whole: after a crash there is the old one or the new one. */
export async function writeMetadata(folder: string, metadata: Metadata): Promise<void> {
  const path = join(folder, fileName);
  const next = `${path}.new`;
  const file = await open(next, 'w');
  try {
    await file.writeFile(`${JSON.stringify({ format, ...metadata }, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
  await syncFolder(dirname(path));
}

function checked(value: unknown): Metadata {
  const expect = (condition: boolean, complaint: string): void => {
    if (!condition) throw new TypeError(complaint);
  };
  const isCount = (number: unknown): boolean => Number.isSafeInteger(number) && (number as number) >= 0;
  expect(typeof value === 'object' && value !== null, 'not an object');
  const read = value as Omit<Metadata, 'deletedIds'> & Partial<Metadata> & { format: unknown };
  // A file without them is of a broker that did not write them down.
  const { format: found, clusterId, epoch, nextProducerId, topics, quotas, deletedIds = [] } = read;
  expect(found === format || found === formatWithoutQuotas, `its format is ${String(found)}, and ${format} is known`);
  expect(typeof clusterId === 'string' && /^[\w-]{22}$/.test(clusterId), 'no cluster id');
  expect(isCount(epoch) && isCount(nextProducerId) && Array.isArray(topics), 'a field is missing');
  const names = new Set<string>();
  for (const { name, id, partitions, configs } of topics) {
    expect(typeof name === 'string' && isTopicName(name) && !names.has(name), 'a topic has a name that cannot be');
    names.add(name);
    expect(uuidPattern.test(String(id)), `topic ${name} has no id`);
    expect(isCount(partitions) && partitions > 0, `topic ${name} has no partitions`);
    expect(typeof configs === 'object' && configs !== null, `topic ${name} has no settings`);
    expect(
      Object.values(configs).every((text) => typeof text === 'string'),
      `topic ${name} has a setting that is no text`,
    );
  }
  const areIds = Array.isArray(deletedIds) && deletedIds.every((id) => uuidPattern.test(String(id)));
  expect(areIds, 'a deleted topic has no id');
  if (found === formatWithoutQuotas) return { clusterId, epoch, nextProducerId, topics, quotas: [], deletedIds };
  expect(Array.isArray(quotas) && quotas.every(isQuota), 'a quota is not one');
  return { clusterId, epoch, nextProducerId, topics, quotas, deletedIds };
}

function isQuota(value: unknown): boolean {
  const { entity, values } = Object(value) as { entity: unknown; values: unknown };
  const parts = Object.entries(Object(entity));
  const rates = Object.entries(Object(values));
  return (
    parts.length > 0 &&
    rates.length > 0 &&
    parts.every(([type, name]) => isOneOf(entityTypes, type) && (name === null || typeof name === 'string')) &&
    rates.every(([key, rate]) => isOneOf(quotaKeys, key) && typeof rate === 'number' && rate > 0)
  );
}

const isOneOf = (known: readonly string[], text: string): boolean => known.includes(text);
