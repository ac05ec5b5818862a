import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import avsc from 'avsc';

/** Avro's Netty framing, written without the code under test. */
export function framed(serial: number, ...buffers: Uint8Array[]): Buffer {
  return Buffer.concat([
    int32(serial),
    int32(buffers.length),
    ...buffers.flatMap((each) => [int32(each.length), each]),
  ]);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** A zigzag varint, of any size that a test has a use for. */
export function long(value: bigint | number): Buffer {
  const wide = BigInt(value);
  let rest = wide >= 0n ? wide << 1n : ((-wide - 1n) << 1n) | 1n;
  const bytes: number[] = [];
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

/** `bytes` or `string` of the Avro encoding. */
export function lengthPrefixed(content: string | Uint8Array): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([long(bytes.length), bytes]);
}

/** A frame or message of a name, in bytes: no metadata stands in front of it. */
export function callNamed(name: string, parameters: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([long(0), lengthPrefixed(name), parameters]);
}

export interface HandshakeParts {
  readonly clientHash: Buffer;
  readonly clientProtocol?: string | undefined;
  readonly serverHash: Buffer;
}

export function handshake({ clientHash, clientProtocol, serverHash }: HandshakeParts): Buffer {
  const protocol = clientProtocol === undefined ? long(0) : Buffer.concat([long(1), lengthPrefixed(clientProtocol)]);
  return Buffer.concat([clientHash, protocol, serverHash, long(0)]);
}

export const matches = ['BOTH', 'CLIENT', 'NONE'] as const;

export interface HandshakeAnswer {
  readonly match: (typeof matches)[number];
  readonly serverProtocol: string | undefined;
  readonly serverHash: Buffer | undefined;
}

/** What a call came to: `value`, or `error` as the client's protocol has it. */
export interface CallAnswer {
  readonly handshake?: HandshakeAnswer;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** A protocol as a client has it, which writes calls and reads answers by avsc alone. */
export class ClientProtocol {
  readonly text: string;
  readonly hash: Buffer;
  readonly #service: avsc.Service;

  constructor(json: object) {
    this.text = JSON.stringify(json);
    this.hash = md5(this.text);
    this.#service = avsc.Service.forProtocol(json);
  }

  get messages(): string[] {
    return this.#service.messages.map(({ name }) => name);
  }

  /** `knowing`: the hash that the client takes the server's protocol to have. */
  opening({ withText = false, knowing = this.hash }: { withText?: boolean; knowing?: Buffer } = {}): Buffer {
    const clientProtocol = withText ? this.text : undefined;
    return handshake({ clientHash: this.hash, clientProtocol, serverHash: knowing });
  }

  call(name: string, parameters: object): Buffer {
    return callNamed(name, this.#service.message(name).requestType.toBuffer(parameters));
  }

  /** `afterHandshake`: its answer stands in front. */
  answerTo(name: string, body: Buffer, { afterHandshake = false } = {}): CallAnswer {
    const reader = new Reader(body);
    const shaken = afterHandshake ? { handshake: reader.handshake() } : {};
    const message = name === '' ? undefined : this.#service.message(name);
    const isError = reader.callHead();
    if (!isError)
      return { ...shaken, value: message === undefined ? reader.nothing() : reader.value(message.responseType) };
    return { ...shaken, error: reader.value(message?.errorType ?? avsc.Type.forSchema(['string'])) };
  }
}

/** The whole of a body that only answers a handshake. */
export function handshakeAnswerIn(body: Buffer): HandshakeAnswer {
  const reader = new Reader(body);
  const answer = reader.handshake();
  reader.nothing();
  return answer;
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  handshake(): HandshakeAnswer {
    const match = matches[this.#long()]!;
    const serverProtocol = this.#long() === 0 ? undefined : this.#take(this.#long()).toString();
    const serverHash = this.#long() === 0 ? undefined : this.#take(16);
    if (this.#long() !== 0) throw new Error('the handshake carries metadata');
    return { match, serverProtocol, serverHash };
  }

  /** Passes the metadata, of which there are none, and answers whether an error follows. */
  callHead(): boolean {
    if (this.#long() !== 0) throw new Error('the answer carries metadata');
    return this.#take(1)[0] !== 0;
  }

  value(type: avsc.Type): unknown {
    const { value, offset } = type.decode(this.#bytes, this.#at);
    if (offset !== this.#bytes.length)
      throw new Error(`the answer ends at ${this.#bytes.length}, its value at ${offset}`);
    return plain(value);
  }

  nothing(): null {
    if (this.#at !== this.#bytes.length) throw new Error('more follows');
    return null;
  }

  #take(count: number): Buffer {
    this.#at += count;
    if (this.#at > this.#bytes.length) throw new Error('the answer is cut off');
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #long(): number {
    const { value, offset } = avsc.Type.forSchema('long').decode(this.#bytes, this.#at);
    if (offset < 0) throw new Error('the answer is cut off');
    this.#at = offset;
    return value;
  }
}

/** A record of avsc is of a class of its own, which a test does not compare. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

export function md5(text: string): Buffer {
  return createHash('md5').update(text).digest();
}

/** One of the protocols under `schemas/`, as JSON that a test may change. */
export function ownJson(file: 'database.avpr' | 'rpc.avpr'): ProtocolJson {
  return JSON.parse(readFileSync(new URL(`../../../schemas/${file}`, import.meta.url), 'utf8'));
}

export interface ProtocolJson {
  protocol: string;
  namespace?: string;
  types?: { name: string; [attribute: string]: unknown }[];
  messages: Record<string, MessageJson>;
}

export interface MessageJson {
  request: { name: string; type: unknown; default?: unknown }[];
  response: unknown;
  errors?: unknown[];
  'one-way'?: boolean;
}
