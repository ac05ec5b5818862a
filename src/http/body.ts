import type { IncomingMessage } from 'node:http';
import { BitacoraError, type ErrorCode } from '../kernel/errors.ts';

/** The body is over the limit. The rest of it is still on the connection, which therefore has to be closed. */
export class BodyTooLargeError extends BitacoraError {
  constructor({ code, detail }: BodyLimit) {
    super(code, detail);
  }
}

/** How large a body may be, and what is said of a larger one. */
export interface BodyLimit {
  readonly bytesMax: number;
  readonly code: ErrorCode;
  readonly detail: string;
}

/** Of a body that is a value. */
export function valueLimit(bytesMax: number): BodyLimit {
  return { bytesMax, code: 'value_too_large', detail: `A value may have ${bytesMax} bytes (VALUE_BYTES_MAX).` };
}

/** Whether the headers alone tell that the body is over the limit. */
export function announcesTooMuch(request: IncomingMessage, { bytesMax }: BodyLimit): boolean {
  return Number(request.headers['content-length']) > bytesMax;
}

/**
 * The body, whole; undefined when the request has none. (express' own parser is of no use here: it reads a body that is too
 * large to its end before it says so.) Rejects with `BodyTooLargeError` as soon as the limit is passed, with
 * `content_encoding_unsupported`, or with `request_malformed` when the client goes away in the middle.
 */
export async function readBody(request: IncomingMessage, limit: BodyLimit): Promise<Buffer | undefined> {
  const { 'content-length': length, 'transfer-encoding': transfer, 'content-encoding': encoding } = request.headers;
  if (length === undefined && transfer === undefined) return undefined;
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new BitacoraError('content_encoding_unsupported', 'Send the body as it is, without Content-Encoding.');
  }
  if (announcesTooMuch(request, limit)) throw new BodyTooLargeError(limit);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limit.bytesMax) {
        request.pause();
        reject(new BodyTooLargeError(limit));
      } else {
        chunks.push(chunk);
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', (error) => reject(cutShort(error)));
    request.on('close', () => {
      // It closes after its end too, and an error that nobody sees would be made for every write.
      if (!request.readableEnded) reject(cutShort(undefined));
    });
  });
}

function cutShort(cause: Error | undefined): BitacoraError {
  return new BitacoraError('request_malformed', 'The body ended before its announced length.', { cause });
}
