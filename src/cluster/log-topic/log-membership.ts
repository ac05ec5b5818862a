import { type Clock, pause } from '../../kernel/clock.ts';
import { FatalError, rootMessage } from '../../kernel/errors.ts';
import { errorsOnly, type Logger } from '../../kernel/logger.ts';
import { Metrics } from '../../kernel/metrics.ts';
import type { Log } from '../../log/log.ts';
import { expiresAtHeader } from '../../replica/apply.ts';
import { Replica } from '../../replica/replica.ts';
import { MapStore } from '../../store/map-store.ts';
import { MemberSet } from '../member-set.ts';
import { type Membership, type MembershipEvent, type Self, takenMessage } from '../membership.ts';
import { Claim } from './claim.ts';
import { formatHeartbeat, type Heartbeat, parseHeartbeat } from './heartbeat.ts';
import { Roster } from './roster.ts';

export interface LogMembershipOptions {
  /** The members' topic. This adapter runs and stops it. */
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Another node is alive under this node's id. */
  readonly onFatal: (error: FatalError) => void;
}

export const heartbeatEveryMs = 1_000;
const lookEveryMs = 250;
const expireAfterMs = 5_000;
const claimWaitMs = 3 * heartbeatEveryMs;
/** Until then a node that was killed is remembered; every node that starts takes it for alive for a few seconds. */
const forgetAfterMs = 3_600_000;
/** Looked at each time, those that were there first: a topic full of something else must not take a processor. */
const entriesMax = 1_000;
const leaveWithinMs = 1_000;
const settings = { partitions: 1, maxMessageBytes: 1_048_588, uncompactedBytesMax: 1_048_576 };

/**
 * Members by their heartbeats in a compacted topic: key = node id, value = JSON, a tombstone when a node leaves. The topic is
 * read like the database itself, by a replica into a map; who is alive is seen by what changes there.
 */
export class LogMembership implements Membership {
  readonly #options: LogMembershipOptions;
  readonly #members = new MemberSet();
  readonly #store = new MapStore(0);
  readonly #replica: Replica;
  readonly #roster = new Roster(expireAfterMs);
  readonly #stopping = new AbortController();
  #self: Self | undefined;
  #claim: Claim | undefined;
  #warned = false;
  #beating: Promise<void> = Promise.resolve();
  #watching: Promise<void> = Promise.resolve();

  constructor(options: LogMembershipOptions) {
    this.#options = options;
    const { log, clock, logger } = options;
    this.#replica = new Replica({
      log,
      store: this.#store,
      partitioner: () => 0,
      settings,
      readyLagMaxMs: expireAfterMs,
      clock,
      // What goes wrong with the log, the database's own replica tells already, and has metrics of the same names.
      logger: errorsOnly(logger),
      metrics: new Metrics({ process: false }),
      onFatal: (error) => {
        logger.error(`${error.message}; nodes do not find each other until that is mended and this node started again`);
      },
    });
  }

  async join(self: Self): Promise<void> {
    this.#self = self;
    this.#claim = new Claim(self.instance, claimWaitMs);
    await this.#options.log.run();
    await this.#replica.run();
    this.#watchId(self, this.#claim);
    this.#watching = this.#watch(self, this.#claim);
    this.#beating = this.#beat(self, this.#claim);
  }

  async leave(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#members.silence();
    const { log, clock } = this.#options;
    await Promise.race([this.#sayGoodbye(), pause(clock, leaveWithinMs)]);
    await this.#replica.stop();
    await this.#watching;
    await log.stop();
  }

  members(): ReadonlySet<string> {
    return this.#members.ids;
  }

  subscribe(listener: (event: MembershipEvent) => void): void {
    this.#members.subscribe(listener);
  }

  get ignoredEntries(): number {
    return this.#members.ignored;
  }

  async #watch(self: Self, claim: Claim): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    let ownOffset = -1;
    let ownHeardAtMs = Number.NEGATIVE_INFINITY;
    let lookedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      await pause(clock, lookEveryMs, signal);
      const nowMs = clock.monotonicMs();
      // A process that was stopped for a while has heard nobody, which is not the others' silence.
      const elapsedMs = Math.min(nowMs - lookedAtMs, 2 * lookEveryMs);
      lookedAtMs = nowMs;
      if (signal.aborted || this.#replica.status().state !== 'serving') continue;
      const { heartbeats, senseless } = this.#read();
      const own = heartbeats.find(({ id }) => id === self.id);
      if (own?.instance === self.instance && own.offset !== ownOffset) {
        ownOffset = own.offset;
        ownHeardAtMs = nowMs;
      }
      const logCarries = nowMs - ownHeardAtMs < 3 * heartbeatEveryMs;
      const alive = this.#roster.observe(heartbeats, logCarries ? elapsedMs : 0);
      this.#members.replace(alive, self.id, senseless);
      this.#observe(self, claim, own, elapsedMs);
    }
  }

  /** Every heartbeat under this node's id, since between two looks one may replace another. */
  #watchId(self: Self, claim: Claim): void {
    const key = Buffer.from(self.id);
    const watch = (): void => {
      this.#replica.arrivals.watch(key, {
        arrived: () => {
          if (this.#stopping.signal.aborted) return;
          const stored = this.#store.get(key, this.#options.clock.nowMs());
          const own = stored && parseHeartbeat(key, stored);
          if (this.#replica.status().state === 'serving') this.#observe(self, claim, own, 0);
          watch();
        },
        abandoned: () => {
          if (!this.#stopping.signal.aborted) watch();
        },
      });
    };
    watch();
  }

  #observe(self: Self, claim: Claim, own: Heartbeat | undefined, elapsedMs: number): void {
    const before = claim.state;
    claim.observe(own, elapsedMs);
    if (claim.state === 'taken' && before !== 'taken') this.#options.onFatal(new FatalError(takenMessage(self.id)));
  }

  #read(): { heartbeats: Heartbeat[]; senseless: number } {
    const heartbeats: Heartbeat[] = [];
    let senseless = 0;
    for (const [key, stored] of this.#store.entries(this.#options.clock.nowMs())) {
      if (heartbeats.length + senseless === entriesMax) {
        senseless += this.#store.size.values - entriesMax;
        break;
      }
      const heartbeat = parseHeartbeat(key, stored);
      if (heartbeat === undefined) senseless += 1;
      else heartbeats.push(heartbeat);
    }
    return { heartbeats, senseless };
  }

  async #beat(self: Self, claim: Claim): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && claim.state !== 'taken') {
      if (claim.state === 'claimed') {
        try {
          const offset = await this.#append(self.id, formatHeartbeat(self, claim.since));
          claim.since ??= offset;
          this.#warned = false;
        } catch (error) {
          if (!this.#warned) logger.warn(`this node cannot announce itself to others: ${rootMessage(error)}`);
          this.#warned = true;
        }
      }
      await pause(clock, heartbeatEveryMs, signal);
    }
  }

  async #append(id: string, value: Buffer | null): Promise<number> {
    const nowMs = this.#options.clock.nowMs();
    const headers = new Map([[expiresAtHeader, Buffer.from(String(nowMs + forgetAfterMs))]]);
    const record = { partition: 0, key: Buffer.from(id), value, timestampMs: nowMs, headers };
    return (await this.#options.log.append(record)).offset;
  }

  /** A tombstone under this node's id, after the heartbeat that may be on its way. */
  async #sayGoodbye(): Promise<void> {
    await this.#beating;
    if (this.#claim?.state !== 'claimed' || this.#claim.since === undefined) return;
    await this.#append(this.#self!.id, null).catch(() => {});
  }
}
