import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A connection on which a test writes what it likes and reads HTTP answers one by one. */
export class HttpSocket {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #failure: Error | undefined;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  static async open({ port }: { readonly port: number }): Promise<HttpSocket> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new HttpSocket(socket);
  }

  send(bytes: string | Uint8Array): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** No more will be sent. */
  end(): void {
    this.#socket.end();
  }

  /** Bytes that were received and are not part of an answer that was read. */
  get rest(): Buffer {
    return this.#received;
  }

  /** Whether the server ended the connection by an error rather than orderly. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** The next answer; `toHead`: of a HEAD request, which has no body. Rejects when the connection ends before. */
  async answer({ toHead = false } = {}): Promise<RawAnswer> {
    await this.#until(() => this.#received.includes('\r\n\r\n'));
    const headEnd = this.#received.indexOf('\r\n\r\n');
    const [statusLine = '', ...fields] = this.#received.subarray(0, headEnd).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.replace(/^[^:]*: */, '')]),
    );
    const [, digits] = /^HTTP\/1\.1 (\d{3})( |$)/.exec(statusLine) ?? [];
    if (digits === undefined) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
    const status = Number(digits);
    const bodiless = toHead || status < 200 || status === 204 || status === 304;
    this.#received = this.#received.subarray(headEnd + 4);
    const chunked = headers['transfer-encoding'] === 'chunked';
    const bytes = bodiless
      ? Buffer.alloc(0)
      : chunked
        ? await this.#chunks()
        : await this.#take(Number(headers['content-length'] ?? 0));
    const body = bytes.toString('utf8');
    return { status, headers, body };
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#ended) await this.#event();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #take(length: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= length);
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  async #chunks(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (;;) {
      await this.#until(() => this.#received.includes('\r\n'));
      const line = await this.#take(this.#received.indexOf('\r\n') + 2);
      const length = Number.parseInt(line.toString('latin1'), 16);
      const chunk = await this.#take(length + 2);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended) {
        const received = JSON.stringify(this.#received.toString('latin1').slice(0, 200));
        throw new Error(`the connection ended after ${received}`, { cause: this.#failure });
      }
      await this.#event();
    }
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
