import { isIP } from 'node:net';

const hostname = /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*$/;

/** A name whose last label is all digits would be taken for an address (WHATWG URL), and 127.0.0.300 is none. */
const endsInNumber = /(^|\.)\d+$/;

/** Whether `text` is a host name or IP address. An IPv6 zone (`fe80::1%eth0`) means nothing to another machine. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 ? !text.includes('%') : hostname.test(text) && !endsInNumber.test(text);
}

/**
 * Whether `text` is `host:port` with a port of 1 to 65535; an IPv6 address stands in brackets. Names that no URL can have, such
 * as bad punycode, are none.
 */
export function isHostPort(text: string): boolean {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const hostIsGood = bracketed !== undefined ? isIP(bracketed) === 6 && isHost(bracketed) : isHost(plain ?? '');
  return hostIsGood && Number(port) >= 1 && Number(port) <= 65_535 && URL.canParse(`http://${text}`);
}

/**
 * The one way of writing a `host:port`, as a URL has it: a name in lower case, an address in its shortest form. undefined for
 * what is no `host:port`.
 */
export function canonicalHostPort(text: string): string | undefined {
  if (!isHostPort(text)) return undefined;
  const { hostname: host, port } = new URL(`http://${text}`);
  // A URL leaves its scheme's own port out.
  return `${host}:${port === '' ? 80 : port}`;
}
