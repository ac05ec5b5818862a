import type { PartitionEnds } from '../log/log.ts';

/**
 * Shares questions to the log among linearizable reads. A read may only use an answer to a question sent after it came, so a
 * read that finds a question under way waits for the one after it; that one then serves every read that came meanwhile.
 */
export class EndsLookup {
  readonly #ask: () => Promise<readonly PartitionEnds[]>;
  #underWay: Promise<readonly PartitionEnds[]> | undefined;
  #following: Promise<readonly PartitionEnds[]> | undefined;

  constructor(ask: () => Promise<readonly PartitionEnds[]>) {
    this.#ask = ask;
  }

  /** Where the partitions end, by a question that is sent after this call. */
  next(): Promise<readonly PartitionEnds[]> {
    if (this.#underWay === undefined) return this.#send();
    this.#following ??= this.#underWay.then(
      () => this.#send(),
      () => this.#send(),
    );
    return this.#following;
  }

  #send(): Promise<readonly PartitionEnds[]> {
    const answer = this.#ask().finally(() => {
      if (this.#underWay === answer) this.#underWay = undefined;
    });
    this.#underWay = answer;
    this.#following = undefined;
    return answer;
  }
}
