import { KafkaError } from '../../protocol/errors.ts';

interface Waiter {
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Forces a log to the disk, one attempt at a time: whoever comes while one is under way shares the next. Once the system could not force
 * something, nothing is tried again, because it may have dropped what it could not write and report success from then on. When a file
 * could not even be opened, as when the process has no descriptor left, nothing is lost: that fails those who took part, and no more.
 */
export class GroupFlush {
  /** Forces everything there is to the disk, and answers up to which offset that was. */
  readonly #sync: () => Promise<number>;
  #flushedOffset: number;
  #waiters: Waiter[] = [];
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(flushedOffset: number, sync: () => Promise<number>) {
    this.#flushedOffset = flushedOffset;
    this.#sync = sync;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when everything before `offset` is on the disk. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR. */
  upTo(offset: number): Promise<void> {
    if (offset <= this.#flushedOffset) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ offset, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** The log was cut: what comes there next is not on the disk. */
  cutTo(offset: number): void {
    this.#flushedOffset = Math.min(this.#flushedOffset, offset);
  }

  /** Resolves when no attempt is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // What is appended in the same turn takes part.
    await Promise.resolve();
    while (this.#waiters.length > 0 && this.#failure === undefined) {
      const partakers = this.#waiters.length;
      try {
        this.#flushedOffset = await this.#sync();
      } catch (error) {
        if (isOpening(error)) rejectAll(this.#waiters.splice(0, partakers), error);
        else this.#failure = error;
      }
      const waiting = this.#waiters;
      this.#waiters = waiting.filter(({ offset }) => offset > this.#flushedOffset);
      for (const { offset, resolve } of waiting) if (offset <= this.#flushedOffset) resolve();
    }
    this.#running = undefined;
    if (this.#failure !== undefined) rejectAll(this.#waiters.splice(0), this.#failure);
  }
}

/** Whether it is the system's refusal to open a file. */
function isOpening(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall === 'open';
}

function rejectAll(waiters: readonly Waiter[], cause: unknown): void {
  const error = new KafkaError('KAFKA_STORAGE_ERROR', 'The log could not be forced to the disk.', { cause });
  for (const { reject } of waiters) reject(error);
}
