import { type Clock, pause } from '../../kernel/clock.ts';
import { FatalError, rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { Metrics } from '../../kernel/metrics.ts';
import type { Log } from '../../log/log.ts';
import { Replica } from '../../replica/replica.ts';
import { MemberSet } from '../member-set.ts';
import { type Membership, type MembershipEvent, type Self, takenMessage } from '../membership.ts';
import { Claim } from './claim.ts';
import { formatHeartbeat, type Heartbeat, parseHeartbeat } from './heartbeat.ts';
import { HeartbeatStore } from './heartbeat-store.ts';
import { Roster } from './roster.ts';

export interface LogMembershipOptions {
  /** The members' topic. This adapter runs and stops it. */
  readonly log: Log;
  readonly clock: Clock;
  /** Names the topic, whose lines would otherwise be taken for the database's. */
  readonly logger: Logger;
  /** Another node is alive under this node's id. */
  readonly onFatal: (error: FatalError) => void;
}

export const heartbeatEveryMs = 1_000;
const lookEveryMs = 250;
const expireAfterMs = 5_000;
const claimWaitMs = 3 * heartbeatEveryMs;
/** Until then a node that was killed is remembered; every node that starts takes it for alive for a few seconds. */
const forgetAfterMs = 600_000;
const nodesMax = 1_000;
/** So that a node's own heartbeats are not held up by those of many that are gone. */
const buriedAtOnceMax = 16;
const leaveWithinMs = 1_000;
const settings = { partitions: 1, maxMessageBytes: 1_048_588, uncompactedBytesMax: 1_048_576 };
/** No entry of a `HeartbeatStore` expires, whatever the time. */
const anyTimeMs = 0;

/**
 * Members by their heartbeats in a compacted topic: key = node id, value = JSON, a tombstone when a node leaves. The topic is
 * read like the database itself, by a replica into a map; who is alive is seen by what arrives there.
 */
export class LogMembership implements Membership {
  readonly registry = 'topic';
  readonly #options: LogMembershipOptions;
  readonly #members = new MemberSet();
  readonly #roster = new Roster({ expireAfterMs, forgetAfterMs, nodesMax });
  readonly #store: HeartbeatStore;
  readonly #replica: Replica;
  readonly #withdrawing = new AbortController();
  readonly #stopping = new AbortController();
  #self: Self | undefined;
  #claim: Claim | undefined;
  /** When any node's heartbeat was last received, and this node's own, by the monotonic clock. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #ownHeardAtMs = Number.NEGATIVE_INFINITY;
  /** Nodes that are silent for good, whose entries are to be removed. */
  readonly #dead = new Set<string>();
  #warned = false;
  #remarked = false;
  #complaint: string | undefined;
  #beating: Promise<void> = Promise.resolve();
  #watching: Promise<void> = Promise.resolve();
  #withdrawn: Promise<void> | undefined;
  #left: Promise<void> | undefined;

  constructor(options: LogMembershipOptions) {
    this.#options = options;
    const { log, clock, logger } = options;
    this.#store = new HeartbeatStore({
      heard: (heartbeat) => this.#heard(heartbeat),
      gone: (id) => this.#roster.gone(id),
    });
    this.#replica = new Replica({
      log,
      store: this.#store,
      partitioner: () => 0,
      settings,
      readyLagMaxMs: expireAfterMs,
      clock,
      // Its lines speak of a database. What matters of them is told here, by its status.
      logger: logger.child({}, { level: 'silent' }),
      metrics: new Metrics({ process: false }),
      onFatal: (error) => this.#complain(error.message),
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

  withdraw(): Promise<void> {
    this.#withdrawing.abort();
    this.#withdrawn ??= Promise.race([this.#sayGoodbye(), pause(this.#options.clock, leaveWithinMs)]);
    return this.#withdrawn;
  }

  leave(): Promise<void> {
    this.#left ??= this.#end();
    return this.#left;
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

  get isRegistered(): boolean {
    if (this.#withdrawing.signal.aborted) return false;
    return this.#options.clock.monotonicMs() - this.#ownHeardAtMs <= expireAfterMs;
  }

  #heard({ id, instance }: Heartbeat): void {
    this.#roster.heard(id);
    this.#heardAtMs = this.#options.clock.monotonicMs();
    if (id === this.#self?.id && instance === this.#self.instance) this.#ownHeardAtMs = this.#heardAtMs;
  }

  async #watch(self: Self, claim: Claim): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    let lookedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      await pause(clock, lookEveryMs, signal);
      const nowMs = clock.monotonicMs();
      // A process that was stopped for a while has heard nobody, which is not the others' silence.
      const elapsedMs = Math.min(nowMs - lookedAtMs, 2 * lookEveryMs);
      lookedAtMs = nowMs;
      const { state, reason } = this.#replica.status();
      if (state === 'refused') this.#complain(reason);
      if (signal.aborted || state !== 'serving') continue;
      this.#complaint = undefined;
      this.#remarkOnOthers();
      // Whose heartbeats they are does not matter: a node that may not write has to notice as well who is gone.
      const logCarries = nowMs - this.#heardAtMs < 3 * heartbeatEveryMs;
      for (const id of this.#roster.pass(logCarries ? elapsedMs : 0)) if (id !== self.id) this.#dead.add(id);
      this.#members.replace(this.#roster.alive(), self.id, this.#store.senseless);
      this.#observe(self, claim, elapsedMs);
    }
  }

  /** Every heartbeat under this node's id, since between two looks one may replace another. */
  #watchId(self: Self, claim: Claim): void {
    const watch = (): void => {
      this.#replica.arrivals.watch(Buffer.from(self.id), {
        arrived: () => {
          if (this.#stopping.signal.aborted) return;
          if (this.#replica.status().state === 'serving') this.#observe(self, claim, 0);
          watch();
        },
        abandoned: () => {
          if (this.#stopping.signal.aborted) return;
          claim.restart();
          watch();
        },
      });
    };
    watch();
  }

  #observe(self: Self, claim: Claim, elapsedMs: number): void {
    const before = claim.state;
    const key = Buffer.from(self.id);
    const stored = this.#store.get(key, anyTimeMs);
    claim.observe(stored && parseHeartbeat(key, stored), elapsedMs);
    if (claim.state === 'taken' && before !== 'taken') this.#options.onFatal(new FatalError(takenMessage(self.id)));
  }

  async #beat(self: Self, claim: Claim): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#withdrawing;
    while (!signal.aborted && claim.state !== 'taken') {
      if (claim.state === 'claimed') {
        try {
          const offset = await this.#append(self.id, formatHeartbeat(self, claim.since));
          claim.since ??= offset;
          this.#warned = false;
          await this.#bury(self);
        } catch (error) {
          if (!this.#warned) logger.warn(`this node cannot announce itself to others: ${rootMessage(error)}`);
          this.#warned = true;
        }
      }
      await pause(clock, heartbeatEveryMs, signal);
    }
  }

  /**
   * Removes entries of nodes that have been silent for long, so that a node that starts does not take them for alive. One of the
   * nodes does it for all. A node that comes back after all is found again by its next heartbeat.
   */
  async #bury(self: Self): Promise<void> {
    const isFirst = [...this.#members.ids].every((id) => self.id < id);
    const dead = [...this.#dead].slice(0, isFirst ? buriedAtOnceMax : Number.POSITIVE_INFINITY);
    for (const id of dead) this.#dead.delete(id);
    if (!isFirst) return;
    await Promise.all(dead.filter((id) => !this.#roster.knows(id)).map((id) => this.#append(id, null)));
  }

  async #append(id: string, value: Buffer | null): Promise<number> {
    const record = { partition: 0, key: Buffer.from(id), value, timestampMs: this.#options.clock.nowMs() };
    return (await this.#options.log.append(record)).offset;
  }

  /** A tombstone under this node's id, after the heartbeat that may be on its way. */
  async #sayGoodbye(): Promise<void> {
    await this.#beating;
    if (this.#claim?.state !== 'claimed' || this.#claim.since === undefined) return;
    await this.#append(this.#self!.id, null).catch(() => {});
  }

  async #end(): Promise<void> {
    this.#members.silence();
    await this.withdraw();
    this.#stopping.abort();
    await this.#replica.stop();
    await this.#watching;
    await this.#options.log.stop();
  }

  /** A few senseless entries are somebody's slip. Where the topic is somebody's data, this line is the hint. */
  #remarkOnOthers(): void {
    if (this.#remarked) return;
    this.#remarked = true;
    const { senseless } = this.#store;
    if (senseless === 0) return;
    this.#options.logger.warn(
      `the topic holds ${senseless} entries that no node has written, which are ignored: if it is in use for something else, ` +
        'name another KAFKA_TOPIC, or have nodes find each other by PEERS or ZOOKEEPER_HOST',
    );
  }

  #complain(reason: string | undefined): void {
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#options.logger.error(`${reason}: nodes do not find each other until that is mended`);
  }
}
