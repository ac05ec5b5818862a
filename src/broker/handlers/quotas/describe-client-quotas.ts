import { KafkaError } from '../../../protocol/errors.ts';
import {
  describeClientQuotasRequest,
  describeClientQuotasResponse,
} from '../../../protocol/messages/describe-client-quotas.ts';
import type { MessageValue } from '../../../protocol/schema.ts';
import type { ClientQuotas } from '../../quotas/client-quotas.ts';
import { type EntityQuotas, type EntityType, entityTypes, type QuotaEntity } from '../../quotas/quota-table.ts';
import { handler } from '../../server/handler.ts';

type Component = MessageValue<typeof describeClientQuotasRequest>['components'][number];

/** Numbers of the protocol (KIP-546). `any`: there is a part of this type, be it the default. */
const matchTypes = { exact: 0, default: 1, any: 2 } as const;
/** A type of Kafka's, of which there are no quotas here: none are found. */
const addressType = 'ip';

/** DescribeClientQuotas (key 48, KIP-546). `strict`: the entity has no type that is not asked for. */
export function describeClientQuotas(quotas: ClientQuotas) {
  return handler({
    request: describeClientQuotasRequest,
    response: describeClientQuotasResponse,
    handle(_context, { components, strict }) {
      const types = new Set<string>();
      for (const component of components) {
        checkComponent(component);
        if (types.has(component.entityType)) throw refused(`${component.entityType} is in the filter twice.`);
        types.add(component.entityType);
      }
      if (types.has(addressType) && types.size > 1) throw refused('A filter of addresses has nothing else in it.');
      const isWanted = ({ entity }: EntityQuotas): boolean =>
        components.every((component) => isMatch(entity, component)) &&
        (!strict || Object.keys(entity).every((type) => types.has(type)));
      return { errorMessage: null, entries: quotas.list().filter(isWanted).map(described) };
    },
  });
}

function checkComponent({ entityType, matchType, match }: Component): void {
  if (entityType === '') throw refused('A filter has no entity type.');
  if (entityType !== addressType && !isEntityType(entityType)) {
    throw new KafkaError('UNSUPPORTED_VERSION', `Unsupported entity type ${entityType}`);
  }
  if (!Object.values<number>(matchTypes).includes(matchType)) throw refused(`There is no match type ${matchType}.`);
  if ((matchType === matchTypes.exact) !== (match !== null)) {
    throw refused('A filter has a name to match where it is to match exactly, and nowhere else.');
  }
}

function isMatch(entity: QuotaEntity, { entityType, matchType, match }: Component): boolean {
  if (!isEntityType(entityType)) return false;
  const name = entity[entityType];
  if (name === undefined) return false;
  return matchType === matchTypes.any || name === match;
}

function described({ entity, values }: EntityQuotas) {
  return {
    entity: Object.entries(entity).map(([entityType, entityName]) => ({ entityType, entityName })),
    values: Object.entries(values).map(([key, value]) => ({ key, value })),
  };
}

const isEntityType = (type: string): type is EntityType => (entityTypes as readonly string[]).includes(type);
const refused = (message: string): KafkaError => new KafkaError('INVALID_REQUEST', message);
