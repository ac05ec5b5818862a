import { randomUUID } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/logger.ts';
import { KafkaError, type KafkaErrorName } from '../../protocol/errors.ts';
import { WireError } from '../../protocol/wire.ts';
import type { StateEntry, StateLog, StateProducer } from '../state-log.ts';
import { coordinatorError } from './coordinator-error.ts';
import { Group } from './group.ts';
import {
  type GroupState,
  type GroupWrite,
  type JoinReply,
  type JoinRequest,
  joinFailure,
  type MemberIdentity,
  type SyncReply,
  type SyncRequest,
  syncFailure,
} from './group-messages.ts';
import {
  fitsRecords,
  groupRecord,
  type KeyAndValue,
  type LoggedGroup,
  offsetRecord,
  readRecord,
} from './group-records.ts';
import type { Member, Waiter } from './members.ts';
import { isExpired } from './offset-expiry.ts';
import { type CommittedOffset, OffsetTable, type TopicPartition } from './offset-table.ts';
import { defaultGroupSettings, type GroupSettings } from './settings.ts';

export interface GroupCoordinatorOptions {
  /** Of `__consumer_offsets`; nobody else appends to it, but for the markers of transactions. */
  readonly log: StateLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What is left out is as in `defaultGroupSettings`. */
  readonly settings?: Partial<GroupSettings>;
  hasPartition(topic: string, partition: number): boolean;
}

export interface OffsetToCommit extends TopicPartition {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string | null;
}

export interface CommitRequest extends MemberIdentity {
  readonly groupId: string;
  readonly generationId: number;
  readonly offsets: readonly OffsetToCommit[];
  /** How long the client wants them to be kept; undefined: as long as the broker does. */
  readonly retentionMs?: number | undefined;
  /** What a client of this version understands when there is no such group. */
  readonly unknownGroup: 'ILLEGAL_GENERATION' | 'GROUP_ID_NOT_FOUND';
  /** Whose transaction the commit is part of. */
  readonly producer?: StateProducer;
}

export interface FetchedOffset extends TopicPartition {
  readonly error: KafkaErrorName;
  /** undefined: there is none, or it may not be told. */
  readonly committed: CommittedOffset | undefined;
}

export interface GroupListing {
  readonly groupId: string;
  readonly protocolType: string;
  readonly state: GroupState;
}

export interface GroupDescription extends GroupListing {
  /** Empty while the group is not stable. */
  readonly protocolName: string;
  readonly members: readonly DescribedMember[];
}

export interface DescribedMember
  extends Pick<Member, 'id' | 'groupInstanceId' | 'clientId' | 'clientHost' | 'assignment'> {
  readonly metadata: Buffer;
}

interface Entry {
  readonly id: string;
  readonly group: Group;
  /** Since when it has had no members, by the wall clock; undefined: it has some, or never had any, or the log does not say. */
  emptySinceMs: number | undefined;
  /** When the timer goes off, by the monotonic clock; infinite: there is none. */
  timerAtMs: number;
  cancelTimer: () => void;
}

/** Records that go into one batch when offsets are removed, however many there are. */
const removalBatchRecords = 1_000;
/** A longer one goes off at once in Node.js; one that comes too early is set again. */
const timerMaxMs = 2 ** 31 - 1;
const noTimer = (): void => {};

/**
 * Drives the groups: gives them requests and time, keeps who waits for an answer, and puts into the log what they must know again
 * after a restart. What is asked of it before `load` is done, or after `stop`, fails with a retriable `KafkaError`.
 */
export class GroupCoordinator {
  readonly #log: StateLog;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #settings: GroupSettings;
  readonly #hasPartition: (topic: string, partition: number) => boolean;
  readonly #groups = new Map<string, Entry>();
  readonly #offsets = new OffsetTable();
  readonly #joins = new Map<Waiter, (reply: JoinReply) => void>();
  readonly #syncs = new Map<Waiter, (reply: SyncReply) => void>();
  /** What the log has not answered yet. */
  readonly #appending = new Set<Promise<KafkaErrorName>>();
  #waiter: Waiter = 0;
  #phase: 'loading' | 'active' | 'stopped' = 'loading';
  #cancelExpiry = noTimer;

  constructor({ log, clock, logger, settings, hasPartition }: GroupCoordinatorOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#logger = logger;
    this.#settings = { ...defaultGroupSettings, ...settings };
    this.#hasPartition = hasPartition;
  }

  /**
   * Reads the log. Groups that had members go on with them; their sessions begin anew, since nobody could send a heartbeat. Offsets of
   * partitions that are gone go too: the broker may have ended before it could say so.
   */
  async load(): Promise<void> {
    const logged = new Map<string, LoggedGroup>();
    await this.#log.replay((entry) => this.#replay(entry, logged));
    if (this.#phase !== 'loading') return;
    const nowMs = this.#clock.monotonicMs();
    for (const [groupId, { snapshot, sinceMs }] of logged) {
      const entry = this.#add(groupId, Group.restore(this.#settings, snapshot, nowMs));
      if (snapshot.members.length === 0) entry.emptySinceMs = sinceMs;
      this.#arm(entry);
    }
    for (const groupId of this.#offsets.groupIds()) if (!this.#groups.has(groupId)) this.#add(groupId);
    this.#phase = 'active';
    this.#expireLater();
    await this.#removeWhere(({ topic, partition }) => !this.#hasPartition(topic, partition));
  }

  /** Whoever waits is told to look for another coordinator, which is what it does when a broker goes. */
  async stop(): Promise<void> {
    this.#phase = 'stopped';
    this.#cancelExpiry();
    for (const entry of this.#groups.values()) {
      entry.group.dismiss('NOT_COORDINATOR');
      this.#carryOut(entry);
    }
    await Promise.all(this.#appending);
  }

  /** Waits until the generation is complete. */
  async join(groupId: string, request: JoinRequest): Promise<JoinReply> {
    this.#assertActive();
    const { memberId, groupInstanceId, clientId, protocolType, protocols, sessionTimeoutMs } = request;
    const { sessionTimeoutMinMs, sessionTimeoutMaxMs } = this.#settings;
    if (groupId === '' || !fitsRecords(groupId)) return joinFailure('INVALID_GROUP_ID', memberId);
    if (!fitsRecords(groupInstanceId, clientId, protocolType, ...protocols.map(({ name }) => name))) {
      return joinFailure('INVALID_REQUEST', memberId);
    }
    if (sessionTimeoutMs < sessionTimeoutMinMs || sessionTimeoutMs > sessionTimeoutMaxMs) {
      return joinFailure('INVALID_SESSION_TIMEOUT', memberId);
    }
    const known = this.#groups.get(groupId);
    if (known === undefined && memberId !== '') return joinFailure('UNKNOWN_MEMBER_ID', memberId);
    const entry = known ?? this.#add(groupId);
    const newMemberId = `${groupInstanceId ?? clientId}-${randomUUID()}`;
    return new Promise((resolve) => {
      const waiter = this.#nextWaiter();
      this.#joins.set(waiter, resolve);
      entry.group.join(waiter, request, newMemberId, this.#clock.monotonicMs());
      this.#carryOut(entry);
      if (known === undefined) this.#discardIfVoid(entry);
    });
  }

  /** Waits until the leader has assigned. */
  async sync(groupId: string, request: SyncRequest): Promise<SyncReply> {
    this.#assertActive();
    if (groupId === '') return syncFailure('INVALID_GROUP_ID');
    const entry = this.#groups.get(groupId);
    if (entry === undefined) return syncFailure('UNKNOWN_MEMBER_ID');
    return new Promise((resolve) => {
      const waiter = this.#nextWaiter();
      this.#syncs.set(waiter, resolve);
      entry.group.sync(waiter, request);
      this.#carryOut(entry);
    });
  }

  heartbeat(groupId: string, member: MemberIdentity, generationId: number): KafkaErrorName {
    // A member has nothing to do but to go on until the coordinator knows its group again.
    if (this.#phase === 'loading') return 'NONE';
    this.#assertActive();
    if (groupId === '') return 'INVALID_GROUP_ID';
    const entry = this.#groups.get(groupId);
    if (entry === undefined) return 'UNKNOWN_MEMBER_ID';
    const error = entry.group.heartbeat(member, generationId, this.#clock.monotonicMs());
    this.#carryOut(entry);
    return error;
  }

  /** What came of each of them. */
  leave(groupId: string, leavers: readonly MemberIdentity[]): KafkaErrorName[] {
    this.#assertActive();
    if (groupId === '') throw new KafkaError('INVALID_GROUP_ID', 'The group id is empty.');
    const entry = this.#groups.get(groupId);
    if (entry === undefined) return leavers.map(() => 'UNKNOWN_MEMBER_ID');
    const outcomes = entry.group.leave(leavers, this.#clock.monotonicMs());
    this.#carryOut(entry);
    return outcomes;
  }

  /** What came of each offset. Resolves when they are in the log. */
  async commitOffsets(request: CommitRequest): Promise<KafkaErrorName[]> {
    this.#assertActive();
    const outcomes = request.offsets.map((offset) => this.#checkOffset(offset));
    // Kafka leaves the group alone when there is no such partition at all.
    if (outcomes.every((outcome) => outcome === 'UNKNOWN_TOPIC_OR_PARTITION')) return outcomes;
    const error = this.#checkCommit(request);
    if (error !== 'NONE') {
      return outcomes.map((outcome) => (outcome === 'UNKNOWN_TOPIC_OR_PARTITION' ? outcome : error));
    }
    const accepted = request.offsets.filter((_, index) => outcomes[index] === 'NONE');
    const appended = accepted.length === 0 ? 'NONE' : await this.#commit(request, accepted);
    return outcomes.map((outcome) => (outcome === 'NONE' ? appended : outcome));
  }

  /**
   * What the group has committed, of all partitions where `partitions` is null. `requireStable`: an offset that an open transaction is
   * about to change is not told (KIP-447).
   */
  fetchOffsets(
    groupId: string,
    partitions: readonly TopicPartition[] | null,
    { requireStable }: { requireStable: boolean },
  ): FetchedOffset[] {
    this.#assertActive();
    return (partitions ?? this.#offsets.offsetsOf(groupId)).map(({ topic, partition }) => {
      const isUnstable = requireStable && this.#offsets.isPending(groupId, topic, partition);
      const committed = isUnstable ? undefined : this.#offsets.get(groupId, topic, partition);
      return { topic, partition, committed, error: isUnstable ? 'UNSTABLE_OFFSET_COMMIT' : 'NONE' };
    });
  }

  list(): GroupListing[] {
    this.#assertActive();
    return [...this.#groups.values()].map(listingOf);
  }

  /** undefined: there is no such group. */
  describe(groupId: string): GroupDescription | undefined {
    this.#assertActive();
    const entry = this.#groups.get(groupId);
    if (entry === undefined) return undefined;
    const { group } = entry;
    // Until the group has settled on a protocol, what its members say is of the one before.
    const isStable = group.state === 'Stable';
    return {
      ...listingOf(entry),
      protocolName: isStable ? (group.protocolName ?? '') : '',
      members: group.members().map((member) => {
        const { id, groupInstanceId, clientId, clientHost, assignment } = member;
        const metadata = isStable ? group.metadataOf(member) : Buffer.alloc(0);
        return { id, groupInstanceId, clientId, clientHost, assignment, metadata };
      }),
    };
  }

  /** Removes the group and its offsets, unless it has members. */
  async deleteGroup(groupId: string): Promise<KafkaErrorName> {
    this.#assertActive();
    const entry = this.#groups.get(groupId);
    if (entry === undefined) return 'GROUP_ID_NOT_FOUND';
    if (entry.group.state !== 'Empty') return 'NON_EMPTY_GROUP';
    const records = this.#removeOffsets(groupId, this.#offsets.partitionsOf(groupId));
    return this.#appendRemovals([...records, ...this.#remove(entry)]);
  }

  /** What came of each. Throws a `KafkaError` when none may be removed. */
  async deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<KafkaErrorName[]> {
    this.#assertActive();
    const entry = this.#groups.get(groupId);
    if (entry === undefined) throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
    const { group } = entry;
    // Of a group that says what it reads, the rest may go; of any other it is not known what it needs.
    if (group.state !== 'Empty' && !group.isOfConsumers) {
      throw new KafkaError('NON_EMPTY_GROUP', `Group ${groupId} has members.`);
    }
    const outcomes = partitions.map(({ topic, partition }): KafkaErrorName => {
      if (!this.#hasPartition(topic, partition)) return 'UNKNOWN_TOPIC_OR_PARTITION';
      return group.isSubscribedTo(topic) ? 'GROUP_SUBSCRIBED_TO_TOPIC' : 'NONE';
    });
    const removed = partitions.filter((_, index) => outcomes[index] === 'NONE');
    const records = this.#removeOffsets(groupId, removed);
    const error = await this.#appendRemovals(records);
    if (error !== 'NONE') throw new KafkaError(error, 'The offsets could not be removed.');
    return outcomes;
  }

  /** A transaction's marker has been appended to the log: what it committed counts from now on, or never. */
  completeTransaction(producerId: number, producerEpoch: number, commit: boolean): void {
    this.#offsets.complete({ producerId, producerEpoch }, commit);
  }

  /** A topic is gone, and so are the offsets in it: another of its name begins anew. */
  async forgetTopic(topic: string): Promise<void> {
    this.#assertActive();
    await this.#removeWhere((each) => each.topic === topic);
  }

  #assertActive(): void {
    if (this.#phase === 'active') return;
    if (this.#phase === 'loading') {
      throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS', 'The coordinator is reading its log.');
    }
    throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'The coordinator has stopped.');
  }

  #replay(entry: StateEntry, logged: Map<string, LoggedGroup>): void {
    if (entry.kind === 'marker') {
      this.#offsets.complete(entry.producer, entry.commit);
      return;
    }
    if (entry.key === null) return;
    try {
      const record = readRecord(entry.key, entry.value);
      if (record === undefined) return;
      if (record.kind === 'group') {
        if (record.state === undefined) logged.delete(record.groupId);
        else logged.set(record.groupId, record.state);
        return;
      }
      const { groupId, topic, partition, committed } = record;
      if (committed === undefined) this.#offsets.remove(groupId, topic, partition);
      else if (entry.transaction === undefined) this.#offsets.commit(groupId, topic, partition, committed);
      else this.#offsets.commitPending(entry.transaction, groupId, topic, partition, committed);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#logger.warn({ err: error }, 'a record of a group cannot be read and is passed over');
    }
  }

  #add(groupId: string, group = new Group(this.#settings)): Entry {
    const entry: Entry = { id: groupId, group, emptySinceMs: undefined, timerAtMs: Infinity, cancelTimer: noTimer };
    this.#groups.set(groupId, entry);
    return entry;
  }

  /** What the log is to be told of it. */
  #remove(entry: Entry): KeyAndValue[] {
    entry.cancelTimer();
    if (this.#groups.get(entry.id) === entry) this.#groups.delete(entry.id);
    return entry.group.generationId > 0 ? [groupRecord(entry.id, undefined)] : [];
  }

  /** A group that was made for what then failed leaves nothing behind. */
  #discardIfVoid(entry: Entry): void {
    if (entry.group.isVoid && !this.#offsets.has(entry.id)) this.#remove(entry);
  }

  #nextWaiter(): Waiter {
    this.#waiter += 1;
    return this.#waiter;
  }

  #carryOut(entry: Entry): void {
    const { replies, writes } = entry.group.takeEffects();
    for (const each of replies) {
      if (each.kind === 'join') settle(this.#joins, each.waiter, each.reply);
      else settle(this.#syncs, each.waiter, each.reply);
    }
    for (const write of writes) void this.#persist(entry, write);
    this.#arm(entry);
  }

  async #persist(entry: Entry, { ticket, snapshot }: GroupWrite): Promise<void> {
    const sinceMs = this.#clock.nowMs();
    const isEmpty = snapshot.members.length === 0;
    entry.emptySinceMs = isEmpty ? sinceMs : undefined;
    const { generationId, members } = snapshot;
    this.#logger.debug({ group: entry.id, generationId, members: members.length }, 'a group has a new generation');
    const error = await this.#appendGroup(entry, { snapshot, sinceMs });
    this.#guarded(entry, () => entry.group.written(ticket, error, this.#clock.monotonicMs()));
  }

  /** A group that no record can be made of hears so, like one that the log does not take: else its members wait for ever. */
  async #appendGroup(entry: Entry, state: LoggedGroup): Promise<KafkaErrorName> {
    try {
      return await this.#append([groupRecord(entry.id, state)]);
    } catch (error) {
      this.#logger.error({ err: error, group: entry.id }, 'a group cannot be put into a record');
      return 'UNKNOWN_SERVER_ERROR';
    }
  }

  /** One timer at most for each group. It is left alone when it comes too early: it finds nothing to do and is set again. */
  #arm(entry: Entry): void {
    const dueMs = this.#phase === 'stopped' ? undefined : entry.group.nextDeadlineMs;
    if (dueMs !== undefined && dueMs >= entry.timerAtMs) return;
    entry.cancelTimer();
    entry.cancelTimer = noTimer;
    entry.timerAtMs = dueMs ?? Infinity;
    if (dueMs === undefined) return;
    const delayMs = Math.min(Math.max(Math.ceil(dueMs - this.#clock.monotonicMs()), 0), timerMaxMs);
    entry.cancelTimer = this.#clock.after(delayMs, () => {
      entry.timerAtMs = Infinity;
      this.#guarded(entry, () => entry.group.tick(this.#clock.monotonicMs()));
    });
  }

  /** Where nobody waits for what is done, nobody catches a fault either. */
  #guarded(entry: Entry, act: () => void): void {
    try {
      act();
      this.#carryOut(entry);
    } catch (error) {
      this.#logger.error({ err: error, group: entry.id }, 'a group failed');
    }
  }

  #checkOffset({ topic, partition, offset, metadata }: OffsetToCommit): KafkaErrorName {
    if (!this.#hasPartition(topic, partition)) return 'UNKNOWN_TOPIC_OR_PARTITION';
    if ((metadata?.length ?? 0) > this.#settings.offsetMetadataCharactersMax) return 'OFFSET_METADATA_TOO_LARGE';
    // Beyond that a number is not exact, and it would not be what was committed.
    return Math.abs(offset) > Number.MAX_SAFE_INTEGER ? 'INVALID_COMMIT_OFFSET_SIZE' : 'NONE';
  }

  #checkCommit(request: CommitRequest): KafkaErrorName {
    const { groupId, generationId, memberId, producer } = request;
    const isTransactional = producer !== undefined;
    if ((isTransactional && groupId === '') || !fitsRecords(groupId)) return 'INVALID_GROUP_ID';
    const group = this.#groups.get(groupId)?.group;
    if (group === undefined) return generationId < 0 ? 'NONE' : request.unknownGroup;
    const error = group.checkCommit(request, generationId, { isTransactional });
    if (error === 'NONE' && !isTransactional) group.hasCommitted(memberId, this.#clock.monotonicMs());
    return error;
  }

  async #commit(
    { groupId, producer, retentionMs }: CommitRequest,
    offsets: readonly OffsetToCommit[],
  ): Promise<KafkaErrorName> {
    const committedAtMs = this.#clock.nowMs();
    const expiresAtMs =
      retentionMs === undefined ? undefined : Math.min(committedAtMs + retentionMs, Number.MAX_SAFE_INTEGER);
    const undos: Array<() => void> = [];
    const records = offsets.map(({ topic, partition, offset, leaderEpoch, metadata }) => {
      const committed = { offset, leaderEpoch, metadata: metadata ?? '', committedAtMs, expiresAtMs };
      undos.push(
        producer === undefined
          ? this.#offsets.commit(groupId, topic, partition, committed)
          : this.#offsets.commitPending(producer, groupId, topic, partition, committed),
      );
      return offsetRecord(groupId, topic, partition, committed);
    });
    const entry = this.#groups.get(groupId) ?? this.#add(groupId);
    const error = await this.#append(records, producer);
    if (error !== 'NONE') {
      for (const undo of undos.reverse()) undo();
      this.#discardIfVoid(entry);
    }
    return error;
  }

  /** Takes them out of the table; answers what the log is to be told. */
  #removeOffsets(groupId: string, partitions: readonly TopicPartition[]): KeyAndValue[] {
    const records: KeyAndValue[] = [];
    for (const { topic, partition } of partitions) {
      if (this.#offsets.remove(groupId, topic, partition)) {
        records.push(offsetRecord(groupId, topic, partition, undefined));
      }
    }
    return records;
  }

  async #removeWhere(isGone: (partition: TopicPartition) => boolean): Promise<void> {
    const records: KeyAndValue[] = [];
    for (const groupId of this.#offsets.groupIds()) {
      records.push(...this.#removeOffsets(groupId, this.#offsets.partitionsOf(groupId).filter(isGone)));
    }
    await this.#appendRemovals(records);
  }

  #expireLater(): void {
    this.#cancelExpiry = this.#clock.after(this.#settings.offsetsRetentionCheckMs, () => {
      this.#expireLater();
      const records = [...this.#groups.values()].flatMap((entry) => this.#expireIfOld(entry));
      void this.#appendRemovals(records);
    });
  }

  /** Called by a timer, where nobody catches a fault. */
  #expireIfOld(entry: Entry): KeyAndValue[] {
    try {
      return this.#expire(entry);
    } catch (error) {
      this.#logger.error({ err: error, group: entry.id }, 'old offsets of a group cannot be removed');
      return [];
    }
  }

  /** Removes what is too old of a group's offsets, and the group when nothing of it is left. */
  #expire(entry: Entry): KeyAndValue[] {
    const { id, group, emptySinceMs } = entry;
    const nowMs = this.#clock.nowMs();
    const { offsetsRetentionMs } = this.#settings;
    const expired = this.#offsets.offsetsOf(id).filter(({ topic, partition, committed }) => {
      if (this.#offsets.isPending(id, topic, partition)) return false;
      return isExpired({ group, topic, committed, emptySinceMs }, { nowMs, offsetsRetentionMs });
    });
    const records = this.#removeOffsets(id, expired);
    const isOver = group.state === 'Empty' && !group.hasPendingMembers && !this.#offsets.has(id);
    return isOver ? [...records, ...this.#remove(entry)] : records;
  }

  /** NONE when the records are in the log, else an error that clients of a coordinator understand. */
  async #append(records: readonly KeyAndValue[], producer?: StateProducer): Promise<KafkaErrorName> {
    const appending = this.#tryAppend(records, producer);
    this.#appending.add(appending);
    const error = await appending;
    this.#appending.delete(appending);
    return error;
  }

  async #tryAppend(records: readonly KeyAndValue[], producer?: StateProducer): Promise<KafkaErrorName> {
    const timestampMs = this.#clock.nowMs();
    try {
      await this.#log.append(
        records.map((record) => ({ ...record, timestampMs })),
        producer,
      );
      return 'NONE';
    } catch (error) {
      this.#logger.warn({ err: error }, 'the state of a group could not be put into the log');
      return error instanceof KafkaError ? coordinatorError(error.error) : 'UNKNOWN_SERVER_ERROR';
    }
  }

  /** Memory is ahead of the log when this fails: what was removed may be there again after a restart. */
  async #appendRemovals(records: readonly KeyAndValue[]): Promise<KafkaErrorName> {
    const appended: Promise<KafkaErrorName>[] = [];
    // All of them before anything is waited for: a commit that comes meanwhile must stand behind them in the log.
    for (let start = 0; start < records.length; start += removalBatchRecords) {
      appended.push(this.#append(records.slice(start, start + removalBatchRecords)));
    }
    return (await Promise.all(appended)).find((error) => error !== 'NONE') ?? 'NONE';
  }
}

function settle<T>(waiting: Map<Waiter, (reply: T) => void>, waiter: Waiter, reply: T): void {
  waiting.get(waiter)?.(reply);
  waiting.delete(waiter);
}

function listingOf({ id, group }: Entry): GroupListing {
  return { groupId: id, protocolType: group.protocolType ?? '', state: group.state };
}
