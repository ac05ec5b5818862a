/**
 * A call that did not succeed. `code` is of the table in docs/API.md, or one of the client's own: `unavailable` (no node could be
 * reached in time, nothing was sent), `timeout` (a read was not answered in time), `closed` (the client was closed).
 * `write_outcome_unknown` is the client's too, when a connection ends or time is up before a write was answered: the write may
 * or may not take effect.
 */
export class DatabaseError extends Error {
  readonly code: string;
  readonly detail: string;
  /** As HTTP would have it; 0 for codes of the client's own. 503 means that nothing was done and another node may be asked. */
  readonly status: number;

  constructor(code: string, detail: string, status = 0, options?: { cause?: unknown }) {
    super(`${code}: ${detail}`, options);
    this.name = 'DatabaseError';
    this.code = code;
    this.detail = detail;
    this.status = status;
  }
}

/** The connection ended before a call on it was answered. */
export class ConnectionLostError extends Error {
  /** Whether any of the call had left by then. */
  readonly wasSent: boolean;

  constructor(message: string, wasSent: boolean) {
    super(message);
    this.name = 'ConnectionLostError';
    this.wasSent = wasSent;
  }
}
