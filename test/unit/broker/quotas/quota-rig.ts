import { ClientQuotas, type QuotaStore } from '../../../../src/broker/quotas/client-quotas.ts';
import type { EntityQuotas, QuotaEntity, QuotaKey } from '../../../../src/broker/quotas/quota-table.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

class MemoryStore implements QuotaStore {
  quotas: readonly EntityQuotas[] = [];
  /** Thrown by the next change, if there is one. */
  failure: Error | undefined;

  async changeQuotas(change: (quotas: readonly EntityQuotas[]) => readonly EntityQuotas[]): Promise<void> {
    const changed = change(this.quotas);
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    this.quotas = changed;
  }
}

/** Quotas that are nowhere but in memory, and a time that a test lets pass. */
export class QuotaRig {
  readonly clock = new FakeClock();
  readonly store = new MemoryStore();
  readonly quotas = new ClientQuotas(this.store, this.clock);

  set(entity: QuotaEntity, key: QuotaKey, perSecond: number | undefined): Promise<void> {
    return this.quotas.alter([{ entity, values: new Map([[key, perSecond]]) }]);
  }
}
