import { includesVersion, noUuid, type Versions } from '../../../src/protocol/schema.ts';
import type { Shape } from './served.ts';

/** A message as Kafka's own `common/message/*.json` describes it; its README there tells what the properties mean. */
export interface Definition {
  readonly apiKey: number;
  readonly name: string;
  readonly validVersions: Versions;
  readonly flexibleVersions: Versions;
  readonly fields: readonly DefinedField[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly DefinedField[] }[];
}

interface DefinedField {
  readonly name: string;
  readonly type: string;
  readonly versions: Versions;
  readonly nullableVersions?: Versions;
  readonly taggedVersions?: Versions;
  readonly flexibleVersions?: Versions;
  readonly tag?: number;
  readonly default?: unknown;
  readonly fields?: readonly DefinedField[];
}

/** Kafka's files are JSON with comments. */
export function parseDefinition(text: string): Definition {
  return JSON.parse(text.replace(/("(?:[^"\\]|\\.)*")|\/\/.*$/gm, '$1'));
}

export function definedShapes(definition: Definition, version: number): Shape[] {
  const common = new Map(definition.commonStructs?.map(({ name, fields }) => [name, fields]));
  const shapes = (fields: readonly DefinedField[]): Shape[] =>
    fields
      .filter(({ versions }) => includesVersion(versions, version))
      .map((field) => {
        if (field.flexibleVersions !== undefined) throw new Error(`${field.name} is flexible on its own`);
        const [, array = '', element = ''] = /^(\[\])?(.*)$/.exec(field.type)!;
        const isStruct = /^[A-Z]/.test(element);
        const type = `${array}${isStruct ? 'struct' : element}`;
        return {
          name: field.name.charAt(0).toLowerCase() + field.name.slice(1),
          type,
          nullable: includesVersion(field.nullableVersions ?? 'none', version),
          tag: includesVersion(field.taggedVersions ?? 'none', version) ? field.tag : undefined,
          default: defaultOf(type, field.default),
          fields: isStruct ? shapes(field.fields ?? common.get(element)!) : [],
        };
      });
  return shapes(definition.fields);
}

function defaultOf(type: string, given: unknown): unknown {
  if (given === 'null') return null;
  if (type.startsWith('[]')) return [];
  switch (type) {
    case 'struct':
      return 'fields';
    case 'string':
      return given ?? '';
    case 'uuid':
      return given ?? noUuid;
    case 'bytes':
    case 'records':
      return Buffer.alloc(0);
    case 'bool':
      return String(given ?? false) === 'true';
    default:
      return Number(given ?? 0);
  }
}
