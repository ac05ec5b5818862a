import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import accepts from 'accepts';
import type { Consistency, Database, Peeked, Reading, StoredValue } from '../database/database.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Answers, FieldText } from './answers.ts';
import { problemOf } from './problem.ts';
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
export function readHandler(database: Database, answers: Answers): ReadHandler {
  return (request, response) => {
    const url = request.url ?? '';
    const plainKey = plainKeyOf(url, '/rpc?key=');
    if (plainKey !== undefined) {
      return answerWhenRead(answers, request, response, plainKey, database.read(plainKey));
    }
    const target = parseTarget(url, readParameters);
    const key = keyOf(target);
    const consistency = consistencyOf(target.parameters.get('consistency'), request);
    return answerWhenRead(answers, request, response, key, database.readConsistently(key, consistency));
  };
}

/** `GET` and `HEAD /rpc/cluster?key=`: what this node has, for other nodes, which weigh it by its position. */
export function peekHandler(database: Database, answers: Answers): ReadHandler {
  return (request, response) => {
    const url = request.url ?? '';
    const key = plainKeyOf(url, '/rpc/cluster?key=') ?? keyOf(parseTarget(url, ['key']));
    const reading = database.peek(key);
    answerReading(answers, request, response, key, reading, weightOf(reading));
  };
}

/** The key of the plainest target of all, which needs no taking apart: one parameter, nothing encoded. */
function plainKeyOf(url: string, before: string): Buffer | undefined {
  if (!url.startsWith(before) || /[%+&]/.test(url)) return undefined;
  return Buffer.from(url.slice(before.length), 'latin1');
}

/** By what another node weighs an answer, beside its position. */
function weightOf({ caughtUp, topic }: Peeked): FieldText {
  return `Bitacora-Caught-Up: ${caughtUp}\r\nBitacora-Topic: ${printable(topic)}\r\n`;
}

function answerWhenRead(
  answers: Answers,
  request: IncomingMessage,
  response: ServerResponse,
  key: Buffer,
  reading: Reading | Promise<Reading>,
): void | Promise<void> {
  if (!(reading instanceof Promise)) return answerReading(answers, request, response, key, reading);
  return reading.then((found) => answerReading(answers, request, response, key, found));
}

export function consistencyOf(parameter: Buffer | undefined, request: IncomingMessage): Consistency {
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

/** The commonest error, and the answer to every look-up of another node for a key that this one has not got. */
const notFound = problemOf('key_not_found', 'No value is stored under the key.');

function answerReading(
  answers: Answers,
  request: IncomingMessage,
  response: ServerResponse,
  key: Buffer,
  { partition, position, found, source }: Reading,
  moreFields: FieldText = '',
): void {
  if (found === undefined) {
    const where = `Bitacora-Partition: ${partition}\r\nBitacora-Position: ${formatPosition(partition, position)}\r\n`;
    answers.send(request, response, notFound.status, problemFields + where + moreFields, notFound.body);
    return;
  }
  const representation = representationOf(request);
  const version = versionOf(partition, found);
  const etag = etagOf(version, representation, source);
  let fields =
    `Bitacora-Partition: ${version[0]}\r\nBitacora-Offset: ${version[1]}\r\nBitacora-Timestamp: ${version[2]}\r\n` +
    `Bitacora-Source: ${source}\r\nBitacora-Position: ${formatPosition(partition, position)}\r\n` +
    `ETag: ${etag}\r\nVary: Accept\r\n${moreFields}`;
  if (found.expiresAtMs !== undefined) fields += `Bitacora-Expires-At: ${found.expiresAtMs}\r\n`;
  if (found.contentType !== undefined) fields += `Bitacora-Content-Type: ${printable(found.contentType)}\r\n`;
  const condition = request.headers['if-none-match'];
  if (condition !== undefined && matches(condition, etag)) {
    answers.send(request, response, 304, fields, undefined);
    return;
  }
  const body = representation === 'json' ? `${jsonOf(key, found, version, source)}\n` : found.value;
  answers.send(request, response, 200, fields + typeFields[representation], body);
}

const problemFields: FieldText = 'Content-Type: application/problem+json\r\n';
/** The raw forms are somebody's bytes: no browser is to guess at a type that runs. */
const typeFields: Readonly<Record<Representation, FieldText>> = {
  json: 'Content-Type: application/json; charset=utf-8\r\n',
  bytes: 'Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n',
  text: 'Content-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\n',
};

/**
 * In characters. What browsers send has some two hundred; the 200,000 that headers may have together would take the event loop
 * some hundred milliseconds.
 */
const acceptMax = 1_024;

/**
 * JSON unless the client asks for the raw bytes; an Accept that nothing here meets, or that is longer than anybody's, gets JSON
 * too (RFC 9110, 12.4.1).
 */
function representationOf(request: IncomingMessage): Representation {
  const accept = request.headers.accept;
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json';
  if (accept.length > acceptMax) return 'json';
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

function versionOf(partition: number, { offset, timestampMs }: StoredValue): VersionText {
  return [String(partition), String(offset), String(timestampMs)];
}

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

/** A value as a member of an object: text, or base64 and what says so. */
export function jsonValue(stored: StoredValue): string {
  const { latin1 } = stored;
  const [text, isBase64] = plainText.test(latin1) ? [`"${latin1}"`, false] : jsonBytes(stored.value);
  return `"value":${text}${isBase64 ? ',"encoding":"base64"' : ''}`;
}

/** A value that was read, as JSON. */
export function jsonReading(key: Buffer, found: StoredValue, { partition, source }: Reading): string {
  return jsonOf(key, found, versionOf(partition, found), source);
}

/** Written by hand: all but the two texts are numbers, and this is the hottest line of the API. */
function jsonOf(
  key: Buffer,
  stored: StoredValue,
  [partition, offset, timestamp]: VersionText,
  source: Reading['source'],
): string {
  const { expiresAtMs, contentType } = stored;
  const [keyText, keyIsBase64] = jsonBytes(key);
  return (
    `{"key":${keyText}${keyIsBase64 ? ',"keyEncoding":"base64"' : ''},${jsonValue(stored)}` +
    `,"partition":${partition},"offset":${offset},"timestamp":${timestamp}` +
    (expiresAtMs === undefined ? '' : `,"expiresAt":${expiresAtMs}`) +
    (contentType === undefined ? '' : `,"contentType":${JSON.stringify(contentType)}`) +
    `,"source":"${source}"}`
  );
}

/** A record's header is any bytes; an HTTP field is not. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 256);
}
