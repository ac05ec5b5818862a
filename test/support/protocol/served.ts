import { readdirSync } from 'node:fs';
import { includesVersion, type Message, versionRange } from '../../../src/protocol/schema.ts';

const folder = new URL('../../../src/protocol/messages/', import.meta.url);

const exported = await Promise.all(
  readdirSync(folder)
    .sort()
    .map((name) => import(new URL(name, folder).href)),
);

/** Every message that src/protocol/messages describes, requests and responses. */
export const servedMessages: readonly Message[] = exported.flatMap((module) =>
  Object.values(module).filter((value): value is Message => (value as Message).fields !== undefined),
);

export const isRequest = ({ name }: Message): boolean => name.endsWith('Request');

export function versionsOf({ versions }: Message): number[] {
  const { from, to } = versionRange(versions);
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** A field as it is in one version of its message. */
export interface Shape {
  readonly name: string;
  /** `struct` and `[]struct` for structures, whatever they are called. */
  readonly type: string;
  readonly nullable: boolean;
  readonly tag: number | undefined;
  /** `fields` stands for a structure whose fields all have their defaults. */
  readonly default: unknown;
  readonly fields: readonly Shape[];
}

export function shapesOf({ fields }: Pick<Message, 'fields'>, version: number): Shape[] {
  return Object.entries(fields)
    .filter(([, field]) => includesVersion(field.versions, version))
    .map(([name, field]) => ({
      name,
      type: field.type,
      nullable: includesVersion(field.nullable, version),
      tag: field.tag,
      default: field.type === 'struct' && field.default !== null ? 'fields' : field.default,
      fields: shapesOf({ fields: field.fields ?? {} }, version),
    }));
}
