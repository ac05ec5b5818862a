import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import accepts from 'accepts';
import type { Consistency, Database, Peeked, Reading, StoredValue } from '../database/database.ts';
import { BitacoraError } from '../kernel/errors.ts';
import { sendError } from './problem.ts';
import { formatPosition, parsePositions } from './session-position.ts';
import { keyOf, parseTarget } from './target.ts';

/** Answers a request, or throws or rejects, and then nothing has been sent. */
export type ReadHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const readParameters = ['key', 'consistency'];

type Representation = 'json' | 'bytes' | 'text';

/**
 * `GET` and `HEAD /rpc?key=`. It stands in front of express, on plain node:http, because a read from memory takes less time
 * than express needs to find a route (see `npm run bench -- http`). The plainest request, `/rpc?key=K`, does not even make a
 * promise.
 */
export function readHandler(database: Database): ReadHandler {
  return (request, response) => {
    const url = request.url ?? '';
    // The plainest request of all needs no taking apart: one parameter, nothing encoded.
    if (url.startsWith('/rpc?key=') && !/[%+&]/.test(url)) {
      const key = Buffer.from(url.slice('/rpc?key='.length), 'latin1');
      return answerWhenRead(request, response, key, database.read(key));
    }
    const target = parseTarget(url, readParameters);
    const key = keyOf(target);
    const consistency = consistencyOf(target.parameters.get('consistency'), request);
    return answerWhenRead(request, response, key, database.readConsistently(key, consistency));
  };
}

/** `GET` and `HEAD /rpc/cluster?key=`: what this node has, for other nodes, which weigh it by its position. */
export function peekHandler(database: Database): ReadHandler {
  return (request, response) => {
    const key = keyOf(parseTarget(request.url ?? '', ['key']));
    const reading = database.peek(key);
    answerReading(request, response, key, reading, weightOf(reading));
  };
}

/** By what another node weighs an answer, beside its position. */
function weightOf({ caughtUp, topic }: Peeked): readonly string[] {
  return ['Bitacora-Caught-Up', String(caughtUp), 'Bitacora-Topic', topic];
}

function answerWhenRead(
  request: IncomingMessage,
  response: ServerResponse,
  key: Buffer,
  reading: Reading | Promise<Reading>,
): void | Promise<void> {
  if (!(reading instanceof Promise)) return answerReading(request, response, key, reading);
  return reading.then((found) => answerReading(request, response, key, found));
}

function consistencyOf(parameter: Buffer | undefined, request: IncomingMessage): Consistency {
  const level = parameter?.toString('latin1') ?? 'local';
  switch (level) {
    case 'local':
    case 'linearizable':
      return { level };
    case 'session': {
      const header = request.headers['bitacora-position'];
      if (header === undefined) {
        const detail = 'A session read sends back, in Bitacora-Position, the positions that earlier answers carried.';
        throw new BitacoraError('parameter_invalid', detail);
      }
      return { level, positions: parsePositions(String(header)) };
    }
    default:
      throw new BitacoraError('parameter_invalid', 'consistency is local, session or linearizable.');
  }
}

function answerReading(
  request: IncomingMessage,
  response: ServerResponse,
  key: Buffer,
  { partition, position, found, source }: Reading,
  moreHeaders: readonly string[] = [],
): void {
  const positionHeader = formatPosition(partition, position);
  if (found === undefined) {
    const error = new BitacoraError('key_not_found', 'No value is stored under the key.');
    const headers = ['Bitacora-Partition', String(partition), 'Bitacora-Position', positionHeader, ...moreHeaders];
    sendError(response, error, headers);
    return;
  }
  const representation = representationOf(request);
  const version: VersionText = [String(partition), String(found.offset), String(found.timestampMs)];
  const etag = etagOf(version, representation, source);
  const headers = [
    'Bitacora-Partition',
    version[0],
    'Bitacora-Offset',
    version[1],
    'Bitacora-Timestamp',
    version[2],
    'Bitacora-Source',
    source,
    'Bitacora-Position',
    positionHeader,
    'ETag',
    etag,
    'Vary',
    'Accept',
    ...moreHeaders,
  ];
  if (found.expiresAtMs !== undefined) headers.push('Bitacora-Expires-At', String(found.expiresAtMs));
  if (found.contentType !== undefined) headers.push('Bitacora-Content-Type', printable(found.contentType));
  const condition = request.headers['if-none-match'];
  if (condition !== undefined && matches(condition, etag)) {
    response.writeHead(304, headers);
    response.end();
    return;
  }
  const body = representation === 'json' ? jsonOf(key, found, version, source) : found.value;
  headers.push('Content-Type', contentTypes[representation], 'Content-Length', String(Buffer.byteLength(body)));
  // The bytes are somebody's: no browser is to guess at a type that runs.
  if (representation !== 'json') headers.push('X-Content-Type-Options', 'nosniff');
  response.writeHead(200, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

const contentTypes: Readonly<Record<Representation, string>> = {
  json: 'application/json; charset=utf-8',
  bytes: 'application/octet-stream',
  text: 'text/plain',
};

/** JSON unless the client asks for the raw bytes; an Accept that nothing here meets gets JSON too (RFC 9110, 12.4.1). */
function representationOf(request: IncomingMessage): Representation {
  const accept = request.headers.accept;
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json';
  switch (accepts(request).type(['application/json', 'application/octet-stream', 'text/plain'])) {
    case 'application/octet-stream':
      return 'bytes';
    case 'text/plain':
      return 'text';
    default:
      return 'json';
  }
}

/** Partition, offset and timestamp as text, which an answer needs three times and V8 makes slowly. */
type VersionText = readonly [partition: string, offset: string, timestamp: string];

/**
 * A strong validator: another version of the value, or another representation of it, has another one. JSON says where the value
 * is from, so it has one for each source.
 */
function etagOf(
  [partition, offset, timestamp]: VersionText,
  representation: Representation,
  source: Reading['source'],
): string {
  const of = representation === 'json' && source === 'peer' ? 'json-peer' : representation;
  return `"${partition}-${offset}-${timestamp}-${of}"`;
}

/** If-None-Match by weak comparison (RFC 9110, 13.1.2). */
function matches(condition: string, etag: string): boolean {
  return condition.split(',').some((candidate) => {
    const tag = candidate.trim();
    return tag === '*' || tag.replace(/^W\//, '') === etag;
  });
}

/** ASCII that JSON takes as it stands: no control character, quote or backslash. */
const plainText = /^[ !#-[\]-~]*$/;

/** Bytes as JSON: text when they are UTF-8, else base64, and then the second value is what says so. */
export function jsonBytes(bytes: Buffer): [text: string, isBase64: boolean] {
  const latin1 = bytes.toString('latin1');
  if (plainText.test(latin1)) return [`"${latin1}"`, false];
  return isUtf8(bytes) ? [JSON.stringify(bytes.toString('utf8')), false] : [`"${bytes.toString('base64')}"`, true];
}

/** Written by hand: all but the two texts are numbers, and this is the hottest line of the API. */
function jsonOf(
  key: Buffer,
  stored: StoredValue,
  [partition, offset, timestamp]: VersionText,
  source: Reading['source'],
): string {
  const { latin1, expiresAtMs, contentType } = stored;
  const [keyText, keyIsBase64] = jsonBytes(key);
  const [valueText, valueIsBase64] = plainText.test(latin1) ? [`"${latin1}"`, false] : jsonBytes(stored.value);
  return (
    `{"key":${keyText}${keyIsBase64 ? ',"keyEncoding":"base64"' : ''}` +
    `,"value":${valueText}${valueIsBase64 ? ',"encoding":"base64"' : ''}` +
    `,"partition":${partition},"offset":${offset},"timestamp":${timestamp}` +
    (expiresAtMs === undefined ? '' : `,"expiresAt":${expiresAtMs}`) +
    (contentType === undefined ? '' : `,"contentType":${JSON.stringify(contentType)}`) +
    `,"source":"${source}"}\n`
  );
}

/** A record's header is any bytes; an HTTP field is not. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 256);
}
