import { connect, type Socket } from 'node:net';
import { type Client, CreateMode, createClient, Exception, type Option, type Stat, State } from 'node-zookeeper-client';
import type { Clock } from '../../kernel/clock.ts';
import {
  BadMessage,
  checkNotification,
  checkReply,
  checkSessionAnswer,
  MessageReader,
  replyHeader,
  unasked,
} from './messages.ts';

/*
 * node-zookeeper-client 1.1.3, contained. It encodes requests, decodes answers, numbers them, keeps watches and pings. All that
 * has to do with the socket is done here instead, as its own ways of it cannot be lived with:
 *
 * - It reconnects by itself, for ever, with a delay of its own; bytes of the old connection stay in its buffer, each attempt
 *   queues one more request to set watches, and requests queued meanwhile are sent after who knows how long. Here a client
 *   serves one connection and is thrown away with it: its connect() and onSocketClosed() are never called.
 * - It takes an IPv6 address apart at the first colon. It is given no address here.
 * - It has no read timeout: a server that falls silent is never noticed. Here a connection ends when nothing was heard for two
 *   thirds of the session timeout, twice the time after which the client pings.
 * - It believes every length: a huge one is buffered without bound, a negative one inside a list makes it loop for ever, others
 *   make it throw in a socket's event handler, which ends the process. Here it is handed whole messages, one at a time, whose
 *   lengths were checked, and what it throws nevertheless ends the connection.
 * - It forgets the callback of a request whose reply has the wrong number, or an error code that it does not know. Here the end
 *   of a connection rejects whatever was asked on it, and such codes do not reach it.
 * - close() without a connection queues a request that is never sent. Here that is the destruction of a socket.
 * - A watch that is set again before it fired is kept twice unless it is the same function. Here it is, by node.
 *
 * Its type declarations leave out what is used of it for that, so the version is pinned.
 */
interface ConnectionManager {
  state: number;
  socket: Socket;
  readonly pendingQueue: {
    readonly request: { readonly header: { readonly xid: number; readonly type: number } };
    readonly callback: (error: unknown, response: unknown) => void;
  }[];
  setState(state: number): void;
  onSocketConnected(): void;
  onSocketData(message: Buffer): void;
  onSocketDrain(): void;
}

const connecting = 1;

/** Codes after which nothing more can be had from a connection: session moved to another server is one the library lacks. */
const endings: readonly number[] = [Exception.CONNECTION_LOSS, Exception.SESSION_EXPIRED, -118];

/** The server refused a request. */
export class ZookeeperError extends Error {
  override readonly name = 'ZookeeperError';
  readonly code: number;

  constructor(code: number) {
    const known = Object.entries(Exception).find(([, value]) => value === code)?.[0];
    super(known ?? `error ${code}`);
    this.code = code;
  }

  /** The library asks its own errors for it. */
  getCode(): number {
    return this.code;
  }
}

/** What a session is resumed with over another connection. */
export interface Session {
  readonly id: Buffer;
  readonly password: Buffer;
  /** As the server decided. */
  readonly timeoutMs: number;
}

export interface ConnectionOptions {
  /** `host:port` */
  readonly server: string;
  readonly sessionTimeoutMs: number;
  /** How long opening may take. */
  readonly openTimeoutMs: number;
  /** The session to resume; a new one by default. */
  readonly session?: Session | undefined;
  readonly clock: Clock;
  /** Ends the attempt to open. */
  readonly signal: AbortSignal;
}

/** One connection to one server, with a session over it. Every request rejects when the connection ends. */
export class Connection {
  readonly #client: Client;
  readonly #manager: ConnectionManager;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #messages = new MessageReader();
  readonly #over = new AbortController();
  readonly #gone: Promise<void>;
  readonly #rejections = new Set<(error: unknown) => void>();
  readonly #watchers = new Map<string, () => void>();
  readonly #onChange = new Map<string, () => void>();
  #silenceMs: number;
  #forgetSilence: () => void = () => undefined;
  #settleOpening: () => void = () => undefined;
  #failure: Error | undefined;

  private constructor({ server, sessionTimeoutMs, openTimeoutMs, session, clock }: ConnectionOptions) {
    const options: Partial<Option> & { sessionId?: Buffer; sessionPassword?: Buffer } = {
      sessionTimeout: sessionTimeoutMs,
      ...(session && { sessionId: session.id, sessionPassword: session.password }),
    };
    this.#client = createClient('unused', options);
    this.#manager = (this.#client as unknown as { connectionManager: ConnectionManager }).connectionManager;
    this.#manager.setState(connecting);
    this.#clock = clock;
    this.#silenceMs = openTimeoutMs;
    const port = server.lastIndexOf(':');
    this.#socket = connect({
      host: server.slice(0, port).replace(/^\[(.*)\]$/, '$1'),
      port: Number(server.slice(port + 1)),
      noDelay: true,
    });
    this.#manager.socket = this.#socket;
    this.#gone = new Promise((resolve) => {
      this.#socket.once('close', () => {
        this.#end(new Error('the server closed the connection'));
        resolve();
      });
    });
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('connect', () => this.#manager.onSocketConnected());
    this.#socket.on('drain', () => this.#manager.onSocketDrain());
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#listen();
  }

  /** Resolves to undefined if the session to resume has expired. */
  static async open(options: ConnectionOptions): Promise<Connection | undefined> {
    const { session, signal } = options;
    signal.throwIfAborted();
    const connection = new Connection(options);
    const giveUp = () => connection.#end(new Error('given up'));
    signal.addEventListener('abort', giveUp);
    await new Promise<void>((resolve) => {
      connection.#settleOpening = resolve;
    });
    signal.removeEventListener('abort', giveUp);
    if (connection.#client.getState() === State.SYNC_CONNECTED && !connection.over.aborted) return connection;
    const expired = connection.#client.getState() === State.EXPIRED;
    await connection.destroy();
    if (expired && session) return undefined;
    throw expired ? new Error('the server gives no session') : connection.#failure;
  }

  /** Aborts when nothing more can be asked: the connection has ended, or is about to be closed. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Why it ended, once it has. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  get session(): Session {
    return {
      id: this.#client.getSessionId(),
      password: this.#client.getSessionPassword(),
      timeoutMs: this.#client.getSessionTimeout(),
    };
  }

  /** Makes a node that lives as long as the session. */
  async createEphemeral(path: string, data: Buffer): Promise<void> {
    await this.#ask<string>((done) => this.#client.create(path, data, CreateMode.EPHEMERAL, done));
  }

  async createPersistent(path: string): Promise<void> {
    await this.#ask<string>((done) => this.#client.create(path, Buffer.alloc(0), CreateMode.PERSISTENT, done));
  }

  /** The node's data about itself, or undefined if there is none. `onChange` is called once, at the next change or at the end. */
  async stat(path: string, onChange: () => void): Promise<Stat | undefined> {
    const watcher = this.#watcher(`stat ${path}`, onChange);
    return (await this.#ask<Stat | null>((done) => this.#client.exists(path, watcher, done))) ?? undefined;
  }

  /** The names of the nodes under a node. `onChange` is called once, at the next change or at the end. */
  children(path: string, onChange: () => void): Promise<string[]> {
    const watcher = this.#watcher(`children ${path}`, onChange);
    return this.#ask<string[]>((done) => this.#client.getChildren(path, watcher, done));
  }

  /** Ends the session, and with it all its nodes. Resolves when the server has closed the connection. */
  async closeSession(): Promise<void> {
    if (!this.over.aborted) {
      this.#client.close();
      this.#stopAsking(new Error('closed'));
    }
    await this.#gone;
  }

  /** Ends the connection but not the session. Resolves when nothing is left of it. */
  async destroy(): Promise<void> {
    this.#end(new Error('given up'));
    await this.#gone;
  }

  #ask<T>(send: (done: (error: Error | Exception | null, value: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.over.aborted) return reject(this.over.reason);
      this.#rejections.add(reject);
      send((error, value) => {
        this.#rejections.delete(reject);
        if (error === null || error === undefined) resolve(value);
        else reject('code' in error ? new ZookeeperError(error.code) : error);
      });
    });
  }

  #watcher(key: string, onChange: () => void): () => void {
    this.#onChange.set(key, onChange);
    const watcher = this.#watchers.get(key) ?? (() => this.#changed(key));
    this.#watchers.set(key, watcher);
    return watcher;
  }

  #changed(key: string): void {
    const onChange = this.#onChange.get(key);
    this.#onChange.delete(key);
    onChange?.();
  }

  #onData(chunk: Buffer): void {
    try {
      for (const message of this.#messages.read(chunk)) {
        if (this.#failure) return;
        this.#onMessage(message);
      }
      this.#listen();
    } catch (error) {
      this.#end(new Error('the server sent what is not understood', { cause: error }));
    }
  }

  #onMessage(message: Buffer): void {
    if (this.#manager.state === connecting) {
      checkSessionAnswer(message);
      this.#manager.onSocketData(message);
      this.#silenceMs = (this.#client.getSessionTimeout() * 2) / 3;
      this.#settleOpening();
      return;
    }
    const { xid, error } = replyHeader(message);
    if (xid === unasked.ping) return;
    if (xid === unasked.notification) {
      checkNotification(message);
    } else {
      const asked = this.#manager.pendingQueue[0];
      if (asked?.request.header.xid !== xid) throw new BadMessage(`a reply to request ${xid}, which was not next`);
      if (endings.includes(error)) throw new ZookeeperError(error);
      // The library makes an answer of a node's absence, and so must see it.
      if (error !== 0 && error !== Exception.NO_NODE) {
        this.#manager.pendingQueue.shift();
        asked.callback(new ZookeeperError(error), undefined);
        return;
      }
      if (error === 0) checkReply(message, asked.request.header.type);
    }
    this.#manager.onSocketData(message);
  }

  /** From now on the server has `silenceMs` to say something. */
  #listen(): void {
    this.#forgetSilence();
    if (this.#failure) return;
    this.#forgetSilence = this.#clock.after(this.#silenceMs, () => this.#end(new Error('the server is silent')));
  }

  #end(failure: Error): void {
    if (this.#failure) return;
    this.#failure = failure;
    this.#forgetSilence();
    this.#socket.destroy();
    this.#stopAsking(failure);
    this.#settleOpening();
  }

  #stopAsking(reason: Error): void {
    this.#over.abort(reason);
    for (const reject of this.#rejections) reject(reason);
    this.#rejections.clear();
    for (const key of [...this.#onChange.keys()]) this.#changed(key);
  }
}
