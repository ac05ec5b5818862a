import type { Clock } from '../kernel/clock.ts';
import { FatalError } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/logger.ts';
import { type Self, takenMessage } from './membership.ts';
import { PeerHttp, type PeerRequestError } from './peer-http.ts';
import { askVitals, type Vitals } from './vitals.ts';

const timeoutMs = 1_000;

/**
 * The address that other nodes dial. Whether it leads here, only dialling it tells: once this node listens, and before it does
 * anything that would disturb another node of its id, such as joining that one's consumer group.
 */
export class OwnAddress implements Service {
  readonly name = 'own address';
  readonly #self: Self;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor({ self, clock, logger }: { self: Self; clock: Clock; logger: Logger }) {
    this.#self = self;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Rejects with a `FatalError` when another node answers. Nobody at all may be meant: the address is for others. */
  async run(): Promise<void> {
    await this.#dial().then(
      (found) => this.#refuseOther(found),
      (error: PeerRequestError) =>
        this.#logger.warn(
          `this node cannot reach itself at http://${this.#self.id} (${error.message}), so other nodes will not either: ` +
            'set NODENAME to a name or address of this machine that they can reach, and API_HOST to one that takes it in',
        ),
    );
  }

  async stop(): Promise<void> {}

  async #dial(): Promise<Vitals> {
    const http = new PeerHttp(this.#self.id, timeoutMs, this.#clock);
    try {
      return await askVitals(http, timeoutMs);
    } finally {
      await http.close();
    }
  }

  #refuseOther({ instance, node, state }: Vitals): void {
    const { id, instance: own } = this.#self;
    // One that is about to end makes way: where a node is replaced, it is the one that was there before.
    if (instance === own || state === 'draining') return;
    if (node === id) throw new FatalError(takenMessage(id));
    throw new FatalError(
      `another node, ${node}, answers at this node's address ${id}: set NODENAME and API_PORT so that they lead to this one`,
    );
  }
}
