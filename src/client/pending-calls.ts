import type { Call } from './call.ts';

/** A power of two, so that the last bits of a serial are a place. */
const places = 1_024;
/**
 * Fewer than a node carries out at one time, so that it goes on reading, and answers pings; and fewer than there are places, so that
 * a free one is near.
 */
export const pendingCallsMax = 1_000;

/**
 * Calls that a connection has sent, by their serials, which are given out here: the last bits of one say where its call is.
 *
 * A Map would do, and costs more than everything else about a call. V8 makes it a new table after so many deletions, and every
 * old table refers to the next one: as soon as one of them has grown old, all later ones are kept, with the calls that were in
 * them, until the next full collection. A fifth of the time went there (`npm run bench -- avro`).
 */
export class PendingCalls {
  readonly #calls: (Call | undefined)[] = new Array(places).fill(undefined);
  readonly #serials = new Int32Array(places);
  #size = 0;
  #serial = 0;

  get size(): number {
    return this.#size;
  }

  /** In the order in which they were sent. */
  get calls(): Call[] {
    const ageOf = (place: number): number => (this.#serial - this.#serials[place]!) & 0x7fff_ffff;
    const taken = [...this.#calls.keys()].filter((place) => this.#calls[place] !== undefined);
    return taken.sort((a, b) => ageOf(b) - ageOf(a)).map((place) => this.#calls[place]!);
  }

  /** A number that no call under way has, and none had of late: up to 2^31 - 1, then from 0 again. */
  nextSerial(): number {
    do this.#serial = (this.#serial + 1) & 0x7fff_ffff;
    while (this.#calls[this.#serial % places] !== undefined);
    return this.#serial;
  }

  /** `serial` is the last one that was given out. */
  add(serial: number, call: Call): void {
    const place = serial % places;
    this.#calls[place] = call;
    this.#serials[place] = serial;
    this.#size += 1;
  }

  /** Any number may be asked for. */
  get(serial: number): Call | undefined {
    const place = serial & (places - 1);
    return this.#serials[place] === serial ? this.#calls[place] : undefined;
  }

  /** Whether it was there. */
  delete(serial: number): boolean {
    if (this.get(serial) === undefined) return false;
    this.#calls[serial % places] = undefined;
    this.#size -= 1;
    return true;
  }

  clear(): void {
    this.#calls.fill(undefined);
    this.#size = 0;
  }
}
