/** Callers that want to know as soon as a record of a certain key has been applied. */
export class KeyArrivals {
  readonly #watchers = new Map<string, Watcher>();

  /** Keys that are watched: while it is 0, nothing need be told. */
  get size(): number {
    return this.#watchers.size;
  }

  /** One watcher a key. The returned function ends the watch. */
  watch(key: Buffer, watcher: Watcher): () => void {
    const name = key.toString('latin1');
    this.#watchers.set(name, watcher);
    return () => {
      if (this.#watchers.get(name) === watcher) this.#watchers.delete(name);
    };
  }

  /** A record of the key `buffer[keyStart, keyEnd)` is in the store. */
  arrived(buffer: Buffer, keyStart: number, keyEnd: number): void {
    const name = buffer.toString('latin1', keyStart, keyEnd);
    const watcher = this.#watchers.get(name);
    if (watcher === undefined) return;
    this.#watchers.delete(name);
    watcher.arrived();
  }

  /** Ends every watch: what was read is dropped. */
  abandon(): void {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    for (const watcher of watchers) watcher.abandoned();
  }
}

interface Watcher {
  arrived(): void;
  abandoned(): void;
}
