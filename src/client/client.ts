import type {
  ConsistencySymbol,
  EachFailure,
  EachReading,
  EachWritten,
  EntryData,
  PositionData,
  ReadingData,
  ScanPageData,
  WaitSymbol,
  WriteData,
  WrittenData,
} from '../avro/wire/database-data.ts';
import {
  addressesOf,
  type Bytes,
  bytesOf,
  choiceOf,
  contentTypeOf,
  countOf,
  durationOf,
  flagOf,
  listOf,
  timeoutOf,
} from './arguments.ts';
import { CallQueue } from './call-queue.ts';
import { DatabaseError } from './errors.ts';
import { SessionPositions } from './session-positions.ts';

export type { Bytes } from './arguments.ts';
export { DatabaseError } from './errors.ts';

export interface ConnectOptions {
  /** `host:port` of the Avro sockets of one or more nodes; the first that can be reached is used. */
  readonly nodes: readonly string[];
  /**
   * How long a call may take, the search for a node included. 15,000 by default, which is longer than a node lets a write wait
   * for the log by default: so it is the node that tells what became of it.
   */
  readonly timeoutMs?: number;
}

export interface Entry {
  readonly value: Buffer;
  /** With `offset` the version of the value. */
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
  /** Whether the node's own copy of the log has told, or another node. */
  readonly source: 'log' | 'peer';
}

/**
 * - `session` (default): not older than anything that this client has seen or written, on whatever node.
 * - `local`: what the node has.
 * - `linearizable`: everything that was in the log when the node got the call.
 */
export type Consistency = 'session' | 'local' | 'linearizable';

export interface ReadOptions {
  readonly consistency?: Consistency;
}

/** Keys that meet every bound given, in byte order. */
export interface ScanRange extends ReadOptions {
  readonly prefix?: Bytes;
  /** The least key. */
  readonly from?: Bytes;
  /** Less than this. */
  readonly to?: Bytes;
  /** Greater than this: the last key of a scan that is to go on. */
  readonly after?: Bytes;
  /** Entries at most; all there are by default. */
  readonly limit?: number;
}

export interface ScannedKey {
  readonly key: Buffer;
  /** With `offset` the version of the value. */
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
}

export interface ScannedEntry extends ScannedKey {
  readonly value: Buffer;
}

export interface WriteOptions {
  /** Answered when the node's own reads see the write (default), or as soon as the log has it. */
  readonly wait?: 'applied' | 'logged';
}

export interface PutOptions extends WriteOptions {
  /** The value is gone when so many milliseconds have passed. */
  readonly ttlMs?: number;
  readonly contentType?: string;
}

/** One of several writes; `value` null deletes the key. */
export interface Write {
  readonly key: Bytes;
  readonly value: Bytes | null;
  readonly ttlMs?: number;
  readonly contentType?: string;
}

export interface Written {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** Whether the node's own reads see it already. */
  readonly applied: boolean;
}

const defaultTimeoutMs = 15_000;
/** A node gives fewer where it sees fit. */
const pageEntries = 1_000;
const noBytes = Buffer.alloc(0);
const waits: Readonly<Record<'applied' | 'logged', WaitSymbol>> = { applied: 'APPLIED', logged: 'LOGGED' };
const consistencies: Readonly<Record<Consistency, ConsistencySymbol>> = {
  session: 'SESSION',
  local: 'LOCAL',
  linearizable: 'LINEARIZABLE',
};

/**
 * Connects to the first of the nodes that can be reached. Rejects with a `DatabaseError`, `unavailable` or `timeout`, when none
 * answers within `timeoutMs`, and with a `TypeError` for options that make no sense.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const client = new Client(options);
  try {
    await client.ping();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/**
 * A client of a bitacora cluster, over one connection to one node at a time; it goes on to the next node when that one ends, hangs
 * or cannot serve. Positions of answers are kept and sent with reads, so that a session goes on at any node.
 *
 * Calls leave in the order in which they are made, without waiting for each other's answers. Every method rejects with a
 * `DatabaseError`, and with a `TypeError` for arguments that make no sense. Reads are asked again at another node as long as
 * there is time. A write is sent again only when a node has said that nothing was done, and not behind a later write of the same
 * key; when it was sent and not answered, it rejects with `write_outcome_unknown`.
 */
export class Client {
  readonly #calls: CallQueue;
  readonly #positions = new SessionPositions();

  constructor({ nodes, timeoutMs = defaultTimeoutMs }: ConnectOptions) {
    this.#calls = new CallQueue({ nodes: addressesOf(nodes), timeoutMs: timeoutOf(timeoutMs) });
  }

  /** Resolves when a node has answered. */
  async ping(): Promise<void> {
    await this.#calls.ask({ message: '', bytes: 0, parameters: () => null });
  }

  /** The value under the key, or undefined when there is none. */
  async get(key: Bytes, { consistency = 'session' }: ReadOptions = {}): Promise<Entry | undefined> {
    const [bytes, level] = [bytesOf('key', key), choiceOf('consistency', consistencies, consistency)];
    const parameters = () => ({ key: bytes, consistency: level, positions: this.#positionsFor(level) });
    const answer = await this.#calls.ask({ message: 'get', bytes: bytes.length, parameters });
    return this.#entryOf(answer as ReadingData);
  }

  /** One answer for each key, in their order. Keys are read each by itself, not at one instant. */
  async getMany(
    keys: readonly Bytes[],
    { consistency = 'session' }: ReadOptions = {},
  ): Promise<PromiseSettledResult<Entry | undefined>[]> {
    const list = listOf('keys', keys).map((key) => bytesOf('key', key));
    const level = choiceOf('consistency', consistencies, consistency);
    const parameters = () => ({ keys: list, consistency: level, positions: this.#positionsFor(level) });
    const answer = await this.#calls.ask({ message: 'multiGet', bytes: sizeOf(list), parameters });
    const answers = oneEach(answer as EachReading[], list.length, 'internal', 500);
    return answers.map((each) =>
      'bitacora.rpc.Reading' in each
        ? { status: 'fulfilled', value: this.#entryOf(each['bitacora.rpc.Reading']) }
        : rejectedBy(each),
    );
  }

  /**
   * The entries of a range, in byte order of their keys, a page at a time: what is written meanwhile may be among them or not, and a
   * key that is there all the time comes once. When a node is lost, the scan goes on at another. With `keysOnly` values stay where
   * they are.
   */
  scan(range: ScanRange & { readonly keysOnly: true }): AsyncGenerator<ScannedKey, void, undefined>;
  scan(range?: ScanRange & { readonly keysOnly?: false }): AsyncGenerator<ScannedEntry, void, undefined>;
  async *scan(range: ScanRange & { readonly keysOnly?: boolean } = {}): AsyncGenerator<ScannedKey, void, undefined> {
    const { prefix = noBytes, from, to, limit, keysOnly = false, consistency = 'session' } = range;
    const level = choiceOf('consistency', consistencies, consistency);
    const bounds = {
      prefix: bytesOf('prefix', prefix),
      fromKey: from === undefined ? null : bytesOf('from', from),
      toKey: to === undefined ? null : bytesOf('to', to),
      keysOnly: flagOf('keysOnly', keysOnly),
      consistency: level,
    };
    let after = range.after === undefined ? null : bytesOf('after', range.after);
    let left = limit === undefined ? Number.POSITIVE_INFINITY : countOf('limit', limit);
    do {
      const asked = { ...bounds, after, limit: Math.min(left, pageEntries) };
      const parameters = () => ({ ...asked, positions: this.#positionsFor(level) });
      const bytes = sizeOf([asked.prefix, asked.fromKey, asked.toKey, after].flatMap((bound) => bound ?? []));
      const page = (await this.#calls.ask({ message: 'scan', bytes, parameters })) as ScanPageData;
      checkPage(page, asked);
      for (const { partition, position } of page.positions) this.#positions.saw(partition, position);
      for (const entry of page.entries) yield scannedOf(entry);
      left -= page.entries.length;
      after = page.after;
    } while (after !== null && left > 0);
  }

  async put(key: Bytes, value: Bytes, { wait = 'applied', ttlMs, contentType }: PutOptions = {}): Promise<Written> {
    const write = {
      key: bytesOf('key', key),
      value: bytesOf('value', value),
      ttlMs: durationOf(ttlMs),
      contentType: contentTypeOf(contentType),
      wait: choiceOf('wait', waits, wait),
    };
    const bytes = write.key.length + write.value.length;
    const answer = await this.#calls.ask({ message: 'put', bytes, writes: [write.key], parameters: () => write });
    return this.#writtenOf(answer as WrittenData);
  }

  /** To delete a key that is not there is a write like any other. */
  async delete(key: Bytes, { wait = 'applied' }: WriteOptions = {}): Promise<Written> {
    const write = { key: bytesOf('key', key), wait: choiceOf('wait', waits, wait) };
    const [bytes, writes] = [write.key.length, [write.key]];
    const answer = await this.#calls.ask({ message: 'remove', bytes, writes, parameters: () => write });
    return this.#writtenOf(answer as WrittenData);
  }

  /** One answer for each write, in their order. Writes succeed and fail each by itself, and none is sent again. */
  async putMany(
    writes: readonly Write[],
    { wait = 'applied' }: WriteOptions = {},
  ): Promise<PromiseSettledResult<Written>[]> {
    const list = listOf('writes', writes).map(writeData);
    const call = { writes: list, wait: choiceOf('wait', waits, wait) };
    const keys = list.map(({ key }) => key);
    const bytes = sizeOf(keys) + sizeOf(list.flatMap(({ value }) => value ?? []));
    const answer = await this.#calls.ask({ message: 'multiPut', bytes, writes: keys, parameters: () => call });
    const answers = oneEach(answer as EachWritten[], list.length, 'write_outcome_unknown', 504);
    return answers.map((each) =>
      'bitacora.rpc.Written' in each
        ? { status: 'fulfilled', value: this.#writtenOf(each['bitacora.rpc.Written']) }
        : rejectedBy(each),
    );
  }

  /** Takes no more calls, waits for those under way, which is at most `timeoutMs`, and ends the connection. */
  async close(): Promise<void> {
    await this.#calls.close();
  }

  #positionsFor(level: ConsistencySymbol): readonly PositionData[] {
    return level === 'SESSION' ? this.#positions.data() : [];
  }

  #entryOf({ found, source, partition, position }: ReadingData): Entry | undefined {
    this.#positions.saw(partition, position);
    if (found === null) return undefined;
    return {
      value: found.value,
      partition: found.partition,
      offset: found.offset,
      timestampMs: found.timestampMs,
      expiresAtMs: found.expiresAtMs ?? undefined,
      contentType: found.contentType ?? undefined,
      source: source === 'LOG' ? 'log' : 'peer',
    };
  }

  #writtenOf({ partition, offset, timestampMs, applied }: WrittenData): Written {
    this.#positions.saw(partition, offset + 1);
    return { partition, offset, timestampMs, applied };
  }
}

function scannedOf({
  key,
  value,
  partition,
  offset,
  timestampMs,
  expiresAtMs,
  contentType,
}: EntryData): ScannedKey | ScannedEntry {
  const version = { partition, offset, timestampMs };
  const told = { ...version, expiresAtMs: expiresAtMs ?? undefined, contentType: contentType ?? undefined };
  return value === null ? { key, ...told } : { key, value, ...told };
}

interface AskedPage {
  readonly after: Buffer | null;
  readonly limit: number;
  readonly keysOnly: boolean;
}

/** Throws a `DatabaseError` for a page that is not what was asked for, or would not bring the scan forward. */
function checkPage({ entries, after: next }: ScanPageData, { after, limit, keysOnly }: AskedPage): void {
  const last = entries.at(-1)?.key ?? after;
  const isForward = next === null || last === null || Buffer.compare(next, last) >= 0;
  const isStill = next !== null && after !== null && Buffer.compare(next, after) <= 0;
  const isAsAsked = entries.length <= limit && entries.every(({ value }) => (value === null) === keysOnly);
  if (isAsAsked && isForward && !isStill) return;
  throw new DatabaseError('internal', 'The node answered with a page of a scan that was not asked for.', 500);
}

function writeData({ key, value, ttlMs, contentType }: Write): WriteData {
  return {
    key: bytesOf('key', key),
    value: value === null ? null : bytesOf('value', value),
    ttlMs: durationOf(ttlMs),
    contentType: contentTypeOf(contentType),
  };
}

function sizeOf(list: readonly Buffer[]): number {
  return list.reduce((bytes, { length }) => bytes + length, 0);
}

/** Throws a `DatabaseError` when there is not one answer for each: which is whose could not be told. */
function oneEach<T>(answers: readonly T[], count: number, code: string, status: number): readonly T[] {
  if (answers.length === count) return answers;
  throw new DatabaseError(code, `The node gave ${answers.length} answers where ${count} were due.`, status);
}

function rejectedBy({ 'bitacora.rpc.Failure': { code, status, detail } }: EachFailure): PromiseRejectedResult {
  return { status: 'rejected', reason: new DatabaseError(code, detail, status) };
}
