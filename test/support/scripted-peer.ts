import { createServer, type Server, type Socket } from 'node:net';

/** A request as a scripted peer got it. */
export interface PeerRequest {
  readonly socket: Socket;
  /** The request target. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Something that listens where another node should be, and does on the raw connection what a test says: no HTTP server stands
 * between, so that an answer can be as wrong as a test wants it.
 */
export class ScriptedPeer {
  /** Called for each connection. */
  onConnection: (socket: Socket) => void = () => {};
  /** Called for each request; by default it is never answered. */
  onRequest: (request: PeerRequest) => void = () => {};
  readonly requests: PeerRequest[] = [];
  /** Connections that there ever were. */
  connections = 0;
  /** The most connections that there were at one time. */
  openMax = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#take(socket));
  }

  static async start(): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer();
    await new Promise<void>((resolve) => peer.#server.listen(0, '127.0.0.1', resolve));
    return peer;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** `host:port`, the id of a member. */
  get id(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Connections that are there now. */
  get open(): number {
    return this.#open.size;
  }

  /** Ends every connection and listens no more. */
  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #take(socket: Socket): void {
    this.connections += 1;
    this.#open.add(socket);
    this.openMax = Math.max(this.openMax, this.#open.size);
    socket.on('error', () => {});
    socket.on('close', () => this.#open.delete(socket));
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      for (let end = received.indexOf('\r\n\r\n'); end >= 0; end = received.indexOf('\r\n\r\n')) {
        const [requestLine = '', ...fields] = received.slice(0, end).split('\r\n');
        received = received.slice(end + 4);
        const headers = Object.fromEntries(
          fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.replace(/^[^:]*: */, '')]),
        );
        const request = { socket, target: requestLine.split(' ')[1] ?? '', headers };
        this.requests.push(request);
        this.onRequest(request);
      }
    });
    this.onConnection(socket);
  }
}

/** An answer as it goes over the wire, with its length unless the headers say how long it is. */
export function answerText(status: number, headers: Readonly<Record<string, string>>, body: string | Buffer): string {
  const length = headers['Content-Length'] === undefined && headers['Transfer-Encoding'] === undefined;
  const all = length ? { ...headers, 'Content-Length': String(Buffer.byteLength(body)) } : headers;
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n${body.toString('latin1')}`;
}

/** What a node answers at `/rpc/cluster`, to be laid over by what a test wants otherwise. */
export interface NodeAnswer {
  position?: number;
  partition?: number;
  caughtUp?: boolean;
  topic?: string;
  offset?: number;
  expiresAtMs?: number;
  headers?: Readonly<Record<string, string>>;
}

export function valueAnswer(value: string, options: NodeAnswer = {}): string {
  const { position = 1, partition = 0, offset = position - 1, expiresAtMs, headers } = options;
  const all = {
    ...weight(options),
    'Bitacora-Partition': String(partition),
    'Bitacora-Offset': String(offset),
    'Bitacora-Timestamp': '1',
    ...(expiresAtMs === undefined ? {} : { 'Bitacora-Expires-At': String(expiresAtMs) }),
    'Content-Type': 'application/octet-stream',
    ...headers,
  };
  return answerText(200, all, value);
}

export function notFoundAnswer(options: NodeAnswer = {}): string {
  const body = JSON.stringify({ status: 404, code: 'key_not_found' });
  return answerText(404, { ...weight(options), 'Content-Type': 'application/problem+json', ...options.headers }, body);
}

function weight({ position = 1, partition = 0, caughtUp = true, topic = '-/test' }: NodeAnswer) {
  return {
    'Bitacora-Position': `${partition}:${position}`,
    'Bitacora-Caught-Up': String(caughtUp),
    'Bitacora-Topic': topic,
  };
}
