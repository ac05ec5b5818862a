import { Worker } from 'node:worker_threads';
import { Backoff, type Clock, pause } from '../kernel/clock.ts';
import { FatalError } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger, LogLevel } from '../kernel/logger.ts';
import type { BrokerOptions } from './broker.ts';
import { newLockToken } from './folder-lock.ts';

export interface WorkerInput {
  readonly options: BrokerOptions;
  readonly logLevel: LogLevel;
  readonly terminal: boolean;
}

/** What the thread is given. */
export interface WorkerData extends WorkerInput {
  /** The lock that an earlier thread of this host has left behind has it too, and may be taken over. */
  readonly lockToken: string;
}

export type ToWorker = { readonly kind: 'stop' } | { readonly kind: 'metrics'; readonly id: number };

export type FromWorker =
  | { readonly kind: 'started'; readonly addresses: readonly string[] }
  /** `isTaken`: another broker has the folder or the port. */
  | { readonly kind: 'failed'; readonly isTaken: boolean; readonly message: string }
  | { readonly kind: 'metrics'; readonly id: number; readonly text: string };

export interface HostedBrokerOptions {
  readonly input: WorkerInput;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Another broker has the folder or the port: whoever starts may use that one. */
export class BrokerTakenError extends FatalError {}

const restartFirstMs = 500;
const restartCapMs = 30_000;
const metricsTimeoutMs = 2_000;
const stopTimeoutMs = 15_000;

/**
 * A broker in a worker thread, so that neither waits for the other's work. The thread is started again when it ends by itself: what it
 * had acknowledged is on the disk.
 */
export class HostedBroker implements Service {
  readonly name = 'broker';
  readonly #options: HostedBrokerOptions;
  readonly #backoff = new Backoff(restartFirstMs, restartCapMs);
  readonly #stopped = new AbortController();
  readonly #scrapes = new Map<number, (text: string) => void>();
  readonly #lockToken = newLockToken();
  #nextScrape = 0;
  /** From before it has started. */
  #worker: Worker | undefined;
  #isStarted = false;

  constructor(options: HostedBrokerOptions) {
    this.#options = options;
  }

  /** Rejects with a `BrokerTakenError`, or with another `FatalError`. */
  async run(): Promise<void> {
    await this.#start();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    const worker = this.#worker;
    if (worker === undefined) return;
    // One that is starting hears of it when it has started.
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#send({ kind: 'stop' });
    const cancel = this.#options.clock.after(stopTimeoutMs, () => void worker.terminate());
    await ended;
    cancel();
  }

  /** The broker's metrics in Prometheus' format; empty when it does not answer. */
  metrics(): Promise<string> {
    if (!this.#isStarted) return Promise.resolve('');
    const id = this.#nextScrape;
    this.#nextScrape += 1;
    return new Promise((resolve) => {
      const finish = (text: string): void => {
        cancel();
        this.#scrapes.delete(id);
        resolve(text);
      };
      const cancel = this.#options.clock.after(metricsTimeoutMs, () => finish(''));
      this.#scrapes.set(id, finish);
      this.#send({ kind: 'metrics', id });
    });
  }

  #send(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #start(): Promise<void> {
    return new Promise((resolve, reject) => {
      // The same file before and after compilation.
      const file = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
      const workerData: WorkerData = { ...this.#options.input, lockToken: this.#lockToken };
      const worker = new Worker(file, { workerData });
      this.#worker = worker;
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'metrics') return this.#scrapes.get(message.id)?.(message.text);
        if (message.kind === 'failed') {
          return reject(message.isTaken ? new BrokerTakenError(message.message) : new FatalError(message.message));
        }
        this.#isStarted = true;
        this.#backoff.reset();
        resolve();
      });
      worker.on('error', (error) => {
        this.#options.logger.error({ err: error }, 'the broker failed');
        reject(new FatalError(`the broker failed: ${error.message}`, { cause: error }));
      });
      worker.on('exit', () => {
        reject(new FatalError('the broker ended before it had started'));
        // One that could not start says so before it ends, and another may have begun by now.
        if (this.#worker !== worker) return;
        const wasStarted = this.#isStarted;
        this.#isStarted = false;
        this.#worker = undefined;
        if (wasStarted && !this.#stopped.signal.aborted) void this.#restart();
      });
    });
  }

  async #restart(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stopped;
    for (;;) {
      const delayMs = this.#backoff.nextMs();
      logger.warn(`the broker has ended and is started again in ${delayMs} ms`);
      await pause(clock, delayMs, signal);
      if (signal.aborted) return;
      try {
        await this.#start();
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.error(`the broker could not be started again: ${(error as Error).message}`);
      }
    }
  }
}
