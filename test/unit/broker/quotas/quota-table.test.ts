import { expect } from 'chai';
import { entitiesMax, type QuotaEntity, QuotaTable, withChanges } from '../../../../src/broker/quotas/quota-table.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';

const consumer = (perSecond: number) => new Map([['consumer_byte_rate', perSecond] as const]);
const quotasOf = (...entities: QuotaEntity[]) =>
  withChanges(
    [],
    entities.map((entity, index) => ({ entity, values: consumer(index + 1) })),
  );
const ann = { user: 'ann', clientId: 'reader' };

/** The most particular first, as Kafka's documentation lists them. */
const inOrder: readonly QuotaEntity[] = [
  { user: 'ann', 'client-id': 'reader' },
  { user: 'ann', 'client-id': null },
  { user: 'ann' },
  { user: null, 'client-id': 'reader' },
  { user: null, 'client-id': null },
  { user: null },
  { 'client-id': 'reader' },
  { 'client-id': null },
];

describe('the quota of a client', () => {
  it('is the most particular one of those that fit, in Kafka’s order', () => {
    for (let from = 0; from < inOrder.length; from += 1) {
      const table = new QuotaTable(quotasOf(...inOrder.slice(from).reverse()));
      const expected = inOrder.length - from;
      expect(table.appliedTo(ann, 'consumer_byte_rate')?.perSecond, JSON.stringify(inOrder[from])).to.equal(expected);
    }
    expect(new QuotaTable([]).appliedTo(ann, 'consumer_byte_rate')).to.equal(undefined);
  });

  it('is none of another user, client or key', () => {
    const table = new QuotaTable(
      quotasOf({ user: 'bob' }, { 'client-id': 'writer' }, { user: 'bob', 'client-id': 'reader' }),
    );
    expect(table.appliedTo(ann, 'consumer_byte_rate')).to.equal(undefined);
    expect(table.appliedTo({ user: 'bob', clientId: 'reader' }, 'producer_byte_rate')).to.equal(undefined);
  });

  it('of one key does not hide that of another key further down', () => {
    const quotas = withChanges(quotasOf({ user: 'ann' }), [
      { entity: { 'client-id': null }, values: new Map([['producer_byte_rate', 7] as const]) },
    ]);
    const table = new QuotaTable(quotas);
    expect(table.appliedTo(ann, 'consumer_byte_rate')?.perSecond).to.equal(1);
    expect(table.appliedTo(ann, 'producer_byte_rate')?.perSecond).to.equal(7);
  });

  it('is never that of a client id, not even the default, where the client says none', () => {
    const nameless = { user: 'ann', clientId: '' };
    for (const entity of inOrder) {
      const applied = new QuotaTable(quotasOf(entity)).appliedTo(nameless, 'consumer_byte_rate');
      expect(applied !== undefined, JSON.stringify(entity)).to.equal(entity['client-id'] === undefined);
    }
  });

  it('is shared by the clients of a user, or the users of a client id, or by nobody, as it is given', () => {
    const sharedBy = (entity: QuotaEntity, user: string, clientId: string) =>
      new QuotaTable(quotasOf(entity)).appliedTo({ user, clientId }, 'consumer_byte_rate')!.sharedBy;
    const isShared = (entity: QuotaEntity, other: { user?: string; clientId?: string }) =>
      sharedBy(entity, 'ann', 'reader') === sharedBy(entity, other.user ?? 'ann', other.clientId ?? 'reader');
    for (const user of ['ann', null]) expect(isShared({ user }, { clientId: 'writer' })).to.equal(true);
    expect(isShared({ user: null }, { user: 'bob' })).to.equal(false);
    for (const id of ['reader', null]) expect(isShared({ 'client-id': id }, { user: 'bob' })).to.equal(true);
    expect(isShared({ 'client-id': null }, { clientId: 'writer' })).to.equal(false);
    expect(isShared({ user: null, 'client-id': null }, { user: 'bob' })).to.equal(false);
    expect(isShared({ user: null, 'client-id': null }, { clientId: 'writer' })).to.equal(false);
  });
});

describe('changes of quotas', () => {
  it('set and remove keys, and an entity goes with its last one', () => {
    const entity = { user: 'ann' };
    const both = withChanges(quotasOf(entity), [{ entity, values: new Map([['producer_byte_rate', 5] as const]) }]);
    expect(both).to.deep.equal([{ entity, values: { consumer_byte_rate: 1, producer_byte_rate: 5 } }]);
    const one = withChanges(both, [{ entity, values: new Map([['consumer_byte_rate', undefined] as const]) }]);
    expect(one).to.deep.equal([{ entity, values: { producer_byte_rate: 5 } }]);
    expect(withChanges(one, [{ entity, values: new Map([['producer_byte_rate', undefined] as const]) }])).to.deep.equal(
      [],
    );
  });

  it('tell a user from a client id of the same name, and both from a default', () => {
    const entities: QuotaEntity[] = [
      { user: 'x' },
      { 'client-id': 'x' },
      { user: null },
      { user: 'null' },
      { user: '0' },
    ];
    expect(quotasOf(...entities).map(({ entity }) => entity)).to.deep.equal(entities);
  });

  it('are refused when there would be too many', () => {
    const all = quotasOf(...Array.from({ length: entitiesMax }, (_, index) => ({ user: `u-${index}` })));
    expect(withChanges(all, [{ entity: { user: 'u-0' }, values: consumer(9) }])).to.have.length(entitiesMax);
    expect(() => withChanges(all, [{ entity: { user: 'another' }, values: consumer(9) }]))
      .to.throw(KafkaError)
      .with.property('error', 'POLICY_VIOLATION');
  });
});
