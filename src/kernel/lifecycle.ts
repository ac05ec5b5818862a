import type { Logger } from './logger.ts';

/** A long-lived part of the program. */
export interface Service {
  readonly name: string;
  /** Starts; resolves once the part does its work, or is doing what it can towards that in the background. */
  run(): Promise<void>;
  /** Tells whoever asks that it will soon end, and works on. Every service is told before any of them drains. */
  retire?(): void;
  /** Takes no new work and finishes what it has. */
  drain?(): Promise<void>;
  /** Lets go of everything, finished or not. */
  stop(): Promise<void>;
}

/** Starts services in the order given, once; ends them in the reverse order, each drained and then stopped. */
export class Services {
  readonly #services: readonly Service[];
  readonly #logger: Logger;
  readonly #started: Service[] = [];
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(services: readonly Service[], logger: Logger) {
    this.#services = services;
    this.#logger = logger;
  }

  /** Resolves early when `stop` is called meanwhile: what has not been started then, never is. */
  run(): Promise<void> {
    this.#running = this.#start();
    return this.#running;
  }

  /** A service that fails to end is logged and passed over: the ones below it still get their turn. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async #start(): Promise<void> {
    for (const service of this.#services) {
      if (this.#stopped !== undefined) return;
      this.#started.push(service);
      await service.run();
    }
  }

  async #end(): Promise<void> {
    for (const service of this.#started) service.retire?.();
    // Whoever asked for the start is told how that went.
    await this.#running.catch(() => {});
    for (const service of this.#started.reverse()) {
      try {
        await service.drain?.();
      } catch (error) {
        this.#logger.warn({ err: error }, `${service.name} did not drain`);
      }
      try {
        await service.stop();
      } catch (error) {
        this.#logger.warn({ err: error }, `${service.name} did not stop cleanly`);
      }
    }
  }
}
