import { closeSync, openSync } from 'node:fs';

/** Something of which a file is read. */
export interface ReadableFile {
  readonly logPath: string;
}

interface Handle {
  readonly fd: number;
  users: number;
  /** To be closed by its last user. */
  isDropped: boolean;
}

/** Files that are open for reading: the ones used last, up to a number, and those in use. */
export class ReadHandles {
  readonly #idleMax: number;
  readonly #handles = new Map<ReadableFile, Handle>();

  constructor(idleMax: number) {
    this.#idleMax = idleMax;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** Opens the file now, if it is not: from here on it may be renamed or removed. Throws what opening throws. */
  acquire(file: ReadableFile): { readonly fd: number; release: () => void } {
    const handle = this.#handles.get(file) ?? { fd: openSync(file.logPath, 'r'), users: 0, isDropped: false };
    handle.users += 1;
    // The end of the map's order is for what was used last.
    this.#handles.delete(file);
    this.#handles.set(file, handle);
    if (this.#handles.size > this.#idleMax) this.#closeIdle();
    let isReleased = false;
    return {
      fd: handle.fd,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        handle.users -= 1;
        if (handle.users === 0 && handle.isDropped) closeSync(handle.fd);
      },
    };
  }

  /** The file is not read any more: closed as soon as nobody is at it. */
  drop(file: ReadableFile): void {
    const handle = this.#handles.get(file);
    if (handle === undefined) return;
    this.#handles.delete(file);
    handle.isDropped = true;
    if (handle.users === 0) closeSync(handle.fd);
  }

  #closeIdle(): void {
    for (const [file, handle] of this.#handles) {
      if (this.#handles.size <= this.#idleMax) return;
      if (handle.users === 0) this.drop(file);
    }
  }
}

/** One for all partitions: what there is only so much of is the process's file descriptors. */
export const readHandles = new ReadHandles(256);
