import type { Logger } from '../../kernel/logger.ts';
import { KafkaError, kafkaErrors } from '../../protocol/errors.ts';

export interface PartError {
  readonly errorCode: number;
  readonly errorMessage: string;
}

/**
 * Turns what was thrown into what the client is told. An error that is not of the protocol is a fault of ours: it is logged and
 * counted, and the client hears UNKNOWN_SERVER_ERROR.
 */
export class Faults {
  readonly #logger: Logger;
  #count = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get count(): number {
    return this.#count;
  }

  tell(error: unknown, during: string): PartError {
    if (error instanceof KafkaError) return { errorCode: error.code, errorMessage: error.message };
    this.#count += 1;
    this.#logger.error({ err: error }, `${during} failed`);
    return {
      errorCode: kafkaErrors.UNKNOWN_SERVER_ERROR.code,
      errorMessage: 'The server experienced an unexpected error.',
    };
  }

  /** What `act` answers, with errorCode 0; or the error that it throws or rejects with. */
  async part<T extends object>(
    during: string,
    act: () => Promise<T> | T,
  ): Promise<(T & { errorCode: 0; errorMessage: null }) | PartError> {
    try {
      return { ...(await act()), errorCode: 0, errorMessage: null };
    } catch (error) {
      return this.tell(error, during);
    }
  }
}
