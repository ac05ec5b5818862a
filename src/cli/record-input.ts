import { FatalError } from '../kernel/errors.ts';
import { type NewRecord, RecordError, recordFromJson } from './record-json.ts';

/** How lines become records. */
export interface LineRules {
  readonly format: 'line' | 'json';
  /** Between key and value; without one, a line is a value. */
  readonly keySeparator: string | undefined;
  readonly key: string | undefined;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly partition: number | undefined;
  /** A value of exactly this text makes a tombstone. */
  readonly nullValue: string | undefined;
}

const newline = 0x0a;

/** Cuts a stream at line feeds, which are dropped; nothing else is changed. A last line needs none. */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #lines = 0;

  /** No line grows beyond `lineBytesMax`: a stream without line feeds would fill the memory. */
  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** The lines that the chunk completes, and how many came before them. */
  push(chunk: Buffer): { before: number; lines: Buffer[] } {
    const before = this.#lines;
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      lines.push(this.#complete(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return { before, lines };
  }

  /** What is left when the stream has ended. */
  finish(): { before: number; lines: Buffer[] } {
    const before = this.#lines;
    return { before, lines: this.#restBytes > 0 ? [this.#complete(Buffer.alloc(0))] : [] };
  }

  #complete(end: Buffer): Buffer {
    if (this.#restBytes === 0) {
      this.#lines += 1;
      return end;
    }
    this.#keep(end);
    const line = Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restBytes = 0;
    this.#lines += 1;
    return line;
  }

  #keep(part: Buffer): void {
    this.#restBytes += part.length;
    if (this.#restBytes > this.#lineBytesMax) {
      throw new FatalError(`line ${this.#lines + 1} of the input is longer than ${this.#lineBytesMax} bytes`);
    }
    this.#rest.push(part);
  }
}

/** Turns lines into records; throws a `FatalError` that names the line. */
export function recordReader(rules: LineRules): (lines: readonly Buffer[], before: number) => NewRecord[] {
  const toRecord = rules.format === 'json' ? jsonRecord : plainRecord(rules);
  return (lines, before) =>
    lines.map((line, i) => {
      try {
        return toRecord(line);
      } catch (error) {
        if (error instanceof RecordError) throw new FatalError(`line ${before + i + 1} of the input: ${error.message}`);
        throw error;
      }
    });
}

/** The whole input as one record's value. */
export function wholeRecord(value: Buffer, rules: LineRules): NewRecord {
  return plainRecord({ ...rules, keySeparator: undefined })(value);
}

function jsonRecord(line: Buffer): NewRecord {
  return recordFromJson(line.toString('utf8'));
}

function plainRecord(rules: LineRules): (line: Buffer) => NewRecord {
  const { partition } = rules;
  const fixedKey = rules.key === undefined ? null : Buffer.from(rules.key);
  const separator = rules.keySeparator === undefined ? undefined : Buffer.from(rules.keySeparator);
  const nullValue = rules.nullValue === undefined ? undefined : Buffer.from(rules.nullValue);
  const headers = new Map<string, Buffer[]>();
  for (const [name, value] of rules.headers) headers.set(name, [...(headers.get(name) ?? []), Buffer.from(value)]);
  const asValue = (bytes: Buffer) => (nullValue?.equals(bytes) ? null : bytes);
  return (line) => {
    if (separator === undefined) {
      return { key: fixedKey, value: asValue(line), headers, partition, timestampMs: undefined };
    }
    const at = line.indexOf(separator);
    if (at < 0) throw new RecordError(`no key separator ${JSON.stringify(rules.keySeparator)} in it`);
    const value = asValue(line.subarray(at + separator.length));
    return { key: line.subarray(0, at), value, headers, partition, timestampMs: undefined };
  };
}
