import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import avsc, { type Type } from 'avsc';
import { SchemaRefusedError } from './bounds.ts';

/** What one message of a protocol is made of. */
export interface MessageTypes {
  readonly name: string;
  /** A record of the message's parameters. */
  readonly requestType: Type;
  readonly responseType: Type;
  /** A union of string and the errors that the message declares. */
  readonly errorType: Type;
  readonly oneWay: boolean;
}

/** An Avro protocol, its text and the hash by which a handshake names it. */
export interface Protocol {
  /** With its namespace. */
  readonly name: string;
  readonly text: string;
  /** MD5 of the text, 16 bytes. */
  readonly hash: Buffer;
  readonly messages: ReadonlyMap<string, MessageTypes>;
}

export const hashBytes = 16;
export const protocolTextBytesMax = 65_536;
/** Objects, arrays and names in a protocol's JSON. */
const nodesMax = 3_000;
/** Named types and messages, each of which costs avsc functions that it compiles. */
const namedTypesMax = 100;
const depthMax = 32;
/** avsc splits and joins names at each use. */
const nameCharactersMax = 256;
/**
 * All that is needed to read what the client writes. Left out with documentation and other properties are aliases and defaults,
 * which are the reader's: avsc would check each default against all that is within its type, so that records that have two of
 * the next, thirty deep, would keep it busy for hours.
 */
const attributesOfUse = new Set(
  'protocol namespace types messages request response errors one-way type name fields symbols size items values'.split(
    ' ',
  ),
);

/** One of the protocols under `schemas/`, which are generated from the `.avdl` files beside them. */
export function ownProtocol(file: 'rpc.avpr' | 'database.avpr'): Protocol {
  const json = readFileSync(new URL(`../../../schemas/${file}`, import.meta.url), 'utf8');
  const text = JSON.stringify(JSON.parse(json));
  return protocolOf(text, protocolHash(text), JSON.parse(text));
}

/** MD5 of a protocol's text. Throws a `SchemaRefusedError` for one that is too long to be looked at. */
export function protocolHash(text: string): Buffer {
  if (Buffer.byteLength(text) > protocolTextBytesMax) {
    throw new SchemaRefusedError(`a protocol has at most ${protocolTextBytesMax} bytes`);
  }
  return createHash('md5').update(text).digest();
}

/** Makes sense of a protocol that came over a socket, of whose text `hash` is the hash. Throws a `SchemaRefusedError`. */
export function foreignProtocol(text: string, hash = protocolHash(text)): Protocol {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new SchemaRefusedError('a protocol is JSON');
  }
  makeHarmless(json);
  try {
    return protocolOf(text, hash, json);
  } catch (error) {
    throw new SchemaRefusedError(`not an Avro protocol: ${(error as Error).message.slice(0, 200)}`);
  }
}

function protocolOf(text: string, hash: Buffer, json: unknown): Protocol {
  const service = avsc.Service.forProtocol(json);
  const messages = service.messages as readonly MessageTypes[];
  return {
    name: service.name,
    text,
    hash,
    messages: new Map(messages.map((message) => [message.name, message])),
  };
}

/** Few bytes of schema can make much work: what avsc need not look at is taken out, and the rest is bounded. */
function makeHarmless(protocol: unknown): void {
  let nodes = 0;
  let definitions = 0;
  const messages = isObject(protocol) ? protocol.messages : undefined;
  const count = (node: unknown, depth: number): void => {
    nodes += 1;
    if (nodes > nodesMax) throw new SchemaRefusedError(`a protocol has at most ${nodesMax} parts`);
    if (depth > depthMax) throw new SchemaRefusedError(`a protocol is nested at most ${depthMax} deep`);
    if (typeof node === 'string') checkName(node);
    if (!isObject(node)) return;
    if (!Array.isArray(node)) {
      if (node === messages) {
        // The keys there are names, which may be those of attributes.
        Object.keys(node).forEach(checkName);
      } else {
        takeOutUseless(node);
        // By what it has: avsc also takes types that are written in ways that are none of Avro's, such as ["record"].
        if (['fields', 'symbols', 'size', 'request'].some((key) => Object.hasOwn(node, key))) definitions += 1;
      }
      if (definitions > namedTypesMax) {
        throw new SchemaRefusedError(`a protocol has at most ${namedTypesMax} named types and messages`);
      }
    }
    for (const value of Object.values(node)) count(value, depth + 1);
  };
  count(protocol, 0);
}

function takeOutUseless(node: Record<string, unknown>): void {
  for (const key of Object.keys(node)) if (!attributesOfUse.has(key)) delete node[key];
}

function checkName(name: string): void {
  if (name.length > nameCharactersMax) {
    throw new SchemaRefusedError(`a name in a protocol has at most ${nameCharactersMax} characters`);
  }
  // avsc looks names up in plain objects, where these are there already: a type of that name need not be defined to be found,
  // and fields would be read at wrong places. A dot in front it leaves out.
  if (name.replace(/^\./, '') in Object.prototype)
    throw new SchemaRefusedError(`nothing may be named ${JSON.stringify(name)}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
