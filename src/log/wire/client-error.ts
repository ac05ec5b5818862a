/**
 * - `unreachable`: there is no connection to a broker, or no broker of that id is known.
 * - `closed`: the connection ended before the answer.
 * - `timed-out`: no answer within the time given. The connection is ended, because a late answer would be taken for the next.
 * - `malformed`: what came is not the protocol. The connection is ended.
 * - `login-refused`: TLS or SASL said no. Trying again mends nothing.
 * - `unsupported`: the broker does not serve the request in any version known here.
 */
export type WireClientErrorKind =
  | 'unreachable'
  | 'closed'
  | 'timed-out'
  | 'malformed'
  | 'login-refused'
  | 'unsupported';

/** Why there is no answer from a broker. What a broker answers is never one of these, whatever it says. */
export class WireClientError extends Error {
  readonly kind: WireClientErrorKind;
  /** The request was handed to the socket: the broker may have carried it out. */
  readonly wasWritten: boolean;

  constructor(kind: WireClientErrorKind, message: string, options: { cause?: unknown; wasWritten?: boolean } = {}) {
    const { cause, wasWritten = false } = options;
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WireClientError';
    this.kind = kind;
    this.wasWritten = wasWritten;
  }
}

/** TLS faults as Node.js names them: no amount of trying again mends a certificate. */
const tlsFault = /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/;

/** Whether an error of a socket, by its `code`, is one of TLS. */
export function isTlsFault(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && tlsFault.test(code);
}
