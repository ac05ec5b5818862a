import type { Logger } from './logger.ts';

/** A long-lived part of the program. */
export interface Service {
  readonly name: string;
  /** Starts; resolves once the part does its work, or is doing what it can towards that in the background. */
  run(): Promise<void>;
  /** Takes no new work and finishes what it has. */
  drain?(): Promise<void>;
  /** Lets go of everything, finished or not. */
  stop(): Promise<void>;
}

/** Starts services in the order given; ends them in the reverse order, each drained and then stopped. */
export class Services {
  readonly #services: readonly Service[];
  readonly #logger: Logger;
  readonly #started: Service[] = [];

  constructor(services: readonly Service[], logger: Logger) {
    this.#services = services;
    this.#logger = logger;
  }

  async run(): Promise<void> {
    for (const service of this.#services) {
      this.#started.push(service);
      await service.run();
    }
  }

  /** A service that fails to end is logged and passed over: the ones below it still get their turn. */
  async stop(): Promise<void> {
    for (let service = this.#started.pop(); service !== undefined; service = this.#started.pop()) {
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
