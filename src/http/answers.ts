import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../kernel/clock.ts';

/**
 * Header fields as they stand on the wire, each with its CRLF: `Vary: Accept\r\n`. Nobody checks them again, so whoever makes one
 * of what somebody else wrote takes out what is not printable.
 */
export type FieldText = string;

export interface AnswersOptions {
  readonly clock: Clock;
  /** What the server keeps idle connections for, and says so. */
  readonly keepAliveTimeoutMs: number;
}

/** Longer answers are sent by node:http, which costs nothing that could be told beside their bytes. */
const textMax = 16 * 1024;
const statusLines = new Map<number, string>();

/**
 * Sends answers whose headers are all known, in one write to the connection.
 *
 * node:http's own `writeHead` and `end` check each field, look for those that mean something to it, and hand three pieces to the
 * socket; on a read from memory that is a quarter of the whole processor time (`npm run bench -- http`). Here the answer is one
 * text, the same bytes as node:http would send, written to the response's socket; then the response says `finish`, which is
 * how node:http learns that the next response may have the connection, that the request is done with, and that the connection
 * is idle.
 *
 * The guarantee: whoever is on the other end cannot tell which way an answer took. What keeps it true:
 * - Order. A response has a socket only when all those before it on the connection have finished, so an answer to a pipelined
 *   request that is not yet due goes by node:http, which keeps it until then.
 * - Ends. Where the connection is to be closed after the answer (the client says so, or speaks HTTP/1.0, or the server is going
 *   down), it goes by node:http, which does that.
 * - Back-pressure. Nothing is added to what a slow client has not taken yet; and `finish` comes when all was handed to the
 *   operating system, as it does otherwise, so that a connection does not count as idle before, and is not closed over it.
 * - Bodies of requests are read and dropped by node:http.
 */
export class Answers {
  readonly #clock: Clock;
  readonly #keepAlive: FieldText;
  #second = Number.NaN;
  #lastFields: FieldText = '';

  constructor({ clock, keepAliveTimeoutMs }: AnswersOptions) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1_000)}\r\n`;
  }

  /** `body` is text for UTF-8, or bytes; undefined for a status that has none. To `HEAD` it is announced and not sent. */
  send(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    fields: FieldText,
    body: string | Buffer | undefined,
  ): void {
    const isHead = request.method === 'HEAD';
    const bytes = body === undefined ? 0 : Buffer.byteLength(body);
    const all = body === undefined ? fields : `${fields}Content-Length: ${bytes}\r\n`;
    const socket = freeSocket(request, response);
    if (socket === undefined || bytes > textMax) {
      response.writeHead(status, pairsOf(all));
      response.end(isHead ? undefined : body);
      return;
    }
    response.statusCode = status;
    const head = statusLine(status) + all + this.#connectionFields();
    if (isHead || body === undefined) socket.write(head, 'latin1');
    else if (typeof body !== 'string') socket.write(head + body.toString('latin1'), 'latin1');
    else socket.write(head + body, bytes === body.length ? 'latin1' : 'utf8');
    if (socket.writableLength === 0) response.emit('finish');
    else finishWhenWritten(socket, response);
  }

  /** What node:http adds to every answer, and the end of the head; the same for a second. */
  #connectionFields(): FieldText {
    const second = Math.floor(this.#clock.nowMs() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lastFields = `Date: ${new Date(second * 1_000).toUTCString()}\r\n${this.#keepAlive}\r\n`;
    }
    return this.#lastFields;
  }
}

/** The socket of the response, when it is this one's turn and there is nothing about the connection for node:http to see to. */
function freeSocket(request: IncomingMessage, response: ServerResponse): Socket | undefined {
  const { socket } = response;
  if (!socket?.writable || socket.writableLength > 0) return undefined;
  const isFree =
    response.shouldKeepAlive &&
    // A server that goes down has set it.
    !response.hasHeader('Connection') &&
    // In HTTP/1.0 an answer without a length ends with its connection.
    request.httpVersionMinor === 1 &&
    request.headers['content-length'] === undefined &&
    request.headers['transfer-encoding'] === undefined;
  return isFree ? socket : undefined;
}

/** A client that is slow to read: the response is over when the operating system has taken all of it. */
function finishWhenWritten(socket: Socket, response: ServerResponse): void {
  socket.write('', () => {
    if (!socket.destroyed) response.emit('finish');
  });
}

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
    statusLines.set(status, line);
  }
  return line;
}

/** As node:http takes them: names and values in turn. */
function pairsOf(fields: FieldText): string[] {
  return fields
    .split('\r\n')
    .slice(0, -1)
    .flatMap((field) => {
      const colon = field.indexOf(': ');
      return [field.slice(0, colon), field.slice(colon + 2)];
    });
}
