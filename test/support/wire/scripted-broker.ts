import { createServer, type Server, type Socket } from 'node:net';
import { FrameAssembler, readRequestHeader, writeResponse } from '../../../src/broker/server/frames.ts';
import { type Api, apis } from '../../../src/log/wire/apis.ts';
import { type Message, type MessageInput, type MessageValue, versionRange } from '../../../src/protocol/schema.ts';

/** A request as a scripted broker got it. */
export interface ScriptedRequest<Q = unknown> {
  readonly api: Api;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
  readonly body: Q;
  readonly socket: Socket;
}

/** undefined: it is never answered. */
type Answer<A> = A | undefined | Promise<A | undefined>;
type Script = (request: ScriptedRequest) => Answer<unknown>;

interface Served {
  apiKey: number;
  minVersion: number;
  maxVersion: number;
}

const requestBytesMax = 16 * 1024 * 1024;
const apiByKey = new Map<number, Api>(Object.values(apis).map((api) => [api.request.apiKey, api]));

/**
 * Something that listens where a broker should be, and answers what a test says, in Kafka's protocol or not. By itself it only tells
 * which versions it serves: all that this node knows. A request that no script is there for is never answered.
 */
export class ScriptedBroker {
  /** What ApiVersions tells; a test may take some away. */
  served: Served[] = [...apiByKey.values()].map(({ request }) => {
    const { from, to } = versionRange(request.versions);
    return { apiKey: request.apiKey, minVersion: from, maxVersion: to };
  });
  /** Called for the bytes of each connection instead of all else, where a test wants to write bytes of its own. */
  onBytes: ((socket: Socket, bytes: Buffer) => void) | undefined;
  /** In the order of their coming. */
  readonly requests: ScriptedRequest[] = [];
  /** Connections that there ever were. */
  connections = 0;
  /** Its own, also when it has stopped. */
  port = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  readonly #scripts = new Map<number, Script>();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#take(socket));
    this.on(apis.apiVersions, () => ({ errorCode: 0, apiKeys: this.served }));
  }

  /** `port`: that of one that has stopped. */
  static async start(port = 0): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker();
    await new Promise<void>((resolve, reject) => {
      broker.#server.once('error', reject);
      broker.#server.listen(port, '127.0.0.1', resolve);
    });
    broker.port = (broker.#server.address() as { port: number }).port;
    return broker;
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  /** `host:port`. */
  get hostPort(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Connections that are there now. */
  get open(): number {
    return this.#open.size;
  }

  /** Says how the requests of an API are answered from now on. */
  on<Q extends Message, A extends Message>(
    { request }: Api<Q, A>,
    script: (request: ScriptedRequest<MessageValue<Q>>) => Answer<MessageInput<A>>,
  ): void {
    this.#scripts.set(request.apiKey, script as Script);
  }

  /** The bodies of the requests of one API so far. */
  asked<Q extends Message>({ request }: Api<Q>): MessageValue<Q>[] {
    return this.requests.filter(({ api }) => api.request === request).map(({ body }) => body as MessageValue<Q>);
  }

  /** Ends every connection; it goes on listening. */
  hangUp(): void {
    for (const socket of this.#open) socket.destroy();
  }

  /** Ends every connection and listens no more. */
  async stop(): Promise<void> {
    this.hangUp();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #take(socket: Socket): void {
    this.connections += 1;
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => {});
    const assembler = new FrameAssembler(() => requestBytesMax);
    // Answers go out in the order of the requests, however long each takes.
    let before: Promise<void> = Promise.resolve();
    socket.on('data', (chunk: Buffer) => {
      if (this.onBytes !== undefined) return this.onBytes(socket, chunk);
      for (const frame of assembler.push(chunk)) {
        const answered = this.#answer(socket, frame);
        before = before.then(async () => {
          for (const part of await answered) socket.write(part);
        });
      }
    });
  }

  async #answer(socket: Socket, frame: Buffer): Promise<readonly Buffer[]> {
    const header = readRequestHeader(frame, (apiKey) => apiByKey.get(apiKey)?.request);
    const { apiKey, version, correlationId, clientId } = header;
    const api = apiByKey.get(apiKey)!;
    const body = api.request.decode(frame.subarray(header.bodyStart), version);
    const request = { api, version, correlationId, clientId, body, socket };
    this.requests.push(request);
    const answer = await this.#scripts.get(apiKey)?.(request);
    return answer === undefined ? [] : writeResponse(api.response, answer, { version, correlationId });
  }
}
