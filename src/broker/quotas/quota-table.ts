import { KafkaError } from '../../protocol/errors.ts';

export const entityTypes = ['user', 'client-id'] as const;
export type EntityType = (typeof entityTypes)[number];

/** Whom a quota is for. null: everybody of that type who has none of his own. */
export type QuotaEntity = Readonly<Partial<Record<EntityType, string | null>>>;

/**
 * The quotas that are enforced, in bytes a second of each client. Kafka has more keys (`request_percentage`,
 * `controller_mutation_rate`, `connection_creation_rate`), and quotas of addresses: those are refused, because a quota that is taken
 * and does nothing is worse than none.
 */
export const quotaKeys = ['producer_byte_rate', 'consumer_byte_rate'] as const;
export type QuotaKey = (typeof quotaKeys)[number];

/** All quotas of one entity; at least one. */
export interface EntityQuotas {
  readonly entity: QuotaEntity;
  readonly values: Readonly<Partial<Record<QuotaKey, number>>>;
}

export interface QuotaChange {
  readonly entity: QuotaEntity;
  /** undefined: there is to be none. */
  readonly values: ReadonlyMap<QuotaKey, number | undefined>;
}

export interface QuotaClient {
  readonly user: string;
  /** Empty: it does not say, and no quota of a client id is for it. */
  readonly clientId: string;
}

/** What holds for a client, and which clients share it: those whose `sharedBy` is the same. */
export interface AppliedQuota {
  readonly perSecond: number;
  readonly sharedBy: string;
}

/** Each is looked at for many a request, and all are one file. */
export const entitiesMax = 10_000;

/** The quotas with the changes made. Throws a `KafkaError` POLICY_VIOLATION when there would be too many. */
export function withChanges(quotas: readonly EntityQuotas[], changes: readonly QuotaChange[]): readonly EntityQuotas[] {
  const byKey = new Map(quotas.map((each) => [entityKey(each.entity), each]));
  for (const { entity, values } of changes) {
    const key = entityKey(entity);
    const after: Partial<Record<QuotaKey, number>> = { ...byKey.get(key)?.values };
    for (const [name, value] of values) {
      if (value === undefined) delete after[name];
      else after[name] = value;
    }
    if (Object.keys(after).length === 0) byKey.delete(key);
    else byKey.set(key, { entity, values: after });
  }
  if (byKey.size > entitiesMax) {
    throw new KafkaError('POLICY_VIOLATION', `There may be quotas of ${entitiesMax} users and clients.`);
  }
  return [...byKey.values()];
}

/** Finds what holds for a client. */
export class QuotaTable {
  readonly #byKey: ReadonlyMap<string, EntityQuotas>;

  constructor(quotas: readonly EntityQuotas[]) {
    this.#byKey = new Map(quotas.map((each) => [entityKey(each.entity), each]));
  }

  get isEmpty(): boolean {
    return this.#byKey.size === 0;
  }

  /** The first there is, in the order of https://kafka.apache.org/documentation/#design_quotas. */
  appliedTo({ user, clientId }: QuotaClient, key: QuotaKey): AppliedQuota | undefined {
    const hasId = clientId !== '';
    const both = { user, 'client-id': clientId };
    return (
      (hasId ? this.#applied(both, key, both, { user, 'client-id': null }) : undefined) ??
      this.#applied({ user }, key, { user }) ??
      (hasId
        ? this.#applied(both, key, { user: null, 'client-id': clientId }, { user: null, 'client-id': null })
        : undefined) ??
      this.#applied({ user }, key, { user: null }) ??
      (hasId
        ? this.#applied({ 'client-id': clientId }, key, { 'client-id': clientId }, { 'client-id': null })
        : undefined)
    );
  }

  #applied(sharing: QuotaEntity, key: QuotaKey, ...entities: readonly QuotaEntity[]): AppliedQuota | undefined {
    for (const entity of entities) {
      const perSecond = this.#byKey.get(entityKey(entity))?.values[key];
      if (perSecond !== undefined) return { perSecond, sharedBy: entityKey(sharing) };
    }
    return undefined;
  }
}

/** The same for equal entities. No name is a number: 0 stands for a type that the entity does not have. */
export function entityKey(entity: QuotaEntity): string {
  return JSON.stringify(entityTypes.map((type) => (entity[type] === undefined ? 0 : entity[type])));
}
