import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../kernel/clock.ts';
import { FatalError } from '../kernel/errors.ts';
import type { Service } from '../kernel/lifecycle.ts';
import { BrokerTakenError, type HostedBroker } from './hosted-broker.ts';

export interface LocalBrokerOptions {
  readonly hosted: HostedBroker;
  readonly port: number;
  readonly folder: string;
  readonly clock: Clock;
}

const dialTimeoutMs = 1_000;
/** Another node that starts at the same time has the folder before its broker listens: recovery may take a while. */
const otherStartsWithinMs = 15_000;
const lookAgainEveryMs = 200;

/**
 * One broker for all nodes of a machine: whoever finds none answering on the port starts it, and those that come later, or lose the
 * race for its folder and port, use that one.
 */
export class LocalBroker implements Service {
  readonly name = 'local broker';
  readonly #options: LocalBrokerOptions;
  #isHost = false;
  #isRetired = false;

  constructor(options: LocalBrokerOptions) {
    this.#options = options;
  }

  /** Rejects with a `FatalError`. */
  async run(): Promise<void> {
    const { hosted, port, clock } = this.#options;
    if (await answers(port, clock)) return;
    try {
      await hosted.run();
      this.#isHost = true;
    } catch (error) {
      if (!(error instanceof BrokerTakenError)) throw error;
      await this.#awaitOther(error);
    }
  }

  /** Nobody needs the other broker any more: its start is not waited for. */
  retire(): void {
    this.#isRetired = true;
  }

  async stop(): Promise<void> {
    if (this.#isHost) await this.#options.hosted.stop();
  }

  get place(): string {
    const { port, folder } = this.#options;
    return this.#isHost ? `its own broker at localhost:${port}, data in ${folder}` : `the broker at localhost:${port}`;
  }

  async #awaitOther(taken: BrokerTakenError): Promise<void> {
    const { port, clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + otherStartsWithinMs;
    while (!this.#isRetired && !(await answers(port, clock))) {
      if (clock.monotonicMs() > deadlineMs) {
        throw new FatalError(`${taken.message}; and nothing answers on localhost:${port}`, { cause: taken });
      }
      // Nothing else may keep the process alive yet, as a timer of the clock's would not.
      await sleep(lookAgainEveryMs);
    }
  }
}

/** Whether something accepts connections there. What it is shows when Kafka's protocol is spoken. */
function answers(port: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: 'localhost', port });
    const finish = (isThere: boolean): void => {
      cancel();
      socket.destroy();
      resolve(isThere);
    };
    const cancel = clock.after(dialTimeoutMs, () => finish(false));
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}
