import { KafkaError } from '../../protocol/errors.ts';

/** As many as a Kafka controller gives to a broker at a time (KIP-730). */
const blockSize = 1000;

export interface ProducerIdsOptions {
  /** What `reserve` was last given, from before the start; 0 in the beginning. */
  readonly firstUnreservedId: number;
  /** Resolves when the number would be found again after a crash. */
  reserve(firstUnreservedId: number): Promise<void>;
}

/**
 * Hands out producer ids, none of them twice: a block is reserved before the first of its ids is given away. What a crash leaves of
 * a block is lost, which does not matter among 2^53.
 */
export class ProducerIds {
  readonly #options: ProducerIdsOptions;
  #nextId: number;
  #endId: number;
  #reserving: Promise<void> | undefined;

  constructor(options: ProducerIdsOptions) {
    this.#options = options;
    this.#nextId = options.firstUnreservedId;
    this.#endId = options.firstUnreservedId;
  }

  /** Rejects with a `KafkaError` COORDINATOR_LOAD_IN_PROGRESS, as Kafka does: clients try again. */
  async next(): Promise<number> {
    while (this.#nextId >= this.#endId) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
    }
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }

  async #reserve(): Promise<void> {
    const endId = this.#endId + blockSize;
    try {
      await this.#options.reserve(endId);
    } catch (cause) {
      throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS', 'No producer ids could be reserved', { cause });
    }
    this.#nextId = this.#endId;
    this.#endId = endId;
  }
}
