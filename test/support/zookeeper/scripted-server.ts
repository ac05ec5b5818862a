import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** What a client asked; the first request on a connection, which asks for a session, has neither number. */
export interface Asked {
  readonly xid: number | undefined;
  readonly operation: number | undefined;
  readonly socket: Socket;
  /** Which connection it came over, from 1. */
  readonly connection: number;
}

/** A server that answers as a test says, be it what no ZooKeeper would. */
export class ScriptedServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  accepted = 0;

  private constructor(answer: (asked: Asked) => void) {
    this.#server = createServer((socket) => {
      this.accepted += 1;
      const connection = this.accepted;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      let bytes = Buffer.alloc(0);
      let first = true;
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
          const xid = first ? undefined : bytes.readInt32BE(4);
          const operation = first ? undefined : bytes.readInt32BE(8);
          first = false;
          bytes = bytes.subarray(4 + bytes.readInt32BE(0));
          answer({ xid, operation, socket, connection });
        }
      });
    });
  }

  static async start(answer: (asked: Asked) => void): Promise<ScriptedServer> {
    const server = new ScriptedServer(answer);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function text(value: string): Buffer {
  return Buffer.concat([int(Buffer.byteLength(value)), Buffer.from(value)]);
}

/** A message, with its length before it. */
export function message(...fields: Buffer[]): Buffer {
  const body = Buffer.concat(fields);
  return Buffer.concat([int(body.length), body]);
}

/** A session is granted, its id one byte eight times, or has expired where the timeout is 0. */
export function session(timeoutMs: number, id = 7): Buffer {
  return message(int(0), int(timeoutMs), Buffer.alloc(8, timeoutMs > 0 ? id : 0), int(16), Buffer.alloc(16));
}

export function reply(xid: number, error: number, ...fields: Buffer[]): Buffer {
  return message(int(xid), Buffer.alloc(8, 1), int(error), ...fields);
}

/** What ZooKeeper knows of a node: a persistent one, and otherwise all zero. */
export const stat = Buffer.alloc(68);

/** The same of a node that lives with a session. */
export function statOwnedBy(id: number): Buffer {
  return Buffer.from(stat).fill(id, 44, 52);
}
