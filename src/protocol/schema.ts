import { WireError, WireReader, WireWriter } from './wire.ts';

/** Versions of a message as Kafka writes them: `3`, `0-14`, `12+`, or `none`. */
export type Versions = 'none' | `${number}` | `${number}-${number}` | `${number}+`;

/** How one value is written and read in one version of its message. */
interface Codec<T> {
  decode(reader: WireReader): T;
  encode(writer: WireWriter, value: T): void;
}

/** A field of a message: what it is, and in which versions it is there. */
export interface Field<T> {
  /** As in Kafka's own definitions: `int32`, `string`, `[]string`, `struct`, `[]struct` and so on. */
  readonly type: string;
  readonly versions: Versions;
  /** Versions in which it may be null. */
  readonly nullable: Versions;
  /** Number of a tagged field (KIP-482); undefined for one in a fixed place. */
  readonly tag: number | undefined;
  /** What it is where a version has no place for it, or the sender left it out. */
  readonly default: T;
  /** Of a structure, or of an array of them. */
  readonly fields: Fields | undefined;
  codec(version: number, flexible: boolean): Codec<T>;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The whole value: every field is there, with its default where the version has none. */
export type Decoded<F> = { -readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never };

/** What is to be written: a field left out has its default. */
export type Encodable<T> = T extends Buffer | string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Element)[]
    ? readonly Encodable<Element>[]
    : T extends object
      ? { readonly [Name in keyof T]?: Encodable<T[Name]> }
      : T;

export interface Message<F extends Fields = Fields> {
  readonly name: string;
  readonly apiKey: number;
  readonly versions: Versions;
  /** Versions with compact lengths and tagged fields. */
  readonly flexible: Versions;
  readonly fields: F;
  /** Throws a `WireError`, also when bytes are left over. */
  decode(body: Buffer, version: number): Decoded<F>;
  encode(writer: WireWriter, value: Encodable<Decoded<F>>, version: number): void;
}

export type MessageValue<M> = M extends Message<infer F> ? Decoded<F> : never;
export type MessageInput<M> = Encodable<MessageValue<M>>;

interface FieldOptions {
  readonly nullable?: Versions;
  readonly tag?: number;
}

interface VersionRange {
  readonly from: number;
  readonly to: number;
}

/** Every request asks for some, and there are few. */
const knownRanges = new Map<Versions, VersionRange>();

export function versionRange(versions: Versions): VersionRange {
  let range = knownRanges.get(versions);
  if (range === undefined) {
    range = parseRange(versions);
    knownRanges.set(versions, range);
  }
  return range;
}

function parseRange(versions: Versions): VersionRange {
  if (versions === 'none') return { from: 1, to: 0 };
  const [, from, open, to] = /^(\d+)(?:(\+)|-(\d+))?$/.exec(versions)!;
  return { from: Number(from), to: open === undefined ? Number(to ?? from) : Number.POSITIVE_INFINITY };
}

export function includesVersion(versions: Versions, version: number): boolean {
  const { from, to } = versionRange(versions);
  return version >= from && version <= to;
}

function primitive<T>(type: string, zero: T, codec: Codec<T>) {
  return (versions: Versions, options: FieldOptions & { default?: T } = {}): Field<T> => ({
    type,
    versions,
    nullable: 'none',
    tag: options.tag,
    default: options.default ?? zero,
    fields: undefined,
    codec: () => codec,
  });
}

export const bool = primitive('bool', false, {
  decode: (reader) => reader.bool(),
  encode: (writer, value) => writer.bool(value),
});
export const int8 = primitive('int8', 0, {
  decode: (reader) => reader.int8(),
  encode: (writer, value) => writer.int8(value),
});
export const int16 = primitive('int16', 0, {
  decode: (reader) => reader.int16(),
  encode: (writer, value) => writer.int16(value),
});
export const uint16 = primitive('uint16', 0, {
  decode: (reader) => reader.uint16(),
  encode: (writer, value) => writer.uint16(value),
});
export const int32 = primitive('int32', 0, {
  decode: (reader) => reader.int32(),
  encode: (writer, value) => writer.int32(value),
});
export const int64 = primitive('int64', 0, {
  decode: (reader) => reader.int64(),
  encode: (writer, value) => writer.int64(value),
});
export const float64 = primitive('float64', 0, {
  decode: (reader) => reader.float64(),
  encode: (writer, value) => writer.float64(value),
});
export const noUuid = '00000000-0000-0000-0000-000000000000';
export const uuid = primitive('uuid', noUuid, {
  decode: (reader) => reader.uuid(),
  encode: (writer, value) => writer.uuid(value),
});

/** A length before text, bytes or elements: null is -1, or 0 in the compact form, which counts from 1. */
interface LengthForm {
  read(reader: WireReader): number;
  write(writer: WireWriter, length: number): void;
}
const int16Length: LengthForm = {
  read: (reader) => reader.int16(),
  write: (writer, length) => writer.int16(length),
};
const int32Length: LengthForm = {
  read: (reader) => reader.int32(),
  write: (writer, length) => writer.int32(length),
};
const compactLength: LengthForm = {
  read: (reader) => reader.uvarint() - 1,
  write: (writer, length) => writer.uvarint(length + 1),
};

function nullLength(length: number, isNullable: boolean, what: string): boolean {
  if (length >= 0) return false;
  if (length === -1 && isNullable) return true;
  throw new WireError(`${what} is null, or has a length of ${length}`);
}

function withNull<T>(
  type: string,
  zero: T,
  inner: (version: number, flexible: boolean, isNullable: boolean) => Codec<T | null>,
  fields?: Fields,
) {
  function field(
    versions: Versions,
    options: FieldOptions & { nullable: Versions; default?: T | null },
  ): Field<T | null>;
  // The last one is what `arrayOf` infers its elements from.
  function field(versions: Versions, options?: { tag?: number; default?: T }): Field<T>;
  function field(versions: Versions, options: FieldOptions & { default?: T | null } = {}): Field<T | null> {
    const { nullable = 'none', tag } = options;
    return {
      type,
      versions,
      nullable,
      tag,
      default: options.default === undefined ? zero : options.default,
      fields,
      codec: (version, flexible) => inner(version, flexible, includesVersion(nullable, version)),
    };
  }
  return field;
}

/** Null where a version has none is a fault of ours, and the other end would take it for an answer that it cannot read. */
function writeNull(writer: WireWriter, form: LengthForm, isNullable: boolean, what: string): void {
  if (!isNullable) throw new TypeError(`${what} may not be null in this version`);
  form.write(writer, -1);
}

/** In the compact form too, where a length would have room for more: Kafka's own classes refuse a longer one. */
const stringBytesMax = 0x7fff;

export const string = withNull<string>('string', '', (_version, flexible, isNullable) => {
  const form = flexible ? compactLength : int16Length;
  return {
    decode: (reader) => {
      const length = form.read(reader);
      if (nullLength(length, isNullable, 'a string')) return null;
      if (length > stringBytesMax)
        throw new WireError(`a string has ${length} bytes, and ${stringBytesMax} are the limit`);
      return reader.text(length);
    },
    encode: (writer, value) => {
      if (value === null) return writeNull(writer, form, isNullable, 'a string');
      const length = Buffer.byteLength(value);
      if (length > stringBytesMax) throw new RangeError(`a string of ${length} bytes is too long to be written`);
      form.write(writer, length);
      writer.text(value, length);
    },
  };
});

const noBytes: Buffer = Buffer.alloc(0);

function bytesLike(type: string, write: (writer: WireWriter, value: Buffer) => void) {
  return withNull<Buffer>(type, noBytes, (_version, flexible, isNullable) => {
    const form = flexible ? compactLength : int32Length;
    return {
      decode: (reader) => {
        const length = form.read(reader);
        return nullLength(length, isNullable, type) ? null : reader.slice(length);
      },
      encode: (writer, value) => {
        if (value === null) return writeNull(writer, form, isNullable, type);
        form.write(writer, value.length);
        write(writer, value);
      },
    };
  });
}

export const bytes = bytesLike('bytes', (writer, value) => writer.bytes(value));
/** Record batches, opaque here; see `record-batch.ts`. There may be megabytes of them. */
export const records = bytesLike('records', (writer, value) => writer.sharedBytes(value));

/** An array of a primitive type: `arrayOf(int32)('0+')`. */
export function arrayOf<T>(element: (versions: Versions) => Field<T>) {
  const inner = element('0+');
  return withNull<T[]>(`[]${inner.type}`, [], (version, flexible, isNullable) =>
    arrayCodec(inner.codec(version, flexible), flexible, isNullable),
  );
}

/** An array of structures: `structs({ name: string('0+') })('0+')`. */
export function structs<F extends Fields>(fields: F) {
  return withNull<Decoded<F>[]>(
    '[]struct',
    [],
    (version, flexible, isNullable) => arrayCodec(structCodec(fields, version, flexible), flexible, isNullable),
    fields,
  );
}

/** A structure: where it may be null, a byte before it says whether it is there. */
export function struct<F extends Fields>(fields: F) {
  return withNull<Decoded<F>>(
    'struct',
    Object.freeze(defaultsOf(fields)),
    (version, flexible, isNullable) => {
      const codec = structCodec(fields, version, flexible);
      if (!isNullable) return codec as Codec<Decoded<F> | null>;
      return {
        decode: (reader) => (reader.int8() < 0 ? null : codec.decode(reader)),
        encode: (writer, value) => {
          writer.int8(value === null ? -1 : 1);
          if (value !== null) codec.encode(writer, value);
        },
      };
    },
    fields,
  );
}

function arrayCodec<T>(element: Codec<T>, flexible: boolean, isNullable: boolean): Codec<T[] | null> {
  const form = flexible ? compactLength : int32Length;
  return {
    decode: (reader) => {
      const length = form.read(reader);
      if (nullLength(length, isNullable, 'an array')) return null;
      reader.expectElements(length);
      const values: T[] = [];
      for (let index = 0; index < length; index += 1) values.push(element.decode(reader));
      return values;
    },
    encode: (writer, values) => {
      if (values === null) return writeNull(writer, form, isNullable, 'an array');
      form.write(writer, values.length);
      for (const value of values) element.encode(writer, value);
    },
  };
}

interface Placed {
  readonly name: string;
  readonly field: Field<unknown>;
  readonly codec: Codec<unknown>;
}

function structCodec<F extends Fields>(fields: F, version: number, flexible: boolean): Codec<Decoded<F>> {
  const there = Object.entries(fields)
    .filter(([, field]) => includesVersion(field.versions, version))
    .map(([name, field]): Placed => ({ name, field, codec: field.codec(version, flexible) }));
  const placed = there.filter(({ field }) => field.tag === undefined);
  const tagged = there.filter(({ field }) => field.tag !== undefined).sort((a, b) => a.field.tag! - b.field.tag!);
  const byTag = new Map(tagged.map((each) => [each.field.tag!, each]));
  return {
    decode: (reader) => {
      const value: Record<string, unknown> = defaultsOf(fields);
      for (const { name, codec } of placed) value[name] = codec.decode(reader);
      if (flexible) decodeTagged(reader, byTag, value);
      return value as Decoded<F>;
    },
    encode: (writer, given) => {
      const value = given as Record<string, unknown>;
      for (const { name, field, codec } of placed) {
        const part = value[name];
        codec.encode(writer, part === undefined ? field.default : part);
      }
      if (flexible) encodeTagged(writer, tagged, value);
    },
  };
}

function decodeTagged(reader: WireReader, byTag: ReadonlyMap<number, Placed>, value: Record<string, unknown>): void {
  const count = reader.uvarint();
  reader.expectElements(count);
  let before = -1;
  for (let index = 0; index < count; index += 1) {
    const tag = reader.uvarint();
    const length = reader.uvarint();
    if (tag <= before) throw new WireError(`tagged field ${tag} comes after ${before}`);
    before = tag;
    const start = reader.at;
    reader.skip(length);
    const known = byTag.get(tag);
    if (known === undefined) continue;
    const { at, end } = reader;
    reader.at = start;
    reader.end = at;
    value[known.name] = known.codec.decode(reader);
    if (reader.remaining > 0) throw new WireError(`tagged field ${tag} is longer than what it holds`);
    reader.end = end;
  }
}

/** Those that have their default are left out (KIP-482). */
function encodeTagged(writer: WireWriter, tagged: readonly Placed[], value: Record<string, unknown>): void {
  const present = tagged.filter(({ name, field }) => value[name] !== undefined && !isDefault(value[name], field));
  writer.uvarint(present.length);
  for (const { name, field, codec } of present) {
    const content = new WireWriter();
    codec.encode(content, value[name]);
    const bytesOf = content.finish();
    writer.uvarint(field.tag!);
    writer.uvarint(bytesOf.length);
    writer.bytes(bytesOf);
  }
}

function isDefault(value: unknown, field: Field<unknown>): boolean {
  if (value === field.default) return true;
  if (Array.isArray(value) && Array.isArray(field.default)) return value.length === 0 && field.default.length === 0;
  if (field.type !== 'struct' || value === null) return false;
  const parts = value as Record<string, unknown>;
  return Object.entries(field.fields!).every(
    ([name, part]) => parts[name] === undefined || isDefault(parts[name], part),
  );
}

function defaultsOf<F extends Fields>(fields: F): Decoded<F> {
  const value: Record<string, unknown> = {};
  for (const name in fields) {
    const preset = fields[name]!.default;
    // An array of its own, so that whoever fills one fills no other. A structure is shared, and frozen.
    value[name] = Array.isArray(preset) ? [] : preset;
  }
  return value as Decoded<F>;
}

export interface MessageOptions {
  readonly versions: Versions;
  readonly flexible: Versions;
  /** Instead of the limit of `WireReader`, where more are honest. */
  readonly elementsMax?: number;
}

/** Describes a message; the versions are those that are served, within what Kafka defines. */
export function message<F extends Fields>(
  name: string,
  apiKey: number,
  { versions, flexible, elementsMax }: MessageOptions,
  fields: F,
): Message<F> {
  const codecs = new Map<number, Codec<Decoded<F>>>();
  const codecOf = (version: number): Codec<Decoded<F>> => {
    let codec = codecs.get(version);
    if (codec === undefined) {
      if (!includesVersion(versions, version)) throw new WireError(`${name} has no version ${version} here`);
      codec = structCodec(fields, version, includesVersion(flexible, version));
      codecs.set(version, codec);
    }
    return codec;
  };
  return {
    name,
    apiKey,
    versions,
    flexible,
    fields,
    decode: (body, version) => {
      const reader = new WireReader(body, 0, body.length, elementsMax);
      const value = codecOf(version).decode(reader);
      if (reader.remaining > 0) throw new WireError(`${name} is followed by ${reader.remaining} bytes`);
      return value;
    },
    encode: (writer, value, version) => codecOf(version).encode(writer, value as Decoded<F>),
  };
}
