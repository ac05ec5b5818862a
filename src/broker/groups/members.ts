import type { KafkaErrorName } from '../../protocol/errors.ts';

/** One way of dividing the work that a member can follow, and what it tells the leader for it. */
export interface Protocol {
  readonly name: string;
  readonly metadata: Buffer;
}

/** Whoever waits for an answer to a join or a sync; given by the caller. */
export type Waiter = number;

/** What stays of a member over a restart. */
export interface MemberSnapshot {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** Metadata of the group's protocol. */
  readonly subscription: Buffer;
  readonly assignment: Buffer;
}

export interface Member {
  readonly id: string;
  /** Of a static member (KIP-345): its name, which outlives its member id. */
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  /** In the order of its preference. */
  protocols: readonly Protocol[];
  assignment: Buffer;
  /** It has never had an answer to its join, so it does not know its id and cannot send heartbeats. */
  isNew: boolean;
  join: Waiter | undefined;
  sync: Waiter | undefined;
  /** When it is given up unless it is heard of; undefined while it is known to wait for us. */
  sessionDeadlineMs: number | undefined;
}

/** The members of one group, which of them leads, and what they can agree on. */
export class Members {
  readonly #byId = new Map<string, Member>();
  readonly #idByInstance = new Map<string, string>();
  #leaderId: string | undefined;

  get size(): number {
    return this.#byId.size;
  }

  get leaderId(): string | undefined {
    return this.#leaderId;
  }

  /** In the order in which they came. */
  [Symbol.iterator](): IterableIterator<Member> {
    return this.#byId.values();
  }

  /** As they are now, for whoever adds or removes some meanwhile. */
  all(): Member[] {
    return [...this.#byId.values()];
  }

  get(memberId: string): Member | undefined {
    return this.#byId.get(memberId);
  }

  idOfInstance(groupInstanceId: string): string | undefined {
    return this.#idByInstance.get(groupInstanceId);
  }

  /** Whether it is the member that it says: an instance has one member id at a time, and whoever uses another is fenced (KIP-345). */
  check(memberId: string, groupInstanceId: string | null): KafkaErrorName {
    if (groupInstanceId !== null) {
      const known = this.#idByInstance.get(groupInstanceId);
      if (known === undefined) return 'UNKNOWN_MEMBER_ID';
      if (known !== memberId) return 'FENCED_INSTANCE_ID';
    }
    return this.#byId.has(memberId) ? 'NONE' : 'UNKNOWN_MEMBER_ID';
  }

  /** Whether all of them wait in a join. */
  get haveJoined(): boolean {
    for (const { join } of this) if (join === undefined) return false;
    return true;
  }

  /** The first to come leads. */
  add(member: Member): void {
    this.#put(member);
    this.#leaderId ??= member.id;
  }

  /** As the log has it. */
  restoreLeader(leaderId: string | null): void {
    if (leaderId !== null && this.#byId.has(leaderId)) this.#leaderId = leaderId;
  }

  remove(member: Member): void {
    this.#byId.delete(member.id);
    if (member.groupInstanceId !== null) this.#idByInstance.delete(member.groupInstanceId);
    if (this.#leaderId === member.id) this.#leaderId = this.#byId.keys().next().value;
  }

  /** `next` takes the place of `old`, whose instance it is; also as the leader. */
  replace(old: Member, next: Member): void {
    this.#byId.delete(old.id);
    this.#put(next);
    if (this.#leaderId === old.id) this.#leaderId = next.id;
  }

  /** Makes sure that the leader is one of those that wait in a join. False: nobody does. */
  electJoinedLeader(): boolean {
    if (this.#leaderId === undefined) return false;
    if (this.#byId.get(this.#leaderId)!.join !== undefined) return true;
    const joined = this.all().find(({ join }) => join !== undefined);
    if (joined === undefined) return false;
    this.#leaderId = joined.id;
    return true;
  }

  /** Whether every member knows one of these protocols. */
  support(names: readonly string[]): boolean {
    const common = this.#commonProtocols();
    return this.size === 0 || names.some((name) => common.has(name));
  }

  /**
   * Each member votes for the first of its protocols that all of them know; among those with most votes, the one that was named first.
   * There must be members, and there is always a protocol: nobody gets in without one that all know.
   */
  selectProtocol(): string {
    const common = this.#commonProtocols();
    const votes = new Map<string, number>();
    for (const { protocols } of this) {
      const { name } = protocols.find((each) => common.has(each.name))!;
      votes.set(name, (votes.get(name) ?? 0) + 1);
    }
    return [...votes].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
  }

  /** How long a rebalance waits: as long as the slowest member may need. */
  rebalanceTimeoutMs(): number {
    let longestMs = 0;
    for (const { rebalanceTimeoutMs } of this) longestMs = Math.max(longestMs, rebalanceTimeoutMs);
    return longestMs;
  }

  #put(member: Member): void {
    this.#byId.set(member.id, member);
    if (member.groupInstanceId !== null) this.#idByInstance.set(member.groupInstanceId, member.id);
  }

  #commonProtocols(): Set<string> {
    const counts = new Map<string, number>();
    for (const { protocols } of this) {
      for (const { name } of protocols) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return new Set([...counts].filter(([, count]) => count === this.size).map(([name]) => name));
  }
}

/** Each name once: one that is named twice would be counted as two members' protocol. */
export function distinctProtocols(protocols: readonly Protocol[]): Protocol[] {
  const byName = new Map<string, Protocol>();
  for (const protocol of protocols) if (!byName.has(protocol.name)) byName.set(protocol.name, protocol);
  return [...byName.values()];
}

export function sameProtocols(ours: readonly Protocol[], theirs: readonly Protocol[]): boolean {
  return (
    ours.length === theirs.length &&
    ours.every(({ name, metadata }, index) => {
      const other = theirs[index]!;
      return name === other.name && metadata.equals(other.metadata);
    })
  );
}

const noMetadata: Buffer = Buffer.alloc(0);

/** What the member says for the protocol; there is none before the first generation. */
export function metadataFor({ protocols }: Pick<Member, 'protocols'>, protocolName: string | undefined): Buffer {
  return protocols.find(({ name }) => name === protocolName)?.metadata ?? noMetadata;
}

export function snapshotOf(member: Member, protocolName: string | undefined, assignment: Buffer): MemberSnapshot {
  const { id, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = member;
  return {
    memberId: id,
    groupInstanceId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    subscription: metadataFor(member, protocolName),
    assignment,
  };
}
