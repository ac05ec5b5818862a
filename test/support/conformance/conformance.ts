import type { Context } from 'mocha';
import type { Reachable } from '../kafka/client.ts';
import { type BrokerUnderTest, brokersUnderTest } from './brokers.ts';
import { divergences } from './divergences.ts';

/** One client's suite over one broker. */
export interface Suite extends Reachable {
  /** Mocha's `it`, but a test that docs/DIVERGENCES.md lists must fail, and is reported as pending. */
  test(title: string, run: (this: Context) => Promise<void>): void;
  /** The names of the client's own tests that this broker is known not to pass. */
  readonly allowed: ReadonlySet<string>;
}

/** Describes the suite once for each broker; `brokerList` is known from the first hook or test on. */
export function conformance(client: string, define: (suite: Suite) => void): void {
  for (const broker of brokersUnderTest)
    describe(`${client} on ${broker.name}`, () => defineOver(client, broker, define));
}

function defineOver(client: string, broker: BrokerUnderTest, define: (suite: Suite) => void): void {
  const rows = broker.mayDiverge ? divergences.filter((row) => row.client === client) : [];
  const allowed = new Set(rows.map(({ test }) => test));
  let reachable: Reachable | undefined;

  before(async function () {
    reachable = await broker.start(this);
  });

  define({
    get brokerList() {
      if (!reachable) throw new Error('the broker is started by a hook');
      return reachable.brokerList;
    },
    allowed,
    test(title, run) {
      it(title, async function () {
        if (!allowed.has(title)) return run.call(this);
        const failed = await run.call(this).then(
          () => false,
          () => true,
        );
        if (!failed) throw new Error('it passes: its row in docs/DIVERGENCES.md is to go');
        this.skip();
      });
    },
  });
}
