import { isUtf8 } from 'node:buffer';
import type { Type } from 'avsc';

/** Bytes that are not what their schema says. */
export class MalformedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MalformedError';
  }
}

/** A schema that would let few bytes stand for much work or memory, or none for anything. */
export class SchemaRefusedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SchemaRefusedError';
  }
}

/**
 * Values within values in one message. Each is work for the decoder, whether or not it takes bytes: thirty records nested in
 * pairs, with nothing in the innermost, are no bytes and a billion values.
 */
const valuesMax = 100_000;
/** So that many small messages are no more work than one large one: a value is rarely less than a byte of its message. */
const valuesPerByte = 8;
const valuesOfSmallest = 64;
/** Deeper values than any schema of ours has; recursive schemas of others may ask for more. */
const depthMax = 64;

/**
 * Walks a datum where it lies. avsc reads beyond the end of its buffer before it looks, and counts as far as a count says, so
 * that four bytes can hold a process for ever: nothing is given to it that was not walked first.
 */
export class Walk {
  readonly bytes: Buffer;
  /** Where the next datum begins. */
  at: number;
  readonly #valuesMax: number;
  #values = 0;
  #depth = 0;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
    this.#valuesMax = Math.min(valuesMax, valuesOfSmallest + valuesPerByte * bytes.length);
  }

  /** Values within values that were passed. */
  get values(): number {
    return this.#values;
  }

  /** Throws a `MalformedError` unless `bytes` are left. */
  pass(bytes: number): void {
    if (bytes > this.bytes.length - this.at) throw new MalformedError('a value reaches beyond the end of its message');
    this.at += bytes;
  }

  byte(): number {
    const { bytes, at } = this;
    if (at >= bytes.length) throw new MalformedError('a value reaches beyond the end of its message');
    this.at = at + 1;
    return bytes[at]!;
  }

  /** A zigzag varint of at most ten bytes; exact up to 2^52, beyond that as near as a number comes. */
  long(): number {
    const first = this.byte();
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let value = first & 0x7f;
    let factor = 128;
    for (let read = 1; ; read += 1) {
      const byte = this.byte();
      if (read === 9 && byte > 1) throw new MalformedError('a number has more than 64 bits');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      factor *= 128;
    }
  }

  int(): number {
    const value = this.long();
    if (value > 2_147_483_647 || value < -2_147_483_648) throw new MalformedError('an int has more than 32 bits');
    return value;
  }

  /** Passes `bytes` or `string`: their length, and as many bytes. */
  lengthPrefixed(): void {
    const length = this.long();
    if (length < 0) throw new MalformedError('a length is below zero');
    this.pass(length);
  }

  text(): void {
    const length = this.long();
    if (length < 0) throw new MalformedError('a length is below zero');
    const start = this.at;
    this.pass(length);
    // Two texts that are not UTF-8 would be read as the same one.
    if (!isUtf8(this.bytes.subarray(start, this.at))) throw new MalformedError('a string is not UTF-8');
  }

  /** The blocks of an array or map (Avro specification, "Binary encoding", Arrays). */
  blocks(element: Walker): void {
    for (;;) {
      const count = this.long();
      if (count === 0) return;
      const size = count < 0 ? this.long() : undefined;
      const start = this.at;
      for (let left = Math.abs(count); left > 0; left -= 1) element(this);
      // What its reader has no use for avsc passes over by the size, and would go on where it has not been walked.
      if (size !== undefined && this.at - start !== size) {
        throw new MalformedError('a block has not the size that it says');
      }
    }
  }

  nested(walker: Walker): void {
    if (this.#values === this.#valuesMax)
      throw new MalformedError('a message has too many values, for its size or for any');
    this.#values += 1;
    this.#depth += 1;
    if (this.#depth > depthMax) throw new MalformedError(`values are nested deeper than ${depthMax}`);
    walker(this);
    this.#depth -= 1;
  }
}

/** Passes one datum of a type, or throws a `MalformedError`. */
export type Walker = (walk: Walk) => void;

interface Introspected extends Type {
  readonly fields?: readonly { readonly type: Introspected }[];
  readonly itemsType?: Introspected;
  readonly valuesType?: Introspected;
  readonly types?: readonly Introspected[];
  readonly symbols?: readonly string[];
  readonly size?: number;
}

/**
 * Makes walkers of the types that data were written by. Throws a `SchemaRefusedError` for arrays of items that may take no
 * bytes: their count costs nothing to write.
 */
export class Walkers {
  readonly #made = new Map<Type, Walker>();

  of(type: Type): Walker {
    const made = this.#made.get(type);
    if (made !== undefined) return made;
    // Recursive types find themselves.
    let walker: Walker = () => {
      throw new Error('a walker was used while it was being made');
    };
    this.#made.set(type, (walk) => walker(walk));
    walker = this.#make(type as Introspected);
    this.#made.set(type, walker);
    return walker;
  }

  #make(type: Introspected): Walker {
    switch (type.typeName) {
      case 'null':
        return () => {};
      case 'boolean':
        return (walk) => {
          if (walk.byte() > 1) throw new MalformedError('a boolean is neither 0 nor 1');
        };
      case 'int':
        return (walk) => void walk.int();
      case 'long':
        return (walk) => void walk.long();
      case 'float':
        return (walk) => walk.pass(4);
      case 'double':
        return (walk) => walk.pass(8);
      case 'bytes':
        return (walk) => walk.lengthPrefixed();
      case 'string':
        return (walk) => walk.text();
      case 'fixed':
        return (walk) => walk.pass(type.size!);
      case 'enum':
        return indexWalker(type.symbols!.length);
      case 'array':
        return this.#blocks(type.itemsType!);
      case 'map': {
        const value = this.of(type.valuesType!);
        return (walk) =>
          walk.blocks((each) => {
            each.text();
            each.nested(value);
          });
      }
      case 'record':
      case 'error': {
        const fields = type.fields!.map((field) => this.of(field.type));
        return (walk) => {
          for (const field of fields) walk.nested(field);
        };
      }
      case 'union:wrapped':
      case 'union:unwrapped': {
        const branches = type.types!.map((branch) => this.of(branch));
        return (walk) => {
          const branch = branches[walk.long()];
          if (branch === undefined) throw new MalformedError('a union has no such branch');
          walk.nested(branch);
        };
      }
      default:
        throw new SchemaRefusedError(`types named ${JSON.stringify(type.typeName)} are not taken`);
    }
  }

  #blocks(items: Introspected): Walker {
    if (minimalBytes(items, new Map()) === 0) {
      throw new SchemaRefusedError('an array’s items may not be of a type that takes no bytes');
    }
    const item = this.of(items);
    return (walk) => walk.blocks((each) => each.nested(item));
  }
}

function indexWalker(count: number): Walker {
  return (walk) => {
    const index = walk.long();
    if (index < 0 || index >= count) throw new MalformedError('an enum has no such symbol');
  };
}

/** 0 when a datum may take none, else 1. What is within itself counts as nothing, there and for good. */
function minimalBytes(type: Introspected, known: Map<Type, 0 | 1>): 0 | 1 {
  switch (type.typeName) {
    case 'null':
      return 0;
    case 'fixed':
      return type.size === 0 ? 0 : 1;
    case 'record':
    case 'error': {
      const before = known.get(type);
      if (before !== undefined) return before;
      known.set(type, 0);
      const bytes = type.fields!.some((field) => minimalBytes(field.type, known) === 1) ? 1 : 0;
      known.set(type, bytes);
      return bytes;
    }
    default:
      return 1;
  }
}
