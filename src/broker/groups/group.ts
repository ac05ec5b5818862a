import type { KafkaErrorName } from '../../protocol/errors.ts';
import {
  type GroupEffects,
  type GroupSnapshot,
  type GroupState,
  type JoinedMember,
  type JoinReply,
  type JoinRequest,
  joinFailure,
  type MemberIdentity,
  noAssignment,
  type SyncReply,
  type SyncRequest,
  syncFailure,
} from './group-messages.ts';
import {
  distinctProtocols,
  type Member,
  Members,
  metadataFor,
  sameProtocols,
  snapshotOf,
  type Waiter,
} from './members.ts';
import { Outbox } from './outbox.ts';
import { consumerProtocolType, subscribedTopics } from './subscription.ts';

export interface GroupTimes {
  /** How long a group that was empty waits for more members before its first generation; prolonged while members come. */
  readonly initialRebalanceDelayMs: number;
  /** How long a member is kept that has never had an answer: it has no id yet, and so cannot send heartbeats. */
  readonly newMemberJoinTimeoutMs: number;
}

/** What is to happen when the log has, or has not, taken a write. */
type PendingWrite =
  | { readonly kind: 'assignment'; readonly generationId: number; readonly assignments: ReadonlyMap<string, Buffer> }
  | { readonly kind: 'replacement'; readonly old: Member; readonly next: Member; readonly canSkipAssignment: boolean }
  | { readonly kind: 'emptied' };

/** A member waits once: when it asks again, its connection before is of no use to it any more. */
const superseded = 'REBALANCE_IN_PROGRESS';

interface JoinTimer {
  readonly atMs: number;
  /** Of a group that was empty: by how much the wait may still be prolonged. */
  readonly initial: { readonly delayMs: number; readonly remainingMs: number } | undefined;
}

/**
 * One group of Kafka's classic protocol, without clock, socket or disk: requests and ticks come in with the time (`nowMs`, from any
 * start, never going back), answers and writes are fetched with `takeEffects` after each of them, and `nextDeadlineMs` says when the
 * next tick is due.
 *
 * Empty → PreparingRebalance: somebody joined, and everybody is waited for. → CompletingRebalance: all have been told the generation
 * and who leads, and the leader is waited for to assign. → Stable, once the assignment is in the log.
 */
export class Group {
  readonly #times: GroupTimes;
  readonly #members = new Members();
  /** Ids that were given out and have not come back with a join (KIP-394), and when they lapse. */
  readonly #pendingMembers = new Map<string, number>();
  /** Those of this generation that have not asked for their assignment. */
  readonly #pendingSync = new Set<string>();
  readonly #outbox = new Outbox<PendingWrite>();
  #state: GroupState = 'Empty';
  #stateBefore: GroupState = 'Empty';
  #generationId = 0;
  #protocolType: string | undefined;
  #protocolName: string | undefined;
  #topics: ReadonlySet<string> | undefined;
  #joinTimer: JoinTimer | undefined;
  #syncDeadlineMs: number | undefined;
  #hasGrown = false;

  constructor(times: GroupTimes) {
    this.#times = times;
  }

  /** The group as the log has it: with members it is stable, and they go on if they are heard of within their session timeout. */
  static restore(times: GroupTimes, snapshot: GroupSnapshot, nowMs: number): Group {
    const group = new Group(times);
    group.#generationId = snapshot.generationId;
    group.#protocolType = snapshot.protocolType;
    group.#protocolName = snapshot.protocolName;
    group.#state = snapshot.members.length === 0 ? 'Empty' : 'Stable';
    for (const { memberId, subscription, ...member } of snapshot.members) {
      group.#members.add({
        ...member,
        id: memberId,
        protocols: [{ name: snapshot.protocolName ?? '', metadata: subscription }],
        isNew: false,
        join: undefined,
        sync: undefined,
        sessionDeadlineMs: nowMs + member.sessionTimeoutMs,
      });
    }
    group.#members.restoreLeader(snapshot.leaderId ?? null);
    group.#topics = group.#subscribedTopics();
    return group;
  }

  get state(): GroupState {
    return this.#state;
  }

  get generationId(): number {
    return this.#generationId;
  }

  /** undefined until somebody has joined: until then it is but a place for offsets. */
  get protocolType(): string | undefined {
    return this.#protocolType;
  }

  get protocolName(): string | undefined {
    return this.#protocolName;
  }

  get leaderId(): string | undefined {
    return this.#members.leaderId;
  }

  /** Whether nobody has joined it or is about to, and nothing of it is in the log. */
  get isVoid(): boolean {
    return this.#state === 'Empty' && this.#generationId === 0 && this.#pendingMembers.size === 0;
  }

  get hasPendingMembers(): boolean {
    return this.#pendingMembers.size > 0;
  }

  members(): readonly Readonly<Member>[] {
    return this.#members.all();
  }

  metadataOf(member: Readonly<Member>): Buffer {
    return metadataFor(member, this.#protocolName);
  }

  /** Its members speak Kafka's consumer protocol, so that it can be known what they read. */
  get isOfConsumers(): boolean {
    return this.#protocolType === consumerProtocolType;
  }

  /** Consumers of which it is not known may read any topic. */
  isSubscribedTo(topic: string): boolean {
    return this.#topics?.has(topic) ?? this.isOfConsumers;
  }

  /** When `tick` has something to do; undefined: not before the next request. */
  get nextDeadlineMs(): number | undefined {
    let nextMs = Math.min(this.#joinTimer?.atMs ?? Infinity, this.#syncDeadlineMs ?? Infinity);
    for (const atMs of this.#pendingMembers.values()) nextMs = Math.min(nextMs, atMs);
    for (const { sessionDeadlineMs } of this.#members) nextMs = Math.min(nextMs, sessionDeadlineMs ?? Infinity);
    return nextMs === Infinity ? undefined : nextMs;
  }

  /** What the calls since the last time have brought. */
  takeEffects(): GroupEffects {
    return this.#outbox.take();
  }

  /** The waiter is answered at once or later. `newMemberId` is for a member that has none. */
  join(waiter: Waiter, request: JoinRequest, newMemberId: string, nowMs: number): void {
    const { memberId, groupInstanceId } = request;
    const protocols = distinctProtocols(request.protocols);
    const asked = { ...request, protocols };
    if (!this.#supports(asked)) {
      this.#outbox.answerJoin(waiter, joinFailure('INCONSISTENT_GROUP_PROTOCOL', memberId));
    } else if (memberId !== '') {
      this.#rejoin(waiter, asked, nowMs);
    } else if (groupInstanceId !== null) {
      const old = this.#members.get(this.#members.idOfInstance(groupInstanceId) ?? '');
      if (old === undefined) this.#admit(waiter, asked, newMemberId, nowMs);
      else this.#replaceStatic(waiter, asked, old, newMemberId, nowMs);
    } else if (request.knowsMemberIds) {
      // Else a client that gives up on its join and tries again would be another member each time.
      this.#pendingMembers.set(newMemberId, nowMs + request.sessionTimeoutMs);
      this.#outbox.answerJoin(waiter, joinFailure('MEMBER_ID_REQUIRED', newMemberId));
    } else {
      this.#admit(waiter, asked, newMemberId, nowMs);
    }
    this.#tickJoin(nowMs);
  }

  sync(waiter: Waiter, request: SyncRequest): void {
    const error = this.#checkSync(request);
    if (error !== 'NONE') {
      this.#outbox.answerSync(waiter, syncFailure(error));
      return;
    }
    const member = this.#members.get(request.memberId)!;
    this.#pendingSync.delete(member.id);
    if (this.#pendingSync.size === 0) this.#syncDeadlineMs = undefined;
    if (this.#state === 'Stable') {
      this.#outbox.answerSync(waiter, this.#assignmentOf(member));
      return;
    }
    this.#outbox.failWaits(member, superseded);
    member.sync = waiter;
    if (this.#members.leaderId !== member.id) return;
    const assignments = new Map(
      this.#members.all().map(({ id }) => [id, request.assignments.get(id) ?? noAssignment] as const),
    );
    const { generationId } = this;
    this.#outbox.write({ kind: 'assignment', generationId, assignments }, this.#snapshot(assignments));
  }

  heartbeat({ memberId, groupInstanceId }: MemberIdentity, generationId: number, nowMs: number): KafkaErrorName {
    const error = this.#members.check(memberId, groupInstanceId);
    if (error !== 'NONE') return error;
    if (generationId !== this.#generationId) return 'ILLEGAL_GENERATION';
    this.#extendSession(this.#members.get(memberId)!, nowMs);
    return this.#state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** What came of each. */
  leave(leavers: readonly MemberIdentity[], nowMs: number): KafkaErrorName[] {
    const outcomes = leavers.map((leaver) => this.#leaveOne(leaver));
    if (outcomes.includes('NONE')) this.#membersHaveGone(nowMs);
    return outcomes;
  }

  /**
   * Whether offsets may be committed by whoever says so. A generation below 0 without member is somebody who assigns partitions
   * without the group; older transactional commits bring none either.
   */
  checkCommit(
    { memberId, groupInstanceId }: MemberIdentity,
    generationId: number,
    { isTransactional }: { isTransactional: boolean },
  ): KafkaErrorName {
    if (generationId < 0 && this.#state === 'Empty') return 'NONE';
    if (generationId >= 0 || memberId !== '' || groupInstanceId !== null) {
      const error = this.#members.check(memberId, groupInstanceId);
      if (error !== 'NONE') return error;
      if (generationId !== this.#generationId) return 'ILLEGAL_GENERATION';
    } else if (!isTransactional && this.#state !== 'Empty') {
      return 'UNKNOWN_MEMBER_ID';
    }
    return !isTransactional && this.#state === 'CompletingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** A commit that `checkCommit` allows is a sign of life. */
  hasCommitted(memberId: string, nowMs: number): void {
    const member = this.#members.get(memberId);
    if (member !== undefined) this.#extendSession(member, nowMs);
  }

  /** Time has passed: what was due by now happens. */
  tick(nowMs: number): void {
    for (const [memberId, atMs] of [...this.#pendingMembers]) {
      if (atMs > nowMs) continue;
      this.#pendingMembers.delete(memberId);
      this.#completeIfAllJoined(nowMs);
    }
    for (const member of this.#members.all()) this.#tickSession(member, nowMs);
    if (this.#syncDeadlineMs !== undefined && this.#syncDeadlineMs <= nowMs) this.#syncIsOver(nowMs);
    // Last, because a rebalance of nobody, which the others may have begun, is over at once.
    this.#tickJoin(nowMs);
  }

  /** The log has taken the write of this ticket, or has failed to. */
  written(ticket: number, error: KafkaErrorName, nowMs: number): void {
    const write = this.#outbox.written(ticket);
    if (write?.kind === 'assignment') this.#assignmentWritten(write, error, nowMs);
    if (write?.kind === 'replacement') this.#replacementWritten(write, error, nowMs);
    // That a group is empty is not waited for: should it be lost, the members before come back, and their sessions end.
  }

  /** The coordinator stops: whoever waits is told to look for another. */
  dismiss(error: KafkaErrorName): void {
    for (const member of this.#members) this.#outbox.failWaits(member, error);
  }

  #rejoin(waiter: Waiter, request: JoinRequest, nowMs: number): void {
    const { memberId, groupInstanceId } = request;
    // An id is given out to those alone that have no instance id.
    if (groupInstanceId === null && this.#pendingMembers.delete(memberId)) {
      this.#admit(waiter, request, memberId, nowMs);
      return;
    }
    const error = this.#members.check(memberId, groupInstanceId);
    if (error !== 'NONE') {
      this.#outbox.answerJoin(waiter, joinFailure(error, memberId));
      return;
    }
    const member = this.#members.get(memberId)!;
    const isLeader = this.#members.leaderId === memberId;
    const hasChanged = !sameProtocols(member.protocols, request.protocols);
    // Nothing new: an answer that was lost, or a follower of a group that has not changed. A leader that joins a stable group wants
    // to assign again, such as when a topic has more partitions.
    const isNoNews = !hasChanged && (this.#state === 'CompletingRebalance' || (this.#state === 'Stable' && !isLeader));
    if (isNoNews) {
      this.#outbox.answerJoin(waiter, this.#generationFor(member));
      return;
    }
    this.#update(member, request, waiter);
    this.#rebalance(nowMs);
  }

  #admit(waiter: Waiter, request: JoinRequest, memberId: string, nowMs: number): void {
    if (this.#members.size === 0) this.#protocolType = request.protocolType;
    const { groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols } = request;
    this.#members.add({
      id: memberId,
      groupInstanceId,
      clientId,
      clientHost,
      rebalanceTimeoutMs,
      sessionTimeoutMs,
      protocols,
      assignment: noAssignment,
      isNew: true,
      join: waiter,
      sync: undefined,
      sessionDeadlineMs: nowMs + this.#times.newMemberJoinTimeoutMs,
    });
    if (this.#state === 'PreparingRebalance' && this.#stateBefore === 'Empty') this.#hasGrown = true;
    this.#rebalance(nowMs);
  }

  /** A static member has started again: it takes its own place under a new id, and whoever uses the old one is fenced (KIP-345). */
  #replaceStatic(waiter: Waiter, request: JoinRequest, old: Member, newMemberId: string, nowMs: number): void {
    this.#outbox.failWaits(old, 'FENCED_INSTANCE_ID');
    const next: Member = { ...old, id: newMemberId, isNew: false };
    this.#replace(old, next, nowMs);
    this.#update(next, request, waiter);
    if (this.#state === 'Stable' && this.#members.selectProtocol() === this.#protocolName) {
      // Nothing is to be divided anew, so nobody else need know.
      const { canSkipAssignment } = request;
      this.#outbox.write({ kind: 'replacement', old, next, canSkipAssignment }, this.#snapshot());
      return;
    }
    // While the leader assigns it knows the old id only: there must be another generation.
    this.#rebalance(nowMs);
  }

  #replace(old: Member, next: Member, nowMs: number): void {
    if (this.#pendingSync.delete(old.id)) this.#pendingSync.add(next.id);
    this.#members.replace(old, next);
    this.#extendSession(next, nowMs);
  }

  #update(member: Member, request: JoinRequest, waiter: Waiter): void {
    this.#outbox.failWaits(member, superseded);
    member.protocols = request.protocols;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.join = waiter;
  }

  #rebalance(nowMs: number): void {
    if (this.#state === 'PreparingRebalance') this.#completeIfAllJoined(nowMs);
    else this.#prepareRebalance(nowMs);
  }

  #prepareRebalance(nowMs: number): void {
    if (this.#state === 'CompletingRebalance') this.#failSyncs('REBALANCE_IN_PROGRESS', nowMs);
    this.#syncDeadlineMs = undefined;
    this.#pendingSync.clear();
    const wasEmpty = this.#state === 'Empty';
    this.#enter('PreparingRebalance');
    if (wasEmpty) {
      const { initialRebalanceDelayMs: delayMs } = this.#times;
      const remainingMs = Math.max(this.#members.rebalanceTimeoutMs() - delayMs, 0);
      this.#hasGrown = false;
      this.#joinTimer = { atMs: nowMs + delayMs, initial: { delayMs, remainingMs } };
    } else if (this.#hasAllJoined()) {
      this.#completeRebalance(nowMs);
    } else {
      this.#waitForJoins(nowMs);
    }
  }

  #waitForJoins(nowMs: number): void {
    this.#joinTimer = { atMs: nowMs + this.#members.rebalanceTimeoutMs(), initial: undefined };
  }

  /** A group that was empty waits its whole delay: that is what the delay is for. */
  #completeIfAllJoined(nowMs: number): void {
    const isWaiting = this.#state === 'PreparingRebalance' && this.#stateBefore !== 'Empty';
    if (isWaiting && this.#hasAllJoined()) this.#completeRebalance(nowMs);
  }

  #hasAllJoined(): boolean {
    return this.#pendingMembers.size === 0 && this.#members.haveJoined;
  }

  #tickJoin(nowMs: number): void {
    const timer = this.#joinTimer;
    if (timer === undefined || timer.atMs > nowMs) return;
    const { initial } = timer;
    if (initial === undefined || !this.#hasGrown || initial.remainingMs === 0) {
      this.#completeRebalance(nowMs);
      return;
    }
    this.#hasGrown = false;
    const delayMs = Math.min(this.#times.initialRebalanceDelayMs, initial.remainingMs);
    const remainingMs = Math.max(initial.remainingMs - initial.delayMs, 0);
    this.#joinTimer = { atMs: nowMs + delayMs, initial: { delayMs, remainingMs } };
  }

  /** All have joined, or time is up: dynamic members that have not are out, static ones keep their place until their session ends. */
  #completeRebalance(nowMs: number): void {
    this.#joinTimer = undefined;
    for (const member of this.#members.all()) {
      if (member.join === undefined && member.groupInstanceId === null) this.#members.remove(member);
    }
    if (this.#members.size > 0 && !this.#members.electJoinedLeader()) {
      this.#waitForJoins(nowMs);
      return;
    }
    this.#generationId += 1;
    if (this.#members.size === 0) {
      this.#protocolName = undefined;
      this.#enter('Empty');
      this.#topics = this.#subscribedTopics();
      this.#outbox.write({ kind: 'emptied' }, this.#snapshot());
      return;
    }
    this.#protocolName = this.#members.selectProtocol();
    this.#enter('CompletingRebalance');
    this.#topics = this.#subscribedTopics();
    for (const member of this.#members.all()) {
      this.#outbox.completeJoin(member, this.#generationFor(member));
      this.#extendSession(member, nowMs);
      member.isNew = false;
      this.#pendingSync.add(member.id);
    }
    this.#syncDeadlineMs = nowMs + this.#members.rebalanceTimeoutMs();
  }

  #checkSync(request: SyncRequest): KafkaErrorName {
    const error = this.#members.check(request.memberId, request.groupInstanceId);
    if (error !== 'NONE') return error;
    if (request.generationId !== this.#generationId) return 'ILLEGAL_GENERATION';
    const { protocolType, protocolName } = request;
    const isOther =
      (protocolType !== null && this.#protocolType !== undefined && protocolType !== this.#protocolType) ||
      (protocolName !== null && this.#protocolName !== undefined && protocolName !== this.#protocolName);
    if (isOther) return 'INCONSISTENT_GROUP_PROTOCOL';
    return this.#state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** Those who were told of the generation and never asked for their assignment are out. */
  #syncIsOver(nowMs: number): void {
    this.#syncDeadlineMs = undefined;
    for (const memberId of this.#pendingSync) {
      const member = this.#members.get(memberId);
      if (member !== undefined) this.#dismissMember(member);
    }
    this.#rebalance(nowMs);
  }

  #assignmentWritten(
    { generationId, assignments }: PendingWrite & { kind: 'assignment' },
    error: KafkaErrorName,
    nowMs: number,
  ): void {
    // Meanwhile somebody may have joined or gone, and the assignment is of no use any more.
    if (this.#state !== 'CompletingRebalance' || generationId !== this.#generationId) return;
    if (error !== 'NONE') {
      this.#failSyncs(error, nowMs);
      this.#rebalance(nowMs);
      return;
    }
    this.#enter('Stable');
    for (const member of this.#members.all()) {
      member.assignment = assignments.get(member.id) ?? noAssignment;
      if (this.#outbox.completeSync(member, this.#assignmentOf(member))) this.#extendSession(member, nowMs);
    }
  }

  #replacementWritten(
    { old, next, canSkipAssignment }: PendingWrite & { kind: 'replacement' },
    error: KafkaErrorName,
    nowMs: number,
  ): void {
    // A rebalance that began meanwhile answers the join itself.
    if (this.#state !== 'Stable' || this.#members.get(next.id) !== next || next.join === undefined) return;
    if (error !== 'NONE') {
      const reply = { ...this.#generationFor(next), error, memberId: '', members: [] };
      this.#outbox.completeJoin(next, reply);
      this.#replace(next, old, nowMs);
      return;
    }
    const reply = this.#generationFor(next);
    const isLeader = this.#members.leaderId === next.id;
    // Its session may have ended while it waited for the log.
    this.#extendSession(next, nowMs);
    // A client that cannot skip the assignment would assign if it knew that it leads: it is told that its predecessor does.
    if (canSkipAssignment) this.#outbox.completeJoin(next, { ...reply, skipAssignment: isLeader });
    else this.#outbox.completeJoin(next, { ...reply, leader: isLeader ? old.id : reply.leader, members: [] });
  }

  #failSyncs(error: KafkaErrorName, nowMs: number): void {
    for (const member of this.#members.all()) {
      member.assignment = noAssignment;
      if (this.#outbox.completeSync(member, syncFailure(error))) this.#extendSession(member, nowMs);
    }
  }

  #leaveOne({ memberId, groupInstanceId }: MemberIdentity): KafkaErrorName {
    // An administrator names the instance alone.
    const isByInstance = memberId === '' && groupInstanceId !== null;
    const id = isByInstance ? (this.#members.idOfInstance(groupInstanceId) ?? '') : memberId;
    if (groupInstanceId === null && this.#pendingMembers.delete(id)) return 'NONE';
    const error = this.#members.check(id, groupInstanceId);
    if (error === 'NONE') this.#dismissMember(this.#members.get(id)!);
    return error;
  }

  #tickSession(member: Member, nowMs: number): void {
    const { sessionDeadlineMs } = member;
    if (sessionDeadlineMs === undefined || sessionDeadlineMs > nowMs) return;
    if (this.#members.get(member.id) !== member) return;
    member.sessionDeadlineMs = undefined;
    // It waits for us, not we for it; its session goes on with the answer.
    if (!member.isNew && (member.join !== undefined || member.sync !== undefined)) return;
    this.#dismissMember(member);
    this.#membersHaveGone(nowMs);
  }

  /** A member that waits is told that it is unknown, so that it begins anew if it is still there. */
  #dismissMember(member: Member): void {
    this.#outbox.failWaits(member, 'UNKNOWN_MEMBER_ID', '');
    this.#members.remove(member);
    this.#pendingSync.delete(member.id);
  }

  #membersHaveGone(nowMs: number): void {
    if (this.#state !== 'Empty') this.#rebalance(nowMs);
  }

  #supports({ protocolType, protocols }: JoinRequest): boolean {
    if (this.#state === 'Empty') return protocolType !== '' && protocols.length > 0;
    return protocolType === this.#protocolType && this.#members.support(protocols.map(({ name }) => name));
  }

  #extendSession(member: Member, nowMs: number): void {
    member.sessionDeadlineMs = nowMs + member.sessionTimeoutMs;
  }

  #enter(state: GroupState): void {
    this.#stateBefore = this.#state;
    this.#state = state;
  }

  #generationFor(member: Member): JoinReply {
    const { leaderId } = this.#members;
    return {
      error: 'NONE',
      memberId: member.id,
      generationId: this.#generationId,
      protocolType: this.#protocolType ?? null,
      protocolName: this.#protocolName ?? null,
      leader: leaderId ?? '',
      skipAssignment: false,
      members: leaderId === member.id ? this.#joinedMembers() : [],
    };
  }

  #joinedMembers(): JoinedMember[] {
    return this.#members.all().map((member) => {
      const { id, groupInstanceId } = member;
      return { memberId: id, groupInstanceId, metadata: this.metadataOf(member) };
    });
  }

  #assignmentOf({ assignment }: Member): SyncReply {
    const { protocolType = null, protocolName = null } = this;
    return { error: 'NONE', protocolType, protocolName, assignment };
  }

  #snapshot(assignments?: ReadonlyMap<string, Buffer>): GroupSnapshot {
    return {
      protocolType: this.#protocolType,
      generationId: this.#generationId,
      protocolName: this.#protocolName,
      leaderId: this.#members.leaderId,
      members: this.#members.all().map((member) => {
        return snapshotOf(member, this.#protocolName, assignments?.get(member.id) ?? member.assignment);
      }),
    };
  }

  #subscribedTopics(): ReadonlySet<string> | undefined {
    if (!this.isOfConsumers) return undefined;
    return subscribedTopics(this.#members.all().map((member) => this.metadataOf(member)));
  }
}
