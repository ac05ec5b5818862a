import type { Type } from 'avsc';
import { MalformedError, type Walk, type Walker, Walkers } from './bounds.ts';

/** Data that are checked before they are decoded: written by one type, read as another by Avro's rules of schema resolution. */
export class CheckedType<T> {
  readonly #reader: Type;
  readonly #resolver: ReturnType<Type['createResolver']> | undefined;
  readonly #walker: Walker;

  /** Throws a `SchemaRefusedError`, or avsc's error when what `writer` writes cannot be read as `reader`. */
  constructor(reader: Type, writer: Type = reader) {
    this.#reader = reader;
    // Names are compared without their namespaces (Avro specification, "Schema Resolution").
    this.#resolver = writer === reader ? undefined : reader.createResolver(writer, { ignoreNamespaces: true });
    this.#walker = new Walkers().of(writer);
  }

  /** Reads what `walk` stands at, and passes it. Throws a `MalformedError`. */
  read(walk: Walk): T {
    const start = walk.at;
    this.#walker(walk);
    let decoded: { value: unknown; offset: number };
    try {
      decoded = this.#reader.decode(walk.bytes, start, this.#resolver);
    } catch (error) {
      // Such as a number that JavaScript has not got.
      throw new MalformedError((error as Error).message);
    }
    if (decoded.offset !== walk.at) throw new MalformedError('a value is not what its schema says');
    return decoded.value as T;
  }

  pass(walk: Walk): void {
    this.#walker(walk);
  }

  bytesOf(value: T): Buffer {
    return this.#reader.toBuffer(value);
  }
}
