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

/** One of the protocols under `schemas/`, which are generated from the `.avdl` files beside them. */
export function ownProtocol(file: 'rpc.avpr' | 'database.avpr'): Protocol {
  const json = readFileSync(new URL(`../../../schemas/${file}`, import.meta.url), 'utf8');
  return protocolOf(JSON.stringify(JSON.parse(json)));
}

/** Makes sense of a protocol that came over a socket. Throws a `SchemaRefusedError`. */
export function foreignProtocol(text: string): Protocol {
  if (Buffer.byteLength(text) > protocolTextBytesMax) {
    throw new SchemaRefusedError(`a protocol has at most ${protocolTextBytesMax} bytes`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new SchemaRefusedError('a protocol is JSON');
  }
  makeHarmless(json);
  try {
    return protocolOf(text, json);
  } catch (error) {
    throw new SchemaRefusedError(`not an Avro protocol: ${(error as Error).message.slice(0, 200)}`);
  }
}

function protocolOf(text: string, json: unknown = JSON.parse(text)): Protocol {
  const service = avsc.Service.forProtocol(json);
  const messages = service.messages as readonly MessageTypes[];
  return {
    name: service.name,
    text,
    hash: createHash('md5').update(text).digest(),
    messages: new Map(messages.map((message) => [message.name, message])),
  };
}

/** Few bytes of schema can make much work: what avsc is given is bounded before, and what it need not look at is taken out. */
function makeHarmless(json: unknown): void {
  let nodes = 0;
  let definitions = 0;
  const count = (node: unknown, depth: number): void => {
    nodes += 1;
    if (nodes > nodesMax) throw new SchemaRefusedError(`a protocol has at most ${nodesMax} parts`);
    if (depth > depthMax) throw new SchemaRefusedError(`a protocol is nested at most ${depthMax} deep`);
    // avsc looks names up in plain objects, where these are there already: a type of that name need not be defined to be found,
    // and fields would be read at wrong places.
    if (typeof node === 'string' && node in Object.prototype) {
      throw new SchemaRefusedError(`nothing may be named ${JSON.stringify(node)}`);
    }
    if (typeof node !== 'object' || node === null) return;
    const { type, request } = node as { type?: unknown; request?: unknown };
    if (typeof type === 'string' && ['record', 'error', 'enum', 'fixed'].includes(type)) definitions += 1;
    if (Array.isArray(request)) definitions += 1;
    if (definitions > namedTypesMax) {
      throw new SchemaRefusedError(`a protocol has at most ${namedTypesMax} named types and messages`);
    }
    // Defaults are the reader's, and nothing is read by a schema that came over a socket. avsc would check each against all that
    // is within its type: records that have two of the next, thirty deep, would keep it busy for hours.
    if (Array.isArray(node)) for (const field of node) if (isObject(field)) delete field.default;
    for (const [key, value] of Object.entries(node)) {
      if (!Array.isArray(node) && key in Object.prototype) {
        throw new SchemaRefusedError(`nothing may be named ${JSON.stringify(key)}`);
      }
      count(value, depth + 1);
    }
  };
  count(json, 0);
}

function isObject(value: unknown): value is { default?: unknown } {
  return typeof value === 'object' && value !== null;
}
