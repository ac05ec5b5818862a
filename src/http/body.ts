import type { IncomingMessage } from 'node:http';
import { BitacoraError } from '../kernel/errors.ts';

/** The body is over the limit. The rest of it is still on the connection, which therefore has to be closed. */
export class BodyTooLargeError extends BitacoraError {
  constructor(bytesMax: number) {
    super('value_too_large', `A value may have ${bytesMax} bytes (VALUE_BYTES_MAX).`);
  }
}

/** Whether the headers alone tell that the body is over the limit. */
export function announcesTooMuch(request: IncomingMessage, bytesMax: number): boolean {
  return Number(request.headers['content-length']) > bytesMax;
}

/**
 * The body, whole; undefined when the request has none. (express' own parser is of no use here: it reads a body that is too
 * large to its end before it says so.) Rejects with `BodyTooLargeError` as soon as the limit is passed, with
 * `content_encoding_unsupported`, or with `request_malformed` when the client goes away in the middle.
 */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  const { 'content-length': length, 'transfer-encoding': transfer, 'content-encoding': encoding } = request.headers;
  if (length === undefined && transfer === undefined) return undefined;
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new BitacoraError('content_encoding_unsupported', 'Send the value as it is, without Content-Encoding.');
  }
  if (announcesTooMuch(request, bytesMax)) throw new BodyTooLargeError(bytesMax);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bytesMax) {
        request.pause();
        reject(new BodyTooLargeError(bytesMax));
      } else {
        chunks.push(chunk);
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', (error) => reject(cutShort(error)));
    request.on('close', () => reject(cutShort(undefined)));
  });
}

function cutShort(cause: Error | undefined): BitacoraError {
  return new BitacoraError('request_malformed', 'The body ended before its announced length.', { cause });
}
