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
 */
export class Claim {
  state: ClaimState = 'waiting';
  readonly #instance: string;
  readonly #waitMs: number;
  #waitedMs = 0;
  #changes = 0;
  #foreignOffset: number | undefined;
  /** The offset of this instance's first heartbeat, once the log has told. */
  since: number | undefined;

  constructor(instance: string, waitMs: number) {
    this.#instance = instance;
    this.#waitMs = waitMs;
  }

  /** What lies under the id now; `elapsedMs` since the last call. */
  observe(own: Heartbeat | undefined, elapsedMs: number): void {
    const isForeign = own !== undefined && own.instance !== this.#instance;
    if (this.state === 'claimed') {
      // What lay here before this node's own first heartbeat is of one that is gone.
      const isNew = isForeign && this.since !== undefined && own.offset > this.since;
      if (isNew && own.since !== undefined && own.since < this.since!) this.state = 'taken';
    } else if (this.state === 'waiting') {
      if (!isForeign) {
        this.state = 'claimed';
        return;
      }
      if (this.#foreignOffset !== undefined && own.offset !== this.#foreignOffset) {
        this.#changes += 1;
        this.#waitedMs = 0;
      } else if (this.#foreignOffset !== undefined) this.#waitedMs += elapsedMs;
      this.#foreignOffset = own.offset;
      if (this.#changes >= 2) this.state = 'taken';
      else if (this.#waitedMs >= this.#waitMs) this.state = 'claimed';
    }
  }
}
