/**
 * Every error that can reach a user, in one table: its stable code, its HTTP status (RFC 9110) and a title.
 * Front ends answer from this table and docs/API.md repeats it; a test fails when the two disagree.
 */
export const errorTable = {
  request_malformed: { status: 400, title: 'The request is not well-formed' },
  key_missing: { status: 400, title: 'The request names no key' },
  key_empty: { status: 400, title: 'The key is empty' },
  key_too_long: { status: 400, title: 'The key is too long' },
  key_encoding: { status: 400, title: 'The key is badly percent-encoded' },
  value_missing: { status: 400, title: 'The request carries no value' },
  value_ambiguous: { status: 400, title: 'The request carries two values' },
  parameter_unknown: { status: 400, title: 'The request has a parameter that does not exist here' },
  parameter_repeated: { status: 400, title: 'The request names a parameter twice' },
  parameter_invalid: { status: 400, title: 'A parameter or header has a value that cannot be used' },
  key_not_found: { status: 404, title: 'No value is stored under the key' },
  path_not_found: { status: 404, title: 'Nothing is served at this path' },
  message_unknown: { status: 404, title: 'The protocol has no such message, or has it otherwise' },
  method_not_allowed: { status: 405, title: 'The path does not take this method' },
  value_not_text: { status: 406, title: 'The value is not text' },
  request_timeout: { status: 408, title: 'The request did not arrive in time' },
  value_too_large: { status: 413, title: 'The value is too large' },
  body_too_large: { status: 413, title: 'The body is too large' },
  answer_too_large: { status: 413, title: 'The values asked for are too large together' },
  uri_too_long: { status: 414, title: 'The request target is too long' },
  content_encoding_unsupported: { status: 415, title: 'The body has a content encoding that is not taken' },
  content_type_unsupported: { status: 415, title: 'The body has a content type that is not taken' },
  expectation_unknown: { status: 417, title: 'The request expects something that is not known here' },
  headers_too_large: { status: 431, title: 'The request headers are too large' },
  internal: { status: 500, title: 'The server made a mistake' },
  scan_disabled: { status: 501, title: 'This node keeps no order of its keys, so it cannot scan them' },
  log_unavailable: { status: 503, title: 'The log cannot be reached: nothing was written' },
  log_rejected: { status: 503, title: 'The log refused the record: nothing was written' },
  overloaded: { status: 503, title: 'Too many writes are waiting: nothing was written' },
  topic_unusable: { status: 503, title: 'The topic has changed under this node: nothing was written' },
  not_caught_up: {
    status: 503,
    title: 'This node has not read the whole log yet, so it cannot say that the key is absent',
  },
  scan_not_ready: { status: 503, title: 'This node has not put its keys in order yet, so it cannot scan them' },
  position_not_reached: { status: 503, title: 'This node did not reach the asked position in time' },
  shutting_down: { status: 503, title: 'This node is shutting down' },
  write_outcome_unknown: { status: 504, title: 'The log did not answer in time: the write may or may not take effect' },
} as const;

export type ErrorCode = keyof typeof errorTable;

/** An error that a user may see. `detail` says what happened and what to do, in one or two sentences. */
export class BitacoraError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${code}: ${detail}`, options);
    this.name = 'BitacoraError';
    this.code = code;
    this.detail = detail;
  }
}

/** A fault of the environment that the process cannot start or go on with; its message is one line for a person. */
export class FatalError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'FatalError';
  }
}

/** The innermost message of an error, for a log line: libraries wrap the sentence that matters several times. */
export function rootMessage(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 10 && current instanceof Error; depth += 1) {
    const { errors } = current as { errors?: unknown };
    if (Array.isArray(errors) && errors.length > 0) {
      current = errors[0];
    } else if (current.cause instanceof Error) {
      current = current.cause;
    } else {
      return current.message || current.name;
    }
  }
  return current instanceof Error ? current.message : String(current);
}
