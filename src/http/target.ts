import { BitacoraError } from '../kernel/errors.ts';

/** A request target taken apart; parameter values are bytes, because keys are. */
export interface Target {
  readonly path: string;
  readonly parameters: ReadonlyMap<string, Buffer>;
}

/** Where the query of a request target begins: the index of its "?", or its length. */
function queryStart(url: string): number {
  const at = url.indexOf('?');
  return at < 0 ? url.length : at;
}

export function pathOf(url: string): string {
  return url.slice(0, queryStart(url));
}

/** A target in absolute form (`http://host/path`, RFC 9112, 3.2.2) in origin form; any other as it is. */
export function originForm(url: string): string {
  const [, rest] = /^[a-z]+:\/\/[^/?#]*(.*)$/is.exec(url) ?? [];
  return rest === undefined ? url : rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * Takes a request target apart. `url` is as Node.js gives it: one character for each byte of the wire. Only the parameters in
 * `known` may occur, each once: a misspelt `consistency` must not silently be a local read.
 */
export function parseTarget(url: string, known: readonly string[]): Target {
  const queryAt = queryStart(url);
  const parameters = new Map<string, Buffer>();
  for (const pair of url.slice(queryAt + 1).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (!known.includes(name)) {
      throw new BitacoraError(
        'parameter_unknown',
        `There is no parameter ${JSON.stringify(name)}; known: ${known.join(', ')}.`,
      );
    }
    if (parameters.has(name)) throw new BitacoraError('parameter_repeated', `The parameter "${name}" is there twice.`);
    parameters.set(name, percentDecode(equals < 0 ? '' : pair.slice(equals + 1), name));
  }
  return { path: url.slice(0, queryAt), parameters };
}

export function keyOf(target: Target): Buffer {
  const key = target.parameters.get('key');
  if (key === undefined) throw new BitacoraError('key_missing', 'Name the key in the query: /rpc?key=KEY.');
  return key;
}

/**
 * Percent-decoding into bytes: `%FF` is the byte 0xFF. A plus sign is a space, as every form encoder writes it (WHATWG URL,
 * application/x-www-form-urlencoded); a literal plus is `%2B`.
 */
export function percentDecode(text: string, parameter: string): Buffer {
  if (!/[%+]/.test(text)) return Buffer.from(text, 'latin1');
  const bytes = Buffer.allocUnsafe(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    let byte = text.charCodeAt(at);
    if (byte === 0x2b) {
      byte = 0x20;
    } else if (byte === 0x25) {
      const high = hexDigit(text.charCodeAt(at + 1));
      const low = hexDigit(text.charCodeAt(at + 2));
      if (high < 0 || low < 0) {
        const code = parameter === 'key' ? 'key_encoding' : 'parameter_invalid';
        throw new BitacoraError(code, `"${parameter}" has a percent sign that two hexadecimal digits do not follow.`);
      }
      byte = high * 16 + low;
      at += 2;
    }
    bytes[length] = byte;
    length += 1;
  }
  return bytes.subarray(0, length);
}

/** -1 for anything else, NaN (the end of the text) included. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}
