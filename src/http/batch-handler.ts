import { isUtf8 } from 'node:buffer';
import type { ServerResponse } from 'node:http';
import type { Consistency, Database, Reading } from '../database/database.ts';
import { BitacoraError, errorTable } from '../kernel/errors.ts';
import { nextTurn } from '../kernel/turns.ts';
import { type BodyLimit, readBody } from './body.ts';
import { consistencyOf, jsonBytes, jsonReading, type ReadHandler } from './read-handler.ts';
import { HighestPositions, positionHeaderMax } from './session-position.ts';
import { parseTarget } from './target.ts';

/** Keys of one request. */
export const batchKeysMax = 1_000;
/** Values are read in steps of this many, so that not many more are read than are sent. */
const stepKeys = 128;
/** After so many bytes of keys and values have become JSON, which takes a millisecond or two, others have their turn. */
const turnBytes = 64 * 1024;
/** The bytes of the values in one answer: more would hold up others while it is made. */
export const batchValueBytesMax = 4 * 1024 * 1024;
const bodyBytesMax = 1024 * 1024;
/** Of values in a body, one within the other or side by side: four times as many as there may be. */
const bodyValuesMax = 4 * batchKeysMax;

export const batchBodyLimit: BodyLimit = {
  bytesMax: bodyBytesMax,
  code: 'body_too_large',
  detail: `The body of a batch may have ${bodyBytesMax} bytes: ask for fewer keys at once.`,
};

/**
 * `POST /rpc/batch`: the keys in the body, each answered by itself, as `GET /rpc?key=` would. In front of express like the other
 * reads.
 */
export function batchHandler(database: Database): ReadHandler {
  return async (request, response) => {
    const { parameters } = parseTarget(request.url ?? '', ['consistency']);
    const consistency = consistencyOf(parameters.get('consistency'), request);
    checkType(request.headers['content-type']);
    const keys = keysOf(await readBody(request, batchBodyLimit));
    await answerBatch(database, keys, consistency, response);
  };
}

async function answerBatch(
  database: Database,
  keys: readonly Buffer[],
  consistency: Consistency,
  response: ServerResponse,
): Promise<void> {
  const positions = new HighestPositions();
  const pieces: Buffer[] = [];
  const read = database.manyReader(consistency);
  let valueBytes = 0;
  let isFull = false;
  let opening = '{"values":[';
  for (let from = 0; from < keys.length; from += stepKeys) {
    if (from > 0) await nextTurn();
    const step = keys.slice(from, from + stepKeys);
    // At once, so that values that are not sent are let go of before others have their turn.
    const answers = (isFull ? step.map(() => tooLarge) : await read(step)).map((reading): Reading | BitacoraError => {
      if (!(reading instanceof BitacoraError)) {
        const bytes = lengthOf(reading);
        // The first value is always sent, and none behind one that is not, so that whoever asks on finds them in their order.
        isFull ||= valueBytes > 0 && valueBytes + bytes > batchValueBytesMax;
        if (!isFull) {
          valueBytes += bytes;
          positions.add(reading.partition, reading.position);
        }
      }
      return isFull ? tooLarge : reading;
    });
    let texts: string[] = [];
    let bytesOfTurn = 0;
    for (const [i, answer] of answers.entries()) {
      if (bytesOfTurn >= turnBytes) {
        pieces.push(Buffer.from(opening + texts.join()));
        opening = ',';
        texts = [];
        bytesOfTurn = 0;
        await nextTurn();
      }
      const key = step[i]!;
      texts.push(jsonAnswer(key, answer));
      bytesOfTurn += key.length + lengthOf(answer);
    }
    pieces.push(Buffer.from(opening + texts.join()));
    opening = ',';
  }
  if (pieces.length === 0) pieces.push(Buffer.from(opening));
  const position = positions.text();
  pieces.push(Buffer.from(`],"position":"${position}"}\n`));
  const body = Buffer.concat(pieces);
  const fields = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(body.length)];
  if (position !== '' && position.length <= positionHeaderMax) fields.push('Bitacora-Position', position);
  response.writeHead(200, fields);
  response.end(body);
}

const notFound = new BitacoraError('key_not_found', 'No value is stored under the key.');
const tooLarge = new BitacoraError(
  'answer_too_large',
  `The values of one answer have ${batchValueBytesMax} bytes at most, or are one value: ask for the rest again.`,
);

function lengthOf(answer: Reading | BitacoraError): number {
  return answer instanceof BitacoraError ? 0 : (answer.found?.latin1.length ?? 0);
}

/** What `GET` of the key would have answered: its JSON, or the status, code and detail of its problem. */
function jsonAnswer(key: Buffer, answer: Reading | BitacoraError): string {
  if (!(answer instanceof BitacoraError) && answer.found !== undefined) return jsonReading(key, answer.found, answer);
  const { code, detail } = answer instanceof BitacoraError ? answer : notFound;
  const [keyText, isBase64] = jsonBytes(key);
  return (
    `{"key":${keyText}${isBase64 ? ',"keyEncoding":"base64"' : ''}` +
    `,"status":${errorTable[code].status},"code":"${code}","detail":${JSON.stringify(detail)}}`
  );
}

/** Absent is taken for JSON; anything else that is named is somebody's mistake. */
function checkType(contentType: string | undefined): void {
  if (contentType === undefined || /^application\/json *(;|$)/i.test(contentType)) return;
  throw new BitacoraError('content_type_unsupported', 'Send the keys as JSON, with Content-Type: application/json.');
}

function keysOf(body: Buffer | undefined): Buffer[] {
  const members = objectOf(body);
  const unknown = Object.keys(members).find((name) => name !== 'keys' && name !== 'keyEncoding');
  if (unknown !== undefined) {
    const name = JSON.stringify(unknown.slice(0, 200));
    throw new BitacoraError('parameter_unknown', `There is no member ${name}; known: keys, keyEncoding.`);
  }
  const { keys, keyEncoding } = members;
  if (keys === undefined) throw new BitacoraError('key_missing', 'Name the keys in the body: {"keys":["KEY", ...]}.');
  if (!Array.isArray(keys)) throw new BitacoraError('parameter_invalid', '"keys" is an array of strings.');
  if (keys.length > batchKeysMax) {
    throw new BitacoraError('parameter_invalid', `One batch takes at most ${batchKeysMax} keys.`);
  }
  if (keyEncoding !== undefined && keyEncoding !== 'base64') {
    throw new BitacoraError('parameter_invalid', '"keyEncoding" is "base64", or not there for text.');
  }
  return keys.map((key: unknown, i) => keyFrom(key, keyEncoding === 'base64', i));
}

function objectOf(body: Buffer | undefined): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    // What is not UTF-8 would otherwise become other keys.
    if (body !== undefined && isUtf8(body) && !hasManyValues(body)) value = JSON.parse(body.toString('utf8'));
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new BitacoraError(
    'request_malformed',
    `The body is a JSON object in UTF-8, {"keys":["KEY", ...]}, of at most ${batchKeysMax} keys.`,
  );
}

/** Half a million values in a body that is not too large would hold up others for a tenth of a second while they are parsed. */
function hasManyValues(body: Buffer): boolean {
  let values = 0;
  let isText = false;
  for (let at = 0; at < body.length && values <= bodyValuesMax; at += 1) {
    const character = body[at];
    if (character === 0x5c) at += 1;
    else if (character === 0x22) isText = !isText;
    else if (!isText && (character === 0x2c || character === 0x5b || character === 0x7b)) values += 1;
  }
  return values > bodyValuesMax;
}

function keyFrom(key: unknown, isBase64: boolean, index: number): Buffer {
  if (typeof key !== 'string') throw new BitacoraError('parameter_invalid', `keys[${index}] is not a string.`);
  if (!isBase64) {
    // Half of a surrogate pair has no bytes in UTF-8.
    if (/\p{Surrogate}/u.test(key))
      throw new BitacoraError('parameter_invalid', `keys[${index}] is not well-formed Unicode.`);
    return Buffer.from(key);
  }
  const bytes = Buffer.from(key, 'base64');
  if (bytes.toString('base64') !== key) {
    throw new BitacoraError('parameter_invalid', `keys[${index}] is not base64 (RFC 4648, section 4, with padding).`);
  }
  return bytes;
}
