import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { FatalError } from '../kernel/errors.ts';

/** Standard output with back-pressure. A reader that goes away (`| head`) is no fault: writes do nothing from then on. */
export class Output {
  readonly #stream: Writable;
  readonly #closed = new AbortController();
  #fault: FatalError | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') {
        this.#fault = new FatalError(`standard output cannot be written: ${error.message}`, { cause: error });
      }
      this.#closed.abort();
    });
  }

  /** Aborts when nobody reads any more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Resolves once there is room for more. Rejects with a `FatalError` when the stream has failed, as on a full disk. */
  async write(chunk: string | Uint8Array): Promise<void> {
    this.#check();
    if (this.closed.aborted || this.#stream.write(chunk)) return;
    await once(this.#stream, 'drain', { signal: this.closed }).catch(() => this.#check());
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value, null, 2));
  }

  /** Resolves once all that was written has left the process. */
  async flush(): Promise<void> {
    this.#check();
    if (this.closed.aborted) return;
    await new Promise<void>((resolve) => {
      this.closed.addEventListener('abort', () => resolve(), { once: true });
      this.#stream.write('', () => resolve());
    });
    this.#check();
  }

  #check(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }
}
