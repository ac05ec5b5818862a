import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import { kafkaErrorName, kafkaErrors } from '../../protocol/errors.ts';
import {
  includesVersion,
  type Message,
  type MessageInput,
  type MessageValue,
  versionRange,
} from '../../protocol/schema.ts';
import { WireError, WireReader, WireWriter } from '../../protocol/wire.ts';
import type { SaslSettings, TlsSettings } from '../kafka-connection.ts';
import { type AnswerFrame, AnswerFrames, AnswerMemory } from './answer-frames.ts';
import { type Api, apis } from './apis.ts';
import { isTlsFault, WireClientError, type WireClientErrorKind } from './client-error.ts';
import { authenticate } from './sasl.ts';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly clientId: string;
  readonly tls: TlsSettings | undefined;
  readonly sasl: SaslSettings | undefined;
  readonly clock: Clock;
  /** For the connection itself, TLS included. */
  readonly connectTimeoutMs: number;
  /** For finding out what the broker speaks, and for the login. */
  readonly loginTimeoutMs: number;
  /** For each request that says nothing else. */
  readonly requestTimeoutMs: number;
  /** Larger answers end the connection. */
  readonly answerBytesMax: number;
}

export interface RequestOptions {
  readonly timeoutMs?: number;
  /**
   * The timeout begins anew with all that arrives of the answer: for one of many megabytes, which over a slow line is not there in
   * any given time, and would be asked for again for ever.
   */
  readonly isLarge?: boolean;
  /** The highest version to ask in, where a later one means something else. */
  readonly versionMax?: number;
}

/**
 * An answer whose `records` lie in memory that the connection uses again: nobody may look at them after `release`, which is
 * called once. An answer that is not released costs no more than the memory's being allocated anew.
 */
export interface HeldAnswer<A> {
  readonly answer: A;
  /** Bytes of the answer on the wire. */
  readonly bytes: number;
  release(): void;
}

interface Pending {
  readonly correlationId: number;
  readonly api: Api;
  readonly version: number;
  cancelTimeout(): void;
  resolve(held: HeldAnswer<unknown>): void;
  reject(error: WireClientError): void;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

const keepAliveMs = 60_000;
const apiVersionsKey = 18;
/** Named to brokers by ApiVersions (KIP-511), in whose metrics it shows. */
const software = { clientSoftwareName: 'bitacora', clientSoftwareVersion: 'unknown' };
/** The part of a login's lifetime after which a connection takes no more requests (KIP-368): the broker ends it at the whole. */
const lifetimeUsed = 0.85;
const correlationIdMax = 0x7fff_ffff;

/**
 * One connection to one broker. Requests may follow one another without waiting; a broker answers them in their order. A request
 * that the broker lets wait (a Fetch) holds up those behind it: see `Purpose` in brokers.ts.
 *
 * Every method rejects with a `WireClientError`, and with nothing else but for a request that cannot be encoded, which is the
 * caller's fault.
 */
export class BrokerConnection {
  readonly address: BrokerAddress;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #memory: AnswerMemory;
  readonly #frames: AnswerFrames;
  /** In the order in which they were written. */
  readonly #pending: Pending[] = [];
  #served: ReadonlyMap<number, Range> = new Map();
  #correlationId = 0;
  #written = 0;
  /** When bytes came last, by the monotonic clock. */
  #receivedAtMs = 0;
  #failure: WireClientError | undefined;
  #refuseOpening: ((error: WireClientError) => void) | undefined;
  #isOpen = false;
  #freshUntilMs = Number.POSITIVE_INFINITY;
  #endsWhenIdle = false;

  private constructor(address: BrokerAddress, options: ConnectionOptions) {
    const { tls, clock, answerBytesMax } = options;
    this.address = address;
    this.#options = options;
    this.#memory = new AnswerMemory(clock);
    this.#frames = new AnswerFrames({ answerBytesMax, memory: this.#memory });
    const onread = {
      buffer: () => this.#frames.room(),
      callback: (bytes: number) => {
        this.#take(bytes);
        return true;
      },
    };
    this.#socket = dial(address, tls, onread);
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, keepAliveMs);
    this.#socket.on('error', (error) => this.#fail(this.#kindOf(error), rootMessage(error), error));
    this.#socket.on('end', () => this.#fail('closed', 'the broker ended the connection'));
    this.#socket.on('close', () => this.#fail('closed', 'the connection ended'));
  }

  /** Connects, finds out what the broker serves, and logs in. */
  static async open(address: BrokerAddress, options: ConnectionOptions): Promise<BrokerConnection> {
    const connection = new BrokerConnection(address, options);
    const { clock, connectTimeoutMs, loginTimeoutMs } = options;
    const within = (timeoutMs: number, what: string) =>
      clock.after(timeoutMs, () => connection.#fail('timed-out', `${what} took more than ${timeoutMs} ms`));
    let cancel = within(connectTimeoutMs, 'connecting');
    try {
      await connection.#connected();
      cancel();
      cancel = within(loginTimeoutMs, 'the login');
      await connection.#learnVersions();
      await connection.#login();
    } catch (error) {
      const kind = error instanceof WireClientError ? error.kind : 'malformed';
      connection.#fail(kind, (error as Error).message, error);
      throw connection.#failure!;
    } finally {
      cancel();
    }
    connection.#isOpen = true;
    return connection;
  }

  get isClosed(): boolean {
    return this.#failure !== undefined;
  }

  /** False: whoever shares connections opens another one. Requests are carried out still, but for a connection that is closed. */
  get isFresh(): boolean {
    return !this.isClosed && !this.#endsWhenIdle && this.#options.clock.monotonicMs() < this.#freshUntilMs;
  }

  /** Requests handed to the socket, so that whoever has no answer can tell "not sent" from "unknown". */
  get written(): number {
    return this.#written;
  }

  /** The version in which `api` is asked; undefined: the broker serves none that is known here. */
  version(api: Api, versionMax = Number.POSITIVE_INFINITY): number | undefined {
    const served = this.#served.get(api.request.apiKey);
    if (served === undefined) return undefined;
    const known = versionRange(api.request.versions);
    const version = Math.min(served.max, known.to, versionMax);
    return version >= Math.max(served.min, known.from) ? version : undefined;
  }

  async request<Q extends Message, A extends Message>(
    api: Api<Q, A>,
    body: MessageInput<Q>,
    options?: RequestOptions,
  ): Promise<MessageValue<A>> {
    return (await this.requestHeld(api, body, options)).answer;
  }

  requestHeld<Q extends Message, A extends Message>(
    api: Api<Q, A>,
    body: MessageInput<Q>,
    { timeoutMs = this.#options.requestTimeoutMs, isLarge = false, versionMax }: RequestOptions = {},
  ): Promise<HeldAnswer<MessageValue<A>>> {
    const { name } = api.request;
    if (this.#failure !== undefined) {
      return Promise.reject(
        new WireClientError('closed', `the connection is closed: ${this.#failure.message}`, { cause: this.#failure }),
      );
    }
    const version = this.version(api, versionMax);
    if (version === undefined) {
      return Promise.reject(
        new WireClientError('unsupported', `the broker serves ${name} in no version that is known here`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#correlationId = this.#correlationId === correlationIdMax ? 0 : this.#correlationId + 1;
      const correlationId = this.#correlationId;
      const parts = this.#requestParts(api.request, body, { version, correlationId });
      const cancelTimeout = this.#failAfter(timeoutMs, isLarge, `${name} was not answered within ${timeoutMs} ms`);
      this.#pending.push({
        correlationId,
        api,
        version,
        cancelTimeout,
        resolve: resolve as Pending['resolve'],
        reject,
      });
      this.#written += 1;
      this.#write(parts);
    });
  }

  /** Takes no more part in what is shared, and closes when all is answered. */
  closeWhenIdle(): void {
    this.#endsWhenIdle = true;
    if (this.#pending.length === 0) this.close();
  }

  close(): void {
    this.#fail('closed', 'it was closed by this node');
  }

  /** Answers what cancels it. */
  #failAfter(timeoutMs: number, isLarge: boolean, message: string): () => void {
    const { clock } = this.#options;
    const check = (): void => {
      const quietMs = clock.monotonicMs() - this.#receivedAtMs;
      if (isLarge && this.#frames.isWithinAnswer && quietMs < timeoutMs)
        cancel = clock.after(timeoutMs - quietMs, check);
      else this.#fail('timed-out', message);
    };
    let cancel = clock.after(timeoutMs, check);
    return () => cancel();
  }

  #connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#refuseOpening = reject;
      this.#socket.once(this.#options.tls === undefined ? 'connect' : 'secureConnect', () => {
        this.#refuseOpening = undefined;
        resolve();
      });
    });
  }

  /** Version 3 names this software to the broker. One that does not know it says so in version 0, which all can read (KIP-511). */
  async #learnVersions(): Promise<void> {
    const { loginTimeoutMs: timeoutMs } = this.#options;
    for (const max of [3, 0]) {
      this.#served = new Map([[apiVersionsKey, { min: 0, max }]]);
      const { errorCode, apiKeys } = await this.request(apis.apiVersions, software, { timeoutMs });
      if (errorCode === kafkaErrors.UNSUPPORTED_VERSION.code && max > 0) continue;
      if (errorCode !== 0) throw new WireClientError('unsupported', `ApiVersions was answered ${nameOf(errorCode)}`);
      this.#served = new Map(
        apiKeys.map(({ apiKey, minVersion: min, maxVersion }) => [apiKey, { min, max: maxVersion }]),
      );
      return;
    }
  }

  async #login(): Promise<void> {
    const { sasl, clock, loginTimeoutMs: timeoutMs } = this.#options;
    if (sasl === undefined) return;
    const mechanism = sasl.mechanism.toUpperCase();
    const { errorCode, mechanisms } = await this.request(apis.saslHandshake, { mechanism }, { timeoutMs });
    if (errorCode === kafkaErrors.UNSUPPORTED_SASL_MECHANISM.code) {
      throw new WireClientError('login-refused', `the broker takes ${mechanisms.join(', ')} and not ${mechanism}`);
    }
    refuseLogin(errorCode, null);
    await authenticate(sasl, async (message) => {
      const answer = await this.request(apis.saslAuthenticate, { authBytes: message }, { timeoutMs });
      refuseLogin(answer.errorCode, answer.errorMessage);
      const { sessionLifetimeMs } = answer;
      if (sessionLifetimeMs > 0) this.#freshUntilMs = clock.monotonicMs() + sessionLifetimeMs * lifetimeUsed;
      return answer.authBytes;
    });
  }

  #requestParts(message: Message, body: unknown, header: { version: number; correlationId: number }): Buffer[] {
    const { clientId } = this.#options;
    const { version, correlationId } = header;
    const writer = new WireWriter();
    writer.int32(0);
    writer.int16(message.apiKey);
    writer.int16(version);
    writer.int32(correlationId);
    const idBytes = Buffer.byteLength(clientId);
    writer.int16(idBytes);
    writer.text(clientId, idBytes);
    if (includesVersion(message.flexible, version)) writer.uvarint(0);
    message.encode(writer, body as never, version);
    writer.int32At(0, writer.length - 4);
    return writer.finishParts();
  }

  #write(parts: readonly Buffer[]): void {
    if (parts.length === 1) {
      this.#socket.write(parts[0]!);
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }

  /** What is thrown here would end the process: nothing is. */
  #take(bytes: number): void {
    this.#receivedAtMs = this.#options.clock.monotonicMs();
    try {
      for (const frame of this.#frames.took(bytes)) if (!this.isClosed) this.#answer(frame);
    } catch (error) {
      this.#fail('malformed', `what the broker sent is not an answer: ${rootMessage(error)}`, error);
    }
  }

  #answer({ bytes, isPooled }: AnswerFrame): void {
    const pending = this.#pending[0];
    const correlationId = bytes.readInt32BE(0);
    if (correlationId !== pending?.correlationId) {
      throw new WireError(`an answer to request ${correlationId} came, and not to ${pending?.correlationId ?? 'any'}`);
    }
    const answer = decodeAnswer(pending, bytes);
    this.#pending.shift();
    pending.cancelTimeout();
    let isHeld = isPooled;
    pending.resolve({
      answer,
      bytes: bytes.length,
      release: () => {
        if (isHeld && !this.isClosed) this.#memory.give(bytes);
        isHeld = false;
      },
    });
    if (this.#endsWhenIdle && this.#pending.length === 0) this.close();
  }

  #kindOf(error: Error): WireClientErrorKind {
    if (this.#isOpen) return 'closed';
    return isTlsFault(error) ? 'login-refused' : 'unreachable';
  }

  /** The first reason counts: the others follow from it. */
  #fail(kind: WireClientErrorKind, reason: string, cause?: unknown): void {
    if (this.#failure !== undefined) return;
    const { host, port } = this.address;
    const message = `${host}:${port}: ${reason}`;
    this.#failure = new WireClientError(kind, message, { cause });
    this.#socket.destroy();
    this.#memory.drop();
    this.#refuseOpening?.(this.#failure);
    for (const pending of this.#pending.splice(0)) {
      pending.cancelTimeout();
      pending.reject(new WireClientError(kind, message, { cause, wasWritten: true }));
    }
  }
}

/** Throws a `WireClientError` for what cannot even be tried, such as a certificate that is none. */
function dial({ host, port }: BrokerAddress, tls: TlsSettings | undefined, onread: OnReadOpts): Socket {
  try {
    if (tls === undefined) return connect({ host, port, onread });
    // An address is no server name (RFC 6066); the certificate is compared with it all the same.
    const serverName = isIP(host) === 0 ? { servername: host } : {};
    const settings = { host, port, ...serverName, ...tls, onread };
    return connectTls(settings);
  } catch (cause) {
    const kind = tls === undefined ? 'unreachable' : 'login-refused';
    throw new WireClientError(kind, `${host}:${port}: ${rootMessage(cause)}`, { cause });
  }
}

/** The body stands behind the correlation id and, where the version has them, tagged fields. */
function decodeAnswer({ api: { response }, version }: Pending, bytes: Buffer): unknown {
  const reader = new WireReader(bytes, 4);
  if (response.apiKey === apiVersionsKey) {
    // Whoever asks in an unknown version must be able to read that it is one: without tags, and in version 0 (KIP-511).
    const isRefusal = reader.int16() === kafkaErrors.UNSUPPORTED_VERSION.code;
    return response.decode(bytes.subarray(4), isRefusal ? 0 : version);
  }
  if (includesVersion(response.flexible, version)) skipTags(reader);
  return response.decode(bytes.subarray(reader.at), version);
}

function skipTags(reader: WireReader): void {
  const count = reader.uvarint();
  reader.expectElements(count);
  for (let left = count; left > 0; left -= 1) {
    reader.uvarint();
    reader.skip(reader.uvarint());
  }
}

function nameOf(code: number): string {
  return kafkaErrorName(code) ?? `error ${code}`;
}

/** Throws unless the code says that all is well so far. */
function refuseLogin(errorCode: number, errorMessage: string | null): void {
  if (errorCode === 0) return;
  const name = kafkaErrorName(errorCode);
  const mayPass = name !== undefined && kafkaErrors[name].retriable;
  throw new WireClientError(
    mayPass ? 'unreachable' : 'login-refused',
    `the broker answered the login ${nameOf(errorCode)}${errorMessage === null ? '' : `: ${errorMessage}`}`,
  );
}
