import { isUtf8 } from 'node:buffer';

/** A record on its way into the log. */
export interface NewRecord {
  readonly key: Buffer | null;
  /** Null deletes the key, on a compacted topic. */
  readonly value: Buffer | null;
  /** By name, every value that the name has; null is a header without a value. */
  readonly headers: ReadonlyMap<string, ReadonlyArray<Buffer | null>>;
  /** Chosen by the key where undefined. */
  readonly partition: number | undefined;
  /** The time of sending where undefined. */
  readonly timestampMs: number | undefined;
}

/** A record as the log has it. */
export interface LoggedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: ReadonlyMap<string, ReadonlyArray<Buffer | null>>;
}

/** What a line cannot be taken for; the message completes "line 3: ". */
export class RecordError extends Error {}

/** Bytes that are UTF-8 are a string, others say that they are base64: nothing is lost and no string is mistaken. */
type JsonBytes = string | null | { readonly base64: string };

export function recordToJson(record: LoggedRecord): string {
  const headers = Object.create(null) as Record<string, JsonBytes | JsonBytes[]>;
  for (const [name, values] of record.headers) {
    const texts = values.map(toJson);
    headers[name] = texts.length === 1 ? texts[0]! : texts;
  }
  return JSON.stringify({
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestampMs,
    key: toJson(record.key),
    value: toJson(record.value),
    headers,
  });
}

/** What consuming adds to a record and a new one has no use for: so that the output of one command is the input of another. */
const ignored = new Set(['topic', 'offset']);
const taken = new Set(['key', 'value', 'headers', 'partition', 'timestamp']);

/** Throws a `RecordError`. */
export function recordFromJson(text: string): NewRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new RecordError(`not JSON (${(error as Error).message})`);
  }
  if (!isObject(json)) throw new RecordError('not a JSON object');
  const stranger = Object.keys(json).find((name) => !taken.has(name) && !ignored.has(name));
  if (stranger !== undefined) {
    throw new RecordError(`unknown field ${JSON.stringify(stranger)}: expected ${[...taken].join(', ')}`);
  }
  if (json.value === undefined) throw new RecordError('no value; null is a tombstone');
  return {
    key: json.key === undefined ? null : fromJson('key', json.key),
    value: fromJson('value', json.value),
    headers: headersFromJson(json.headers),
    partition: integerFromJson('partition', json.partition, 2 ** 31 - 1),
    timestampMs: integerFromJson('timestamp', json.timestamp, Number.MAX_SAFE_INTEGER),
  };
}

function headersFromJson(json: unknown): NewRecord['headers'] {
  if (json === undefined) return new Map();
  if (!isObject(json)) throw new RecordError('headers is not an object');
  return new Map(
    Object.entries(json).map(([name, value]) => [
      name,
      (Array.isArray(value) ? value : [value]).map((each) => fromJson(`header ${JSON.stringify(name)}`, each)),
    ]),
  );
}

function toJson(bytes: Buffer | null): JsonBytes {
  if (bytes === null) return null;
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') };
}

function fromJson(what: string, json: unknown): Buffer | null {
  if (json === null) return null;
  if (typeof json === 'string') return Buffer.from(json, 'utf8');
  if (isObject(json) && typeof json.base64 === 'string' && Object.keys(json).length === 1) {
    const bytes = Buffer.from(json.base64, 'base64');
    // Node.js skips what is not base64; what is left out here would be missing from the record.
    if (bytes.toString('base64').replace(/=+$/, '') === json.base64.replace(/=+$/, '')) return bytes;
    throw new RecordError(`${what} is not base64`);
  }
  throw new RecordError(`${what} is not a string, null or {"base64": "..."}`);
}

function integerFromJson(what: string, json: unknown, max: number): number | undefined {
  if (json === undefined) return undefined;
  if (typeof json === 'number' && Number.isInteger(json) && json >= 0 && json <= max) return json;
  throw new RecordError(`${what} is not an integer of 0 to ${max}`);
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
