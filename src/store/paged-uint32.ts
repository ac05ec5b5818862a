const pageBits = 14;
const pageLength = 1 << pageBits;
const pageMask = pageLength - 1;

/** A growing row of 32-bit numbers, in pages, so that growing never copies what is there. */
export class PagedUint32 {
  #pages: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#pages.length * pageLength * Uint32Array.BYTES_PER_ELEMENT;
  }

  get(index: number): number {
    return this.#pages[index >>> pageBits]![index & pageMask]!;
  }

  set(index: number, value: number): void {
    this.#pages[index >>> pageBits]![index & pageMask] = value;
  }

  push(value: number): void {
    const page = this.#length >>> pageBits;
    if (page === this.#pages.length) this.#pages.push(new Uint32Array(pageLength));
    this.#pages[page]![this.#length & pageMask] = value;
    this.#length += 1;
  }

  pop(): number {
    this.#length -= 1;
    const value = this.get(this.#length);
    // One page is kept in hand, or pushing and popping at a page's edge would make and drop pages all day.
    const needed = (this.#length >>> pageBits) + 2;
    if (this.#pages.length > needed) this.#pages.length = needed;
    return value;
  }

  clear(): void {
    this.#pages = [];
    this.#length = 0;
  }
}
