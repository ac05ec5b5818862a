/**
 * A call that did not succeed. `code` is of the table in docs/API.md, or one of the client's own: `unavailable` (no node could
 * be reached in time; a write has not been sent), `timeout` (a read was not answered in time), `closed` (the client was closed;
 * nothing was sent). Of the table's, the client gives `write_outcome_unknown` when the connection ends or time is up before a
 * write that was sent has been answered: it may or may not take effect, and the client does not send it again. It gives
 * `overloaded` and `value_too_large` for calls that it does not send.
 */
export class DatabaseError extends Error {
  readonly code: string;
  readonly detail: string;
  /** As HTTP would have it, 503 when nothing was done and it may be tried again; 0 for codes of the client's own. */
  readonly status: number;

  constructor(code: string, detail: string, status = 0, options?: { cause?: unknown }) {
    super(`${code}: ${detail}`, options);
    this.name = 'DatabaseError';
    this.code = code;
    this.detail = detail;
    this.status = status;
  }
}

/** The connection could not be had, or has ended. */
export class ConnectionLostError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConnectionLostError';
  }
}
