import type { Logger } from '../../kernel/logger.ts';

/** What fails at the moment: one line when it begins, one when it is over, and detail in between. */
export class Troubles {
  readonly #logger: Logger;
  readonly #open = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  begin(what: string, reason: string): void {
    if (this.#open.has(what)) {
      this.#logger.debug(`${what} still cannot be read (${reason})`);
      return;
    }
    this.#open.add(what);
    this.#logger.warn(`${what} cannot be read (${reason}); trying again`);
  }

  end(what: string): void {
    if (this.#open.delete(what)) this.#logger.info(`${what} can be read again`);
  }
}
