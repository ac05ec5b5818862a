import type { ServerResponse } from 'node:http';
import { BitacoraError, type ErrorCode, errorTable } from '../kernel/errors.ts';

/** Seconds after which it makes sense to ask again, for answers that say so (RFC 9110, Retry-After). */
const retryAfterSeconds = 1;

export interface Problem {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

/** An error as RFC 9457 problem details; `code` is the stable name that programs go by. */
export function problemOf(code: ErrorCode, detail: string): Problem {
  const { status, title } = errorTable[code];
  const body = `${JSON.stringify({ type: 'about:blank', title, status, code, detail })}\n`;
  const headers = ['Content-Type', 'application/problem+json', 'Content-Length', String(Buffer.byteLength(body))];
  if (status === 503) headers.push('Retry-After', String(retryAfterSeconds));
  return { status, headers, body };
}

/** Answers a request with an error; one that is not a `BitacoraError` is a fault of ours and says nothing of itself. */
export function sendError(response: ServerResponse, error: unknown, extraHeaders: readonly string[] = []): void {
  const known = error instanceof BitacoraError ? error : undefined;
  const { status, headers, body } = problemOf(known?.code ?? 'internal', known?.detail ?? 'See the log of the node.');
  response.writeHead(status, [...headers, ...extraHeaders]);
  response.end(body);
}
