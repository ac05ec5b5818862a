import type { RequestHandler } from 'express';
import { type Database, type KeyRange, type Scan, type StoredValue, scanLimitMax } from '../database/database.ts';
import { BitacoraError } from '../kernel/errors.ts';
import { consistencyOf, jsonBytes, jsonValue } from './read-handler.ts';
import { formatPosition, positionHeaderMax } from './session-position.ts';
import { parseTarget, type Target } from './target.ts';

const scanParameters = ['prefix', 'from', 'to', 'after', 'limit', 'keysOnly', 'consistency'];
const limitDefault = 100;

/**
 * `GET` and `HEAD /rpc/scan`: keys in byte order. Each page of the store becomes JSON before the next one is read, with a turn
 * of the event loop in between, so that the longest answer holds nobody up.
 */
export function scanHandler(database: Database): RequestHandler {
  return async (request, response) => {
    const { parameters } = parseTarget(request.originalUrl, scanParameters);
    const range = rangeOf(parameters);
    const scan = await database.scan(consistencyOf(parameters.get('consistency'), request));
    const pieces: Buffer[] = [];
    let opening = '{"entries":[';
    let after: Buffer | undefined;
    for await (const page of scan.pages(range)) {
      after = page.after;
      if (page.entries.length === 0) continue;
      const entries = page.entries.map(([key, stored]) => jsonEntry(key, stored, range.keysOnly));
      pieces.push(Buffer.from(opening + entries.join()));
      opening = ',';
    }
    if (pieces.length === 0) pieces.push(Buffer.from(opening));
    const position = positionOf(scan);
    pieces.push(Buffer.from(`]${after === undefined ? '' : jsonAfter(after)},"position":"${position}"}\n`));
    const fields = [
      'Content-Type',
      'application/json; charset=utf-8',
      'Content-Length',
      String(pieces.reduce((bytes, { length }) => bytes + length, 0)),
    ];
    if (position.length <= positionHeaderMax) fields.push('Bitacora-Position', position);
    response.writeHead(200, fields);
    if (request.method !== 'HEAD') for (const piece of pieces) response.write(piece);
    response.end();
  };
}

function rangeOf(parameters: Target['parameters']): KeyRange {
  return {
    prefix: parameters.get('prefix'),
    from: parameters.get('from'),
    to: parameters.get('to'),
    after: parameters.get('after'),
    limit: limitOf(parameters.get('limit')?.toString('latin1')),
    keysOnly: keysOnlyOf(parameters.get('keysOnly')?.toString('latin1')),
  };
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return limitDefault;
  const limit = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= scanLimitMax) return limit;
  throw new BitacoraError('parameter_invalid', `limit is a number of entries, from 1 to ${scanLimitMax}.`);
}

function keysOnlyOf(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw new BitacoraError('parameter_invalid', 'keysOnly is true or false.');
}

/** Of all partitions, as a session read sends it back. */
function positionOf(scan: Scan): string {
  return scan.positions.map((position, partition) => formatPosition(partition, position)).join(',');
}

function jsonEntry(key: Buffer, stored: StoredValue, keysOnly = false): string {
  const { partition, offset, timestampMs, expiresAtMs, contentType } = stored;
  const [keyText, isBase64] = jsonBytes(key);
  return (
    `{"key":${keyText}${isBase64 ? ',"keyEncoding":"base64"' : ''}` +
    (keysOnly ? '' : `,${jsonValue(stored)}`) +
    `,"partition":${partition},"offset":${offset},"timestamp":${timestampMs}` +
    (expiresAtMs === undefined ? '' : `,"expiresAt":${expiresAtMs}`) +
    `${contentType === undefined ? '' : `,"contentType":${JSON.stringify(contentType)}`}}`
  );
}

function jsonAfter(after: Buffer): string {
  const [text, isBase64] = jsonBytes(after);
  return `,"after":${text}${isBase64 ? ',"afterEncoding":"base64"' : ''}`;
}
