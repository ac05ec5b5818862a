import { expect } from 'chai';
import { alterClientQuotas } from '../../../../src/broker/handlers/quotas/alter-client-quotas.ts';
import { describeClientQuotas } from '../../../../src/broker/handlers/quotas/describe-client-quotas.ts';
import { fetchWithinQuota } from '../../../../src/broker/handlers/quotas/fetch-quota.ts';
import { produceWithinQuota } from '../../../../src/broker/handlers/quotas/produce-quota.ts';
import { Faults } from '../../../../src/broker/server/faults.ts';
import { handler } from '../../../../src/broker/server/handler.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { type KafkaErrorName, kafkaErrors } from '../../../../src/protocol/errors.ts';
import { fetchRequest, fetchResponse } from '../../../../src/protocol/messages/fetch.ts';
import { produceRequest, produceResponse } from '../../../../src/protocol/messages/produce.ts';
import { askHandler as ask } from '../../../support/broker/ask-handler.ts';
import { QuotaRig } from './quota-rig.ts';

type Names = Readonly<Record<string, string | null>>;
interface Op {
  readonly key?: string;
  readonly value?: number;
  readonly remove?: boolean;
}
interface Answered {
  readonly entries: readonly { readonly errorCode: number; readonly errorMessage: string | null }[];
}

const partsOf = (names: Names) => Object.entries(names).map(([entityType, entityName]) => ({ entityType, entityName }));
const nameOf = (errorCode: number): string =>
  Object.entries(kafkaErrors).find(([, { code }]) => code === errorCode)?.[0] ?? String(errorCode);
const key = 'consumer_byte_rate';
const faults = new Faults(createLogger('silent', { terminal: false }));

describe('requests about quotas', () => {
  let rig: QuotaRig;

  beforeEach(() => {
    rig = new QuotaRig();
  });

  describe('AlterClientQuotas', () => {
    const askFor = (body: object, version = 1) =>
      ask<Answered>(alterClientQuotas({ quotas: rig.quotas, faults }), version, body);
    const alter = async (entity: Names, ops: readonly Op[], more: object = {}): Promise<string> => {
      const filled = ops.map((op) => ({ key, value: 0, remove: false, ...op }));
      const { entries } = await askFor({ entries: [{ entity: partsOf(entity), ops: filled }], ...more });
      return nameOf(entries[0]!.errorCode);
    };

    it('sets and removes quotas, in every version', async () => {
      for (const version of [0, 1]) {
        const entity = partsOf({ 'client-id': 'a', user: null });
        const set = { key, value: 1000, remove: false };
        expect(await askFor({ entries: [{ entity, ops: [set] }] }, version)).to.deep.include({
          entries: [{ errorCode: 0, errorMessage: null, entity }],
        });
        expect(rig.quotas.list()).to.deep.equal([
          { entity: { 'client-id': 'a', user: null }, values: { [key]: 1000 } },
        ]);
        await askFor({ entries: [{ entity, ops: [{ ...set, remove: true }] }] }, version);
        expect(rig.quotas.list()).to.deep.equal([]);
      }
    });

    it('only tells whether it could, when that is all that is asked', async () => {
      expect(await alter({ user: 'a' }, [{ value: 5 }], { validateOnly: true })).to.equal('NONE');
      expect(rig.quotas.isEmpty).to.equal(true);
    });

    it('refuses rates that are none', async () => {
      for (const value of [0, -1, 1.5, 1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        expect(await alter({ user: 'a' }, [{ value }]), String(value)).to.equal('INVALID_REQUEST');
      }
      expect(await alter({ user: 'a' }, [{ value: 2 ** 63 }])).to.equal('NONE');
    });

    it('refuses entities that there are not', async () => {
      const names: Names[] = [{}, { user: '' }, { 'client-id': '' }, { group: 'a' }, { user: 'a', ip: '127.0.0.1' }];
      for (const entity of names) {
        expect(await alter(entity, [{ value: 5 }]), JSON.stringify(entity)).to.equal('INVALID_REQUEST');
      }
      const twice = [...partsOf({ user: 'a' }), ...partsOf({ user: 'b' })];
      const { entries } = await askFor({ entries: [{ entity: twice, ops: [{ key, value: 5, remove: false }] }] });
      expect(nameOf(entries[0]!.errorCode)).to.equal('INVALID_REQUEST');
      expect(rig.quotas.isEmpty).to.equal(true);
    });

    it('refuses what is not enforced, rather than take it and do nothing; to remove it is no fault', async () => {
      for (const unknown of ['request_percentage', 'controller_mutation_rate', 'bogus']) {
        expect(await alter({ user: 'a' }, [{ value: 5 }, { key: unknown, value: 5 }])).to.equal('INVALID_REQUEST');
        expect(await alter({ user: 'a' }, [{ key: unknown, remove: true }])).to.equal('NONE');
      }
      expect(await alter({ ip: '127.0.0.1' }, [{ key: 'connection_creation_rate', value: 5 }])).to.equal(
        'INVALID_REQUEST',
      );
      expect(rig.quotas.isEmpty).to.equal(true);
    });

    it('refuses a key that is twice in an entry, and an entity that is twice in a request', async () => {
      expect(await alter({ user: 'a' }, [{ value: 5 }, { remove: true }])).to.equal('INVALID_REQUEST');
      const entryOf = (user: string, value: number) => ({
        entity: partsOf({ user }),
        ops: [{ key, value, remove: false }],
      });
      const { entries } = await askFor({
        entries: [entryOf('a', 1), entryOf('a', 2), entryOf('', 3), entryOf('b', 4)],
      });
      expect(entries.map(({ errorCode }) => nameOf(errorCode))).to.deep.equal([
        'NONE',
        'INVALID_REQUEST',
        'INVALID_REQUEST',
        'NONE',
      ]);
      expect(rig.quotas.list().map(({ values }) => values[key])).to.deep.equal([1, 4]);
    });

    it('tells of every change that could not be stored', async () => {
      rig.store.failure = new Error('the disk is full');
      expect(await alter({ user: 'a' }, [{ value: 5 }])).to.equal('UNKNOWN_SERVER_ERROR');
    });
  });

  describe('DescribeClientQuotas', () => {
    const [exact, byDefault, any] = [0, 1, 2];
    const describeAll = async (
      components: readonly (readonly [type: string, matchType: number | undefined, match?: string | null])[],
      strict = false,
      version = 1,
    ): Promise<string[] | string> => {
      const { errorCode, entries } = await ask<{
        errorCode: number;
        entries: {
          entity: { entityType: string; entityName: string | null }[];
          values: { key: string; value: number }[];
        }[];
      }>(describeClientQuotas(rig.quotas), version, {
        components: components.map(([entityType, matchType, match = null]) => ({ entityType, matchType, match })),
        strict,
      });
      if (errorCode !== 0) return nameOf(errorCode);
      return entries.map(({ entity, values }) =>
        [
          ...entity.map(({ entityType, entityName }) => `${entityType}=${entityName}`),
          ...values.map((each) => `${each.key}=${each.value}`),
        ].join(' '),
      );
    };
    const all = [
      'user=d consumer_byte_rate=1',
      'client-id=a consumer_byte_rate=2',
      'client-id=null producer_byte_rate=3',
    ];
    const both = 'user=null client-id=null consumer_byte_rate=4';

    beforeEach(async () => {
      await rig.set({ user: 'd' }, key, 1);
      await rig.set({ 'client-id': 'a' }, key, 2);
      await rig.set({ 'client-id': null }, 'producer_byte_rate', 3);
      await rig.set({ user: null, 'client-id': null }, key, 4);
    });

    it('finds what has every part that is asked for, in every version', async () => {
      for (const version of [0, 1]) {
        expect(await describeAll([], false, version)).to.deep.equal([...all, both]);
        expect(await describeAll([['user', exact, 'd']], false, version)).to.deep.equal([all[0]]);
      }
      expect(await describeAll([['user', exact, 'x']])).to.deep.equal([]);
      expect(await describeAll([['user', any]])).to.deep.equal([all[0], both]);
      expect(await describeAll([['client-id', byDefault]])).to.deep.equal([all[2], both]);
      expect(await describeAll([['client-id', any]])).to.deep.equal([all[1], all[2], both]);
      expect(await describeAll([['ip', any]])).to.deep.equal([]);
    });

    it('finds only what has no other part, when it is to be strict', async () => {
      expect(await describeAll([], true)).to.deep.equal([]);
      expect(await describeAll([['user', any]], true)).to.deep.equal([all[0]]);
      expect(await describeAll([['client-id', byDefault]], true)).to.deep.equal([all[2]]);
      expect(
        await describeAll(
          [
            ['user', byDefault],
            ['client-id', byDefault],
          ],
          true,
        ),
      ).to.deep.equal([both]);
    });

    it('refuses filters that Kafka refuses', async () => {
      const refused = (error: KafkaErrorName, ...components: Parameters<typeof describeAll>[0]) =>
        describeAll(components).then((answer) => expect(answer, JSON.stringify(components)).to.equal(error));
      await refused('UNSUPPORTED_VERSION', ['group', any]);
      await refused('INVALID_REQUEST', ['', any]);
      await refused('INVALID_REQUEST', ['ip', any], ['user', any]);
      await refused('INVALID_REQUEST', ['user', any], ['user', byDefault]);
      await refused('INVALID_REQUEST', ['user', 3]);
      await refused('INVALID_REQUEST', ['user', exact, null]);
      await refused('INVALID_REQUEST', ['user', byDefault, 'd']);
      await refused('INVALID_REQUEST', ['user', any, 'd']);
    });
  });

  describe('Fetch within a quota', () => {
    interface Fetched {
      readonly throttleTimeMs: number;
      readonly responses: readonly { readonly partitions: readonly { readonly records: Buffer }[] }[];
    }
    const asked: { maxBytes: number; minBytes: number }[] = [];
    let recordBytes: number;
    let released: number;
    let during: () => Promise<void>;

    const fetch = async (): Promise<Fetched> => {
      const inner = handler({
        request: fetchRequest,
        response: fetchResponse,
        handle: async (_context, { maxBytes, minBytes }) => {
          asked.push({ maxBytes, minBytes });
          await during();
          const partitions = [{ partitionIndex: 0, records: Buffer.alloc(recordBytes) }];
          const hints = {
            release: () => {
              released += 1;
            },
          };
          return { responses: [{ topic: 't', partitions }], ...hints };
        },
      });
      return ask<Fetched>(fetchWithinQuota(inner, rig.quotas), 12, { maxBytes: 1_000_000, minBytes: 500_000 });
    };

    beforeEach(() => {
      asked.length = 0;
      recordBytes = 900;
      released = 0;
      during = async () => undefined;
    });

    it('is as it was when there is no quota of the client', async () => {
      await rig.set({ 'client-id': 'another' }, key, 1);
      const { throttleTimeMs, responses } = await fetch();
      expect(throttleTimeMs).to.equal(0);
      expect(responses[0]!.partitions[0]!.records).to.have.length(900);
      expect(asked).to.deep.equal([{ maxBytes: 1_000_000, minBytes: 500_000 }]);
    });

    it('looks for no more than the quota allows at once', async () => {
      await rig.set({ 'client-id': 'test' }, key, 1000);
      expect((await fetch()).throttleTimeMs).to.equal(0);
      expect(asked).to.deep.equal([{ maxBytes: 10_000, minBytes: 10_000 }]);
    });

    it('answers nothing but how long to wait once the quota is used up, and that counts for nothing', async () => {
      await rig.set({ 'client-id': 'test' }, key, 100);
      expect((await fetch()).responses).to.have.length(1);
      for (let times = 0; times < 3; times += 1) {
        const { throttleTimeMs, responses } = await fetch();
        expect(responses).to.deep.equal([]);
        // Twice 900 bytes and some for the fields around them, where a thousand are allowed.
        expect(throttleTimeMs).to.be.within(8_000, 10_000);
      }
      expect(released, 'answers that are not sent, and let go of').to.equal(3);
      await rig.clock.pass(12_000);
      expect((await fetch()).responses).to.have.length(1);
    });

    it('is held by a quota that comes while it waits for records', async () => {
      during = () => rig.set({ 'client-id': 'test' }, key, 1);
      expect(await fetch()).to.deep.include({ responses: [] });
    });
  });

  describe('Produce within a quota', () => {
    const produce = (acks: number) => {
      const inner = handler({
        request: produceRequest,
        response: produceResponse,
        handle: () => (acks === 0 ? undefined : { responses: [{ name: 't' }] }),
      });
      const limited = produceWithinQuota(inner, rig.quotas, rig.clock);
      return ask<{ throttleTimeMs: number; responses: object[] }>(limited, 9, { acks });
    };

    it('takes what comes, and tells how long to wait', async () => {
      await rig.set({ user: 'ANONYMOUS' }, 'producer_byte_rate', 10);
      // A request of the helper that asks has 100 bytes.
      expect(await produce(1)).to.deep.include({ throttleTimeMs: 0 });
      const second = await produce(1);
      expect(second.throttleTimeMs).to.equal(10_000);
      expect(second.responses).to.have.length(1);
    });

    it('ends only after that time where there is no answer to tell it', async () => {
      await rig.set({ user: 'ANONYMOUS' }, 'producer_byte_rate', 5);
      let hasEnded = false;
      const ended = produce(0).then(
        () => {
          hasEnded = true;
        },
        () => {
          // The helper has nothing to read.
          hasEnded = true;
        },
      );
      await rig.clock.pass(9_999);
      expect(hasEnded).to.equal(false);
      await rig.clock.pass(1);
      await ended;
    });
  });
});
