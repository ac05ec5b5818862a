interface EpochStart {
  readonly epoch: number;
  readonly startOffset: number;
}

/** Where each leader epoch began (KIP-101), as text in the format of Kafka's `leader-epoch-checkpoint` file. */
export class LeaderEpochs {
  #starts: EpochStart[] = [];

  /** undefined: the text is not such a file. */
  static parse(text: string): LeaderEpochs | undefined {
    const lines = text.split('\n');
    const count = Number(lines[1]);
    if (lines[0] !== '0' || !Number.isSafeInteger(count) || count < 0 || lines.length < count + 2) return undefined;
    const epochs = new LeaderEpochs();
    for (const line of lines.slice(2, count + 2)) {
      const [, epoch, startOffset] = /^(\d{1,10}) (\d{1,16})$/.exec(line) ?? [];
      if (epoch === undefined || !epochs.assign(Number(epoch), Number(startOffset))) return undefined;
    }
    return epochs;
  }

  text(): string {
    const lines = this.#starts.map(({ epoch, startOffset }) => `${epoch} ${startOffset}\n`);
    return `0\n${lines.length}\n${lines.join('')}`;
  }

  /** A batch of this epoch is at this offset. Answers whether the epoch is new. */
  assign(epoch: number, startOffset: number): boolean {
    const latest = this.#starts.at(-1);
    if (epoch < 0 || (latest !== undefined && (epoch <= latest.epoch || startOffset < latest.startOffset)))
      return false;
    // An epoch that has no record gives way.
    if (latest?.startOffset === startOffset) this.#starts.pop();
    this.#starts.push({ epoch, startOffset });
    return true;
  }

  /** The largest epoch that is not above the asked one, and where it ends; -1 and -1 when that is not known, as in Kafka. */
  endOffsetFor(epoch: number, logEndOffset: number): { leaderEpoch: number; endOffset: number } {
    const latest = this.#starts.at(-1);
    if (epoch < 0 || latest === undefined || epoch > latest.epoch) return { leaderEpoch: -1, endOffset: -1 };
    if (epoch === latest.epoch) return { leaderEpoch: epoch, endOffset: logEndOffset };
    const higher = this.#starts.findIndex((start) => start.epoch > epoch);
    const floor = this.#starts[higher - 1];
    return { leaderEpoch: floor?.epoch ?? epoch, endOffset: this.#starts[higher]!.startOffset };
  }

  /** The epoch of the record at this offset; -1: not known. */
  epochAt(offset: number): number {
    return this.#starts.findLast(({ startOffset }) => startOffset <= offset)?.epoch ?? -1;
  }

  /** The log ends here now. */
  cutFrom(endOffset: number): void {
    this.#starts = this.#starts.filter(({ startOffset }) => startOffset < endOffset);
  }

  /** The log begins here now: the epoch of the first offset begins there too. */
  cutBefore(startOffset: number): void {
    const current = this.#starts.findLastIndex((start) => start.startOffset <= startOffset);
    if (current < 0) return;
    this.#starts = [{ epoch: this.#starts[current]!.epoch, startOffset }, ...this.#starts.slice(current + 1)];
  }
}
