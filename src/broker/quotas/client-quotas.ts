import type { Clock } from '../../kernel/clock.ts';
import {
  type EntityQuotas,
  type QuotaChange,
  type QuotaClient,
  type QuotaKey,
  QuotaTable,
  quotaKeys,
  withChanges,
} from './quota-table.ts';
import { burstOf, RateWindow, throttleTimeMs, windowLifetimeMs } from './rate-window.ts';

/** Keeps quotas over a restart. */
export interface QuotaStore {
  readonly quotas: readonly EntityQuotas[];
  /** Changes come one after the other. Resolves when the change would be found after a crash. */
  changeQuotas(change: (quotas: readonly EntityQuotas[]) => readonly EntityQuotas[]): Promise<void>;
}

/**
 * No client is told to wait longer. Kafka has no such limit, and a quota that is a mistake silences clients for days after it is
 * mended. It is below the time after which an idle connection ends, which would be taken for a fault.
 */
const throttleMaxMs = 5 * 60_000;

/** What clients may read and write in a second, and what they have (KIP-13, KIP-55). */
export class ClientQuotas {
  readonly #store: QuotaStore;
  readonly #clock: Clock;
  readonly #windows: Readonly<Record<QuotaKey, Map<string, RateWindow>>>;
  #table: QuotaTable;
  #sweptAtMs: number;

  constructor(store: QuotaStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#windows = { producer_byte_rate: new Map(), consumer_byte_rate: new Map() };
    this.#table = new QuotaTable(store.quotas);
    this.#sweptAtMs = clock.monotonicMs();
  }

  /** Nobody has a quota, so nothing need be asked or counted. */
  get isEmpty(): boolean {
    return this.#table.isEmpty;
  }

  list(): readonly EntityQuotas[] {
    return this.#store.quotas;
  }

  /** Throws a `KafkaError` where `alter` would reject with one. */
  check(changes: readonly QuotaChange[]): void {
    withChanges(this.#store.quotas, changes);
  }

  /** All changes or none. What clients have used so far counts for the new quotas too. Rejects with a `KafkaError` POLICY_VIOLATION. */
  async alter(changes: readonly QuotaChange[]): Promise<void> {
    await this.#store.changeQuotas((quotas) => withChanges(quotas, changes));
    this.#table = new QuotaTable(this.#store.quotas);
    if (this.#table.isEmpty) for (const key of quotaKeys) this.#windows[key].clear();
  }

  /** More bytes at once are over the quota whatever was before; undefined: there is none. */
  burstBytes(key: QuotaKey, client: QuotaClient): number | undefined {
    const applied = this.#table.appliedTo(client, key);
    return applied === undefined ? undefined : burstOf(applied.perSecond);
  }

  /** Counts bytes that a client has read or written. Answers how long it must now wait, in milliseconds; 0: not at all. */
  charge(key: QuotaKey, client: QuotaClient, bytes: number): number {
    const applied = this.#table.appliedTo(client, key);
    if (applied === undefined) return 0;
    const nowMs = this.#clock.monotonicMs();
    this.#sweep(nowMs);
    const windows = this.#windows[key];
    let window = windows.get(applied.sharedBy);
    if (window === undefined) {
      window = new RateWindow();
      windows.set(applied.sharedBy, window);
    }
    window.add(bytes, nowMs);
    return Math.min(throttleTimeMs(window, applied.perSecond, nowMs), throttleMaxMs);
  }

  /** Takes back what was just charged, since the client does not get it after all. */
  refund(key: QuotaKey, client: QuotaClient, bytes: number): void {
    const applied = this.#table.appliedTo(client, key);
    if (applied !== undefined) this.#windows[key].get(applied.sharedBy)?.add(-bytes, this.#clock.monotonicMs());
  }

  /** A client may come under a new name each time: those that do not come back are forgotten. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < windowLifetimeMs) return;
    this.#sweptAtMs = nowMs;
    for (const key of quotaKeys) {
      for (const [sharedBy, window] of this.#windows[key]) {
        if (window.isIdle(nowMs)) this.#windows[key].delete(sharedBy);
      }
    }
  }
}
