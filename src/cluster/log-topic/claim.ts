import type { Heartbeat } from './heartbeat.ts';

export type ClaimState =
  /** Another instance was here and may still be alive: it is waited for. */
  | 'waiting'
  | 'claimed'
  /** Another node is alive under this id and was there first. */
  | 'taken';

/**
 * How a node comes by its id. What lies under the id may be of this node's own former process, which was killed: then
 * nothing more comes. Two more heartbeats of it, and it is another node: one may have been on its way when its process ended.
 * Two nodes that start at one instant both claim; then the one whose first heartbeat lies further back in the log keeps the id.
 * It, too, has to be heard twice: one record, late or forged, does not end a node that is alive.
 */
export class Claim {
  state: ClaimState = 'waiting';
  readonly #instance: string;
  readonly #waitMs: number;
  #waitedMs = 0;
  #changes = 0;
  #foreignOffset: number | undefined;
  /** An older instance that was heard since this node has had the id, by its last heartbeat. */
  #rival: Heartbeat | undefined;
  /** The offset of this instance's first heartbeat, once the log has told. */
  since: number | undefined;

  constructor(instance: string, waitMs: number) {
    this.#instance = instance;
    this.#waitMs = waitMs;
  }

  /** What lies under the id now; `elapsedMs` since the last call. */
  observe(own: Heartbeat | undefined, elapsedMs: number): void {
    const foreign = own?.instance === this.#instance ? undefined : own;
    if (this.state === 'waiting') this.#wait(foreign, elapsedMs);
    else if (this.state === 'claimed' && foreign !== undefined) this.#compare(foreign);
  }

  /** What was read is dropped: offsets of before compare with nothing that comes, and the next heartbeat is the first. */
  restart(): void {
    this.since = undefined;
    this.#rival = undefined;
    this.#foreignOffset = undefined;
  }

  #wait(foreign: Heartbeat | undefined, elapsedMs: number): void {
    if (foreign === undefined) {
      this.state = 'claimed';
      return;
    }
    if (this.#foreignOffset !== undefined && foreign.offset !== this.#foreignOffset) {
      this.#changes += 1;
      this.#waitedMs = 0;
    } else if (this.#foreignOffset !== undefined) this.#waitedMs += elapsedMs;
    this.#foreignOffset = foreign.offset;
    if (this.#changes >= 2) this.state = 'taken';
    else if (this.#waitedMs >= this.#waitMs) this.state = 'claimed';
  }

  #compare(foreign: Heartbeat): void {
    // What lay here before this node's own first heartbeat is of one that is gone.
    if (this.since === undefined || foreign.offset <= this.since) return;
    // Nobody's first heartbeat lies at its later ones or beyond.
    const isOlder = foreign.since !== undefined && foreign.since < foreign.offset && foreign.since < this.since;
    if (!isOlder) return;
    if (this.#rival?.instance === foreign.instance && this.#rival.offset !== foreign.offset) this.state = 'taken';
    this.#rival = foreign;
  }
}
