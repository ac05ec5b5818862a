import { isHostPort } from '../kernel/host-port.ts';

/** Keys and values are bytes; a string stands for its UTF-8. A buffer is not to be changed before its call is answered. */
export type Bytes = Uint8Array | string;

/** What callers give may be anything, since not all of them are checked by a compiler: these throw a `TypeError`. */

export function bytesOf(name: string, bytes: Bytes): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes);
  if (Buffer.isBuffer(bytes)) return bytes;
  if (bytes instanceof Uint8Array) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  throw new TypeError(`${name} is a string or a Uint8Array, not ${told(bytes)}`);
}

export function listOf<T>(name: string, list: readonly T[]): readonly T[] {
  if (Array.isArray(list)) return list;
  throw new TypeError(`${name} is an array, not ${told(list)}`);
}

/** The choice's counterpart in `choices`. */
export function choiceOf<Name extends string, T>(name: string, choices: Readonly<Record<Name, T>>, choice: Name): T {
  if (typeof choice === 'string' && Object.hasOwn(choices, choice)) return choices[choice];
  throw new TypeError(`${name} is one of ${Object.keys(choices).join(', ')}, not ${told(choice)}`);
}

export function durationOf(ttlMs: number | undefined): number | null {
  if (ttlMs === undefined) return null;
  if (Number.isSafeInteger(ttlMs)) return ttlMs;
  throw new TypeError(`ttlMs is a whole number of milliseconds, not ${told(ttlMs)}`);
}

export function countOf(name: string, count: number): number {
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new TypeError(`${name} is a whole number from 1 on, not ${told(count)}`);
}

export function flagOf(name: string, flag: boolean): boolean {
  if (typeof flag === 'boolean') return flag;
  throw new TypeError(`${name} is true or false, not ${told(flag)}`);
}

export function contentTypeOf(contentType: string | undefined): string | null {
  if (contentType === undefined) return null;
  if (typeof contentType === 'string') return contentType;
  throw new TypeError(`contentType is a string, not ${told(contentType)}`);
}

/** The longest that a timer of Node.js can be set to. */
const timeoutMsMax = 2_147_483_647;

export function timeoutOf(timeoutMs: number): number {
  if (Number.isSafeInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= timeoutMsMax) return timeoutMs;
  throw new TypeError(`timeoutMs is a whole number from 1 to ${timeoutMsMax}, not ${told(timeoutMs)}`);
}

export function addressesOf(nodes: readonly string[]): { host: string; port: number }[] {
  if (listOf('nodes', nodes).length === 0) throw new TypeError('nodes names at least one node');
  return nodes.map((node) => {
    if (typeof node !== 'string' || !isHostPort(node)) throw new TypeError(`a node is host:port, not ${told(node)}`);
    const colon = node.lastIndexOf(':');
    return { host: node.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(node.slice(colon + 1)) };
  });
}

function told(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}
