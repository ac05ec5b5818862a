/** One write of a client, of one key or of several. */
export interface Ticket {
  readonly number: number;
  /** Keys in latin1, which any bytes may be read as. */
  readonly names: readonly string[];
  /** It is under way at a node that is not used any more. */
  isLeft: boolean;
}

/**
 * Keeps the writes of each key in the order in which they were made, where they do not all go over one connection. What a node
 * has refused is sent again only while it is the latest of its keys: behind a later write it would bring an older value back. And
 * what a left node has not answered yet holds up later writes of its keys, which could overtake it at another node.
 */
export class WriteOrder {
  /** By key, the number of the latest write under way. */
  readonly #latest = new Map<string, number>();
  /** By key, how many writes of it are under way at nodes that were left. */
  readonly #left = new Map<string, number>();
  #count = 0;

  begin(keys: readonly Buffer[]): Ticket {
    this.#count += 1;
    const names = keys.map((key) => key.toString('latin1'));
    for (const name of names) this.#latest.set(name, this.#count);
    return { number: this.#count, names, isLeft: false };
  }

  isLatest({ number, names }: Ticket): boolean {
    return names.every((name) => this.#latest.get(name) === number);
  }

  /** Whether it has to wait for an earlier one. */
  isHeldUp({ names }: Ticket): boolean {
    return this.#left.size > 0 && names.some((name) => this.#left.has(name));
  }

  /** It is under way at a node that is used no more. */
  leave(ticket: Ticket): void {
    ticket.isLeft = true;
    for (const name of ticket.names) this.#left.set(name, (this.#left.get(name) ?? 0) + 1);
  }

  /** It is not under way at such a node any more. Whether others may have waited for that. */
  rejoin(ticket: Ticket): boolean {
    if (!ticket.isLeft) return false;
    ticket.isLeft = false;
    for (const name of ticket.names) {
      const count = this.#left.get(name)! - 1;
      if (count > 0) this.#left.set(name, count);
      else this.#left.delete(name);
    }
    return true;
  }

  /** It has its outcome. Whether others may have waited for that. */
  end(ticket: Ticket): boolean {
    for (const name of ticket.names) if (this.#latest.get(name) === ticket.number) this.#latest.delete(name);
    return this.rejoin(ticket);
  }
}
