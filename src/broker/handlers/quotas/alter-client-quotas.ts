import { KafkaError } from '../../../protocol/errors.ts';
import { alterClientQuotasRequest, alterClientQuotasResponse } from '../../../protocol/messages/alter-client-quotas.ts';
import type { MessageValue } from '../../../protocol/schema.ts';
import type { ClientQuotas } from '../../quotas/client-quotas.ts';
import {
  type EntityType,
  entityKey,
  entityTypes,
  type QuotaChange,
  type QuotaEntity,
  type QuotaKey,
  quotaKeys,
} from '../../quotas/quota-table.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';

type Entry = MessageValue<typeof alterClientQuotasRequest>['entries'][number];

/** Of Kafka's type LONG, which these quotas have. */
const rateMax = 2 ** 63;

/**
 * AlterClientQuotas (key 49, KIP-546): each entry is answered on its own, and those that can be are carried out together. What is not
 * enforced here is refused: see `quotaKeys`.
 */
export function alterClientQuotas({ quotas, faults }: { quotas: ClientQuotas; faults: Faults }) {
  return handler({
    request: alterClientQuotasRequest,
    response: alterClientQuotasResponse,
    async handle(_context, { entries, validateOnly }) {
      const changes: QuotaChange[] = [];
      const seen = new Set<string>();
      const checked = [];
      for (const entry of entries) {
        const part = await faults.part('a change of quotas', () => {
          const change = changeOf(entry);
          const key = entityKey(change.entity);
          if (seen.has(key)) throw refused('The entity is in the request twice.');
          seen.add(key);
          changes.push(change);
          return {};
        });
        checked.push({ ...part, entity: entry.entity });
      }
      if (changes.length === 0) return { entries: checked };
      const done = await faults.part('a change of quotas', async () => {
        if (validateOnly) quotas.check(changes);
        else await quotas.alter(changes);
        return {};
      });
      return { entries: checked.map((part) => (part.errorCode === 0 ? { ...part, ...done } : part)) };
    },
    failure: (errorCode, errorMessage, { entries }) => ({
      entries: entries.map(({ entity }) => ({ errorCode, errorMessage, entity })),
    }),
  });
}

/** Throws a `KafkaError` INVALID_REQUEST. */
function changeOf({ entity, ops }: Entry): QuotaChange {
  const parts = new Map<EntityType, string | null>();
  for (const { entityType, entityName } of entity) parts.set(...partOf(entityType, entityName));
  if (parts.size < Math.max(entity.length, 1)) throw refused('An entity is empty, or has a type twice.');
  const checked: QuotaEntity = Object.fromEntries(parts);

  const values = new Map<QuotaKey, number | undefined>();
  const named = new Set<string>();
  for (const { key, value, remove } of ops) {
    if (named.has(key)) throw refused(`${key} is in the entry twice.`);
    named.add(key);
    const known = quotaKeys.find((each) => each === key);
    // To remove what cannot be there is to do nothing, as in Kafka.
    if (known === undefined && remove) continue;
    if (known === undefined) throw refused(`${key} is not enforced here: there are ${quotaKeys.join(' and ')}.`);
    values.set(known, remove ? undefined : rateOf(key, value));
  }
  return { entity: checked, values };
}

function partOf(type: string, name: string | null): [EntityType, string | null] {
  const known = entityTypes.find((each) => each === type);
  if (known === undefined)
    throw refused(`Quotas are for ${entityTypes.join(' and ')}; there are none of ${type} here.`);
  if (name === '') throw refused(`Empty ${type} not supported`);
  return [known, name];
}

function rateOf(key: string, value: number): number {
  if (Number.isInteger(value) && value > 0 && value <= rateMax) return value;
  throw refused(`${key} is a whole number of bytes a second greater than 0, not ${value}.`);
}

const refused = (message: string): KafkaError => new KafkaError('INVALID_REQUEST', message);
