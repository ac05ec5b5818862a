import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a server that a test can cut, so that the server sees its client vanish without a word. */
export class CuttableProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  #opening: Buffer | undefined;

  private constructor(target: string) {
    const [host, port] = target.split(':');
    this.#server = createServer((near) => {
      if (this.#cut) {
        near.destroy();
        return;
      }
      const far = connect({ host: host!, port: Number(port) });
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => undefined);
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
      far.once('data', (chunk: Buffer) => {
        this.#opening = chunk;
      });
    });
  }

  static async to(target: string): Promise<CuttableProxy> {
    const proxy = new CuttableProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The session of the latest connection, as the server granted it. */
  get session(): { id: Buffer; password: Buffer } {
    const opening = this.#opening!;
    return { id: opening.subarray(12, 20), password: opening.subarray(24, 40) };
  }

  /** How many connections go through it. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Ends every connection, and lets none through until mend(). */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  async stop(): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}
