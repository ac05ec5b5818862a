import type { RequestHandler, Response } from 'express';
import type { Database, WriteOptions, Written } from '../database/database.ts';
import { BitacoraError } from '../kernel/errors.ts';
import { readBody, valueLimit } from './body.ts';
import { jsonBytes } from './read-handler.ts';
import { formatPosition } from './session-position.ts';
import { keyOf, parseTarget, type Target } from './target.ts';

/** What curl says of a body when it is not told: no claim of the user's, so not kept. */
const unclaimedType = 'application/x-www-form-urlencoded';
const contentTypeMax = 256;

/** `PUT` and `POST /rpc?key=`: the value is the body, or the parameter `value`. */
export function putHandler(database: Database, nowMs: () => number): RequestHandler {
  const limit = valueLimit(database.valueBytesMax);
  return async (request, response) => {
    const target = parseTarget(request.originalUrl, ['key', 'value', 'wait', 'ttlMs']);
    const key = keyOf(target);
    const parameter = target.parameters.get('value');
    const body = await readBody(request, limit);
    if (parameter !== undefined && body !== undefined && body.length > 0) {
      throw new BitacoraError('value_ambiguous', 'Send the value as the parameter "value" or as the body, not both.');
    }
    const value = parameter ?? body;
    if (value === undefined) {
      throw new BitacoraError(
        'value_missing',
        'Send the value as the body, or as the parameter "value"; DELETE deletes.',
      );
    }
    const contentType = parameter === undefined ? request.headers['content-type'] : undefined;
    const written = await database.put(key, value, {
      wait: waitOf(target),
      expiresAtMs: expiryOf(target, nowMs()),
      contentType: contentType === unclaimedType ? undefined : contentType?.slice(0, contentTypeMax),
    });
    answerWritten(response, key, written);
  };
}

/** `DELETE /rpc?key=`. */
export function deleteHandler(database: Database): RequestHandler {
  return async (request, response) => {
    const target = parseTarget(request.originalUrl, ['key', 'wait']);
    const key = keyOf(target);
    answerWritten(response, key, await database.delete(key, { wait: waitOf(target) }));
  };
}

function waitOf({ parameters }: Target): WriteOptions['wait'] {
  const wait = parameters.get('wait')?.toString('latin1') ?? 'applied';
  if (wait === 'applied' || wait === 'logged') return wait;
  throw new BitacoraError('parameter_invalid', 'wait is applied or logged.');
}

function expiryOf({ parameters }: Target, nowMs: number): number | undefined {
  const text = parameters.get('ttlMs')?.toString('latin1');
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,12}$/.test(text)) {
    throw new BitacoraError('parameter_invalid', 'ttlMs is a number of milliseconds, from 1 to 9999999999999.');
  }
  return nowMs + Number(text);
}

function answerWritten(response: Response, key: Buffer, written: Written): void {
  const { partition, offset, timestampMs, applied } = written;
  const [keyText, keyIsBase64] = jsonBytes(key);
  const body =
    `{"key":${keyText}${keyIsBase64 ? ',"keyEncoding":"base64"' : ''}` +
    `,"partition":${partition},"offset":${offset},"timestamp":${timestampMs}${applied ? '' : ',"applied":false'}}\n`;
  response.writeHead(200, [
    'Content-Type',
    'application/json; charset=utf-8',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Bitacora-Partition',
    String(partition),
    'Bitacora-Offset',
    String(offset),
    'Bitacora-Timestamp',
    String(timestampMs),
    'Bitacora-Position',
    formatPosition(partition, offset + 1),
  ]);
  response.end(body);
}
