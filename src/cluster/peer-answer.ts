import type { StoredValue } from '../store/store.ts';

/** What a peer has under a key. */
export interface PeerAnswer {
  /** The peer's applied position of the key's partition when it looked. */
  readonly position: number;
  /** Whether the peer has read all of the partition that was there when it started. */
  readonly caughtUp: boolean;
  /** undefined: not found. */
  readonly value: StoredValue | undefined;
}

/** A peer's answer as it came, not yet believed. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; a field that came several times is an array. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface Expected {
  /** The key's home partition. */
  readonly partition: number;
  /** Which topic of which cluster this node reads, as `topicName` writes it. */
  readonly topic: string;
}

/** Why an answer cannot be used. */
export type Refusal =
  /** An error that says that the peer cannot tell, such as 503. */
  | 'unavailable'
  /** The answer is of another topic, or another cluster's: the peer is no peer of this node. */
  | 'foreign'
  /** Not what a node answers. */
  | 'malformed';

/** The name of a topic for comparison between nodes. Two clusters may have topics of one name. */
export function topicName(clusterId: string | undefined, topic: string): string {
  return `${encodeURIComponent(clusterId ?? '-')}/${topic}`;
}

/** A peer's answer to `GET /rpc/cluster?key=`, checked field by field: whatever answered may not be a node at all. */
export function parseAnswer(raw: RawAnswer, expected: Expected): PeerAnswer | Refusal {
  const { status, headers, body } = raw;
  if (status >= 500) return 'unavailable';
  if (status !== 200 && status !== 404) return 'malformed';
  const [, partition, position] = /^(\d{1,6}):(\d{1,16})$/.exec(field(headers, 'bitacora-position')) ?? [];
  const caughtUp = field(headers, 'bitacora-caught-up');
  const topic = field(headers, 'bitacora-topic');
  if (partition === undefined || !isCount(position) || !/^(true|false)$/.test(caughtUp)) return 'malformed';
  if (topic !== expected.topic) return 'foreign';
  if (Number(partition) !== expected.partition) return 'foreign';
  const common = { position: Number(position), caughtUp: caughtUp === 'true' };
  if (status === 404) {
    return mediaType(headers) === 'application/problem+json' ? { ...common, value: undefined } : 'malformed';
  }
  const value = parseValue(headers, body, expected.partition);
  if (value === undefined || value.offset >= common.position) return 'malformed';
  return { ...common, value };
}

function parseValue(headers: RawAnswer['headers'], bytes: Buffer, partition: number): StoredValue | undefined {
  const offset = field(headers, 'bitacora-offset');
  const timestamp = field(headers, 'bitacora-timestamp');
  const expiresAt = headers['bitacora-expires-at'];
  const contentType = headers['bitacora-content-type'];
  if (mediaType(headers) !== 'application/octet-stream' || headers['content-encoding'] !== undefined) return undefined;
  if (!isCount(offset) || !isCount(timestamp.replace(/^-/, ''))) return undefined;
  if (expiresAt !== undefined && !isCount(expiresAt)) return undefined;
  if (contentType !== undefined && typeof contentType !== 'string') return undefined;
  return new PeerValue({
    partition,
    offset: Number(offset),
    timestampMs: Number(timestamp),
    expiresAtMs: expiresAt === undefined ? undefined : Number(expiresAt),
    contentType,
    bytes,
  });
}

/** The value of a header, and nothing for one that is not there or there twice. */
function field(headers: RawAnswer['headers'], name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
}

function mediaType(headers: RawAnswer['headers']): string {
  return field(headers, 'content-type').split(';', 1)[0]!.trim().toLowerCase();
}

function isCount(text: string | string[] | undefined): boolean {
  return typeof text === 'string' && /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text));
}

interface PeerValueFields extends Omit<StoredValue, 'value' | 'latin1'> {
  readonly bytes: Buffer;
}

/** A value that came from a peer. It answers the callers of one look-up and is never put into the store. */
class PeerValue implements StoredValue {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
  readonly #bytes: Buffer;

  constructor({ partition, offset, timestampMs, expiresAtMs, contentType, bytes }: PeerValueFields) {
    this.partition = partition;
    this.offset = offset;
    this.timestampMs = timestampMs;
    this.expiresAtMs = expiresAtMs;
    this.contentType = contentType;
    this.#bytes = bytes;
  }

  get value(): Buffer {
    return Buffer.from(this.#bytes);
  }

  get latin1(): string {
    return this.#bytes.toString('latin1');
  }
}
