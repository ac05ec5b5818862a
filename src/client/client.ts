import type {
  EachFailure,
  EachReading,
  EachWritten,
  PositionData,
  ReadingData,
  WaitSymbol,
  WrittenData,
} from '../avro/wire/database-data.ts';
import { Backoff, type Clock, pause, systemClock, unlessAborted } from '../kernel/clock.ts';
import { isHostPort } from '../kernel/host-port.ts';
import { ConnectionLostError, DatabaseError } from './errors.ts';
import { NodeConnection } from './node-connection.ts';

export { DatabaseError } from './errors.ts';

export interface ConnectOptions {
  /** `host:port` of the Avro sockets of one or more nodes; the first that can be reached is used. */
  readonly nodes: readonly string[];
  /** How long a call may take, the search for a node included. 10,000 by default. */
  readonly timeoutMs?: number;
}

/** Keys and values are bytes; a string stands for its UTF-8. */
export type Bytes = Uint8Array | string;

export interface Entry {
  readonly value: Buffer;
  /** With `offset` the version of the value. */
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | undefined;
  readonly contentType: string | undefined;
  /** Whether the node's own copy of the log has told, or another node. */
  readonly source: 'log' | 'peer';
}

/**
 * - `session` (default): not older than anything that this client has seen or written, on whatever node.
 * - `local`: what the node has.
 * - `linearizable`: everything that was in the log when the node got the call.
 */
export type Consistency = 'session' | 'local' | 'linearizable';

export interface ReadOptions {
  readonly consistency?: Consistency;
}

export interface WriteOptions {
  /** Answered when the node's own reads see the write (default), or as soon as the log has it. */
  readonly wait?: 'applied' | 'logged';
}

export interface PutOptions extends WriteOptions {
  /** The value is gone when so many milliseconds have passed. */
  readonly ttlMs?: number;
  readonly contentType?: string;
}

/** One of several writes; `value` null deletes the key. */
export interface Write {
  readonly key: Bytes;
  readonly value: Bytes | null;
  readonly ttlMs?: number;
  readonly contentType?: string;
}

export interface Written {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** Whether the node's own reads see it already. */
  readonly applied: boolean;
}

const defaultTimeoutMs = 10_000;
const reconnectFirstMs = 50;
const reconnectCapMs = 5_000;
/** A program is not over while it waits for an answer. */
const clock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
/** Of one attempt at one node, so that a silent one does not use up the time of a call. */
const connectTimeoutMs = 3_000;

/**
 * Connects to the first of the nodes that can be reached. Rejects with a `DatabaseError` `unavailable` when none can be within
 * `timeoutMs`, and with a `TypeError` for addresses that make no sense.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const client = new Client(options);
  try {
    await client.ready();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/**
 * A client of a bitacora cluster, over one connection to one node at a time; it goes on to the next node when that one ends or
 * cannot serve. Positions of answers are kept and sent with reads, so that a session goes on at any node. Every method rejects
 * with a `DatabaseError`. Reads are asked again at another node as long as there is time; writes only when nothing of them has
 * left, or the node has said that nothing was done.
 */
export class Client {
  readonly #nodes: readonly { host: string; port: number }[];
  readonly #timeoutMs: number;
  readonly #positions = new Map<number, number>();
  readonly #backoff = new Backoff(reconnectFirstMs, reconnectCapMs);
  readonly #closing = new AbortController();
  readonly #retired = new Set<NodeConnection>();
  #next = 0;
  #current: NodeConnection | undefined;
  #connecting: Promise<void> | undefined;

  constructor({ nodes, timeoutMs = defaultTimeoutMs }: ConnectOptions) {
    if (nodes.length === 0) throw new TypeError('connect needs at least one node');
    this.#nodes = nodes.map(addressOf);
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves once there is a connection to a node. */
  async ready(): Promise<void> {
    await this.#node(clock.monotonicMs() + this.#timeoutMs);
  }

  /** The value under the key, or undefined when there is none. */
  async get(key: Bytes, { consistency = 'session' }: ReadOptions = {}): Promise<Entry | undefined> {
    const parameters = () => ({ key: bytesOf(key), ...this.#consistencyOf(consistency) });
    return this.#entryOf((await this.#read('get', parameters)) as ReadingData);
  }

  /** One answer for each key, in their order. Keys are read each by itself, not at one instant. */
  async getMany(
    keys: readonly Bytes[],
    { consistency = 'session' }: ReadOptions = {},
  ): Promise<PromiseSettledResult<Entry | undefined>[]> {
    const bytes = keys.map(bytesOf);
    const parameters = () => ({ keys: bytes, ...this.#consistencyOf(consistency) });
    const answers = (await this.#read('multiGet', parameters)) as EachReading[];
    return answers.map((answer) =>
      'bitacora.rpc.Reading' in answer
        ? { status: 'fulfilled', value: this.#entryOf(answer['bitacora.rpc.Reading']) }
        : rejectedBy(answer),
    );
  }

  async put(key: Bytes, value: Bytes, { wait, ttlMs, contentType }: PutOptions = {}): Promise<Written> {
    const write = writeData({ key, value, ...(ttlMs === undefined ? {} : { ttlMs }), ...(contentType === undefined ? {} : { contentType }) });
    return this.#writtenOf((await this.#write('put', { ...write, wait: waitOf(wait) })) as WrittenData);
  }

  /** To delete a key that is not there is a write like any other. */
  async delete(key: Bytes, { wait }: WriteOptions = {}): Promise<Written> {
    return this.#writtenOf((await this.#write('delete', { key: bytesOf(key), wait: waitOf(wait) })) as WrittenData);
  }

  /** One answer for each write, in their order. Writes succeed and fail each by itself. */
  async putMany(writes: readonly Write[], { wait }: WriteOptions = {}): Promise<PromiseSettledResult<Written>[]> {
    const parameters = { writes: writes.map(writeData), wait: waitOf(wait) };
    const answers = (await this.#write('multiPut', parameters)) as EachWritten[];
    return answers.map((answer) =>
      'bitacora.rpc.Written' in answer
        ? { status: 'fulfilled', value: this.#writtenOf(answer['bitacora.rpc.Written']) }
        : rejectedBy(answer),
    );
  }

  /** Takes no more calls, and ends when those under way are answered or their time is up. */
  async close(): Promise<void> {
    this.#closing.abort();
    const current = this.#current;
    this.#current = undefined;
    if (current !== undefined) this.#retire(current);
    await this.#connecting;
    await Promise.all([...this.#retired].map(({ closed }) => closed));
  }

  #read(message: string, parameters: () => unknown): Promise<unknown> {
    return this.#call(message, parameters, (error) => error instanceof ConnectionLostError || saysElsewhere(error));
  }

  #write(message: string, parameters: unknown): Promise<unknown> {
    return this.#call(
      message,
      () => parameters,
      (error) => (error instanceof ConnectionLostError && !error.wasSent) || saysElsewhere(error),
    );
  }

  async #call(message: string, parameters: () => unknown, mayRepeat: (error: unknown) => boolean): Promise<unknown> {
    const deadlineMs = clock.monotonicMs() + this.#timeoutMs;
    for (let refusals = 0; ; ) {
      const node = await this.#node(deadlineMs);
      try {
        return await this.#ask(node, message, parameters(), deadlineMs);
      } catch (error) {
        if (!mayRepeat(error)) throw toldTo(message, error);
        if (error instanceof DatabaseError) {
          // It answers, so others would not fare better for its being left; those that follow may.
          refusals += 1;
          if (refusals >= this.#nodes.length) throw error;
          this.#leave(node);
        }
      }
    }
  }

  async #ask(node: NodeConnection, message: string, parameters: unknown, deadlineMs: number): Promise<unknown> {
    const { answer, abandon } = node.call(message, parameters);
    const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
    const cancel = clock.after(leftMs, () => {
      abandon(new DatabaseError('timeout', `The node did not answer within ${this.#timeoutMs} ms.`));
      // It may be gone without having said so: the next call is to find out elsewhere.
      this.#leave(node);
    });
    try {
      return await answer;
    } finally {
      cancel();
    }
  }

  /** The connection to use; rejects with `unavailable` or `closed`. */
  async #node(deadlineMs: number): Promise<NodeConnection> {
    for (;;) {
      if (this.#closing.signal.aborted) throw new DatabaseError('closed', 'The client was closed.');
      if (this.#current?.isOpen) return this.#current;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) {
        const names = this.#nodes.map(({ host, port }) => `${host}:${port}`).join(', ');
        throw new DatabaseError('unavailable', `No node could be reached within ${this.#timeoutMs} ms: ${names}.`);
      }
      this.#connecting ??= this.#connectNext().finally(() => {
        this.#connecting = undefined;
      });
      const timeUp = new AbortController();
      const cancel = clock.after(leftMs, () => timeUp.abort());
      await unlessAborted(this.#connecting, timeUp.signal);
      cancel();
    }
  }

  /** One attempt at the next node. */
  async #connectNext(): Promise<void> {
    const index = this.#next;
    this.#next = (index + 1) % this.#nodes.length;
    const { host, port } = this.#nodes[index]!;
    const giveUp = new AbortController();
    const cancel = clock.after(connectTimeoutMs, () => giveUp.abort());
    const abort = () => giveUp.abort();
    this.#closing.signal.addEventListener('abort', abort);
    try {
      const node = await NodeConnection.open(host, port, giveUp.signal);
      this.#backoff.reset();
      this.#adopt(node);
    } catch {
      // All have been tried since the last pause: there is nobody to be had just now.
      if (this.#next === 0) await pause(clock, this.#backoff.nextMs(), this.#closing.signal);
    } finally {
      cancel();
      this.#closing.signal.removeEventListener('abort', abort);
    }
  }

  #adopt(node: NodeConnection): void {
    if (this.#closing.signal.aborted) return node.destroy();
    this.#current = node;
    void node.closed.then(() => {
      if (this.#current === node) this.#current = undefined;
    });
  }

  /** Calls on it run on; new ones go to the next node. */
  #leave(node: NodeConnection): void {
    if (this.#current !== node) return;
    this.#current = undefined;
    this.#retire(node);
  }

  #retire(node: NodeConnection): void {
    this.#retired.add(node);
    void node.retire().then(() => this.#retired.delete(node));
  }

  #consistencyOf(consistency: Consistency): { consistency: string; positions: readonly PositionData[] } {
    switch (consistency) {
      case 'local':
        return { consistency: 'LOCAL', positions: [] };
      case 'linearizable':
        return { consistency: 'LINEARIZABLE', positions: [] };
      case 'session':
        return { consistency: this.#positions.size === 0 ? 'LOCAL' : 'SESSION', positions: this.#positionData() };
    }
  }

  #positionData(): readonly PositionData[] {
    const data: PositionData[] = [];
    for (const [partition, position] of this.#positions) data.push({ partition, position });
    return data;
  }

  #saw(partition: number, position: number): void {
    if (position > (this.#positions.get(partition) ?? 0)) this.#positions.set(partition, position);
  }

  #entryOf({ found, source, partition, position }: ReadingData): Entry | undefined {
    this.#saw(partition, position);
    if (found === null) return undefined;
    return {
      value: found.value,
      partition: found.partition,
      offset: found.offset,
      timestampMs: found.timestampMs,
      expiresAtMs: found.expiresAtMs ?? undefined,
      contentType: found.contentType ?? undefined,
      source: source === 'LOG' ? 'log' : 'peer',
    };
  }

  #writtenOf({ partition, offset, timestampMs, applied }: WrittenData): Written {
    this.#saw(partition, offset + 1);
    return { partition, offset, timestampMs, applied };
  }
}

function addressOf(node: string): { host: string; port: number } {
  if (!isHostPort(node)) throw new TypeError(`a node is host:port, not ${JSON.stringify(node)}`);
  const colon = node.lastIndexOf(':');
  return { host: node.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(node.slice(colon + 1)) };
}

function bytesOf(bytes: Bytes): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes);
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function waitOf(wait: WriteOptions['wait'] = 'applied'): WaitSymbol {
  return wait === 'applied' ? 'APPLIED' : 'LOGGED';
}

function writeData({ key, value, ttlMs, contentType }: Write): object {
  return {
    key: bytesOf(key),
    value: value === null ? null : bytesOf(value),
    ttlMs: ttlMs ?? null,
    contentType: contentType ?? null,
  };
}

function rejectedBy({ 'bitacora.rpc.Failure': { code, status, detail } }: EachFailure): PromiseRejectedResult {
  return { status: 'rejected', reason: new DatabaseError(code, detail, status) };
}

/** Nothing was done, and another node may be able to. */
function saysElsewhere(error: unknown): boolean {
  return error instanceof DatabaseError && error.status === 503;
}

/** A call that got no answer, in the caller's terms. */
function toldTo(message: string, error: unknown): unknown {
  const isRead = message === 'get' || message === 'multiGet';
  if (isRead) return error;
  const isUnanswered = error instanceof ConnectionLostError || (error instanceof DatabaseError && error.code === 'timeout');
  if (!isUnanswered) return error;
  const detail = `The node did not answer (${error.message}): the write may or may not take effect.`;
  return new DatabaseError('write_outcome_unknown', detail, 504, { cause: error });
}
