import { Group } from '../../../../src/broker/groups/group.ts';
import type {
  GroupReply,
  GroupSnapshot,
  JoinReply,
  JoinRequest,
  MemberIdentity,
  SyncReply,
} from '../../../../src/broker/groups/group-messages.ts';
import type { KafkaErrorName } from '../../../../src/protocol/errors.ts';

export const sessionMs = 10_000;
export const rebalanceMs = 60_000;
export const newMemberMs = 300_000;

/** What a client remembers of the group, as clients do. */
interface Client {
  memberId: string;
  generationId: number;
  joins: number;
}

export interface JoinOptions extends Partial<Omit<JoinRequest, 'protocols'>> {
  /** Names, in the order of preference; `range=x` has metadata of its own. */
  protocols?: string;
}

/**
 * A group, and clients that talk to it, as a transcript: each call says what one client does, and what comes of it is a line. Member
 * ids are the client's name and a number.
 */
export class GroupRig {
  readonly #clients = new Map<string, Client>();
  readonly #waiters = new Map<number, string>();
  #waiter = 0;
  #lines: string[] = [];
  #held: number[] | undefined;
  group: Group;
  nowMs = 0;
  /** What the log was told last. */
  lastWrite: GroupSnapshot | undefined;

  constructor({ initialRebalanceDelayMs = 0 } = {}) {
    this.group = new Group({ initialRebalanceDelayMs, newMemberJoinTimeoutMs: newMemberMs });
  }

  /** Lines since the last call. */
  said(): string[] {
    return this.#lines.splice(0);
  }

  client(name: string): Client {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = { memberId: '', generationId: -1, joins: 0 };
      this.#clients.set(name, client);
    }
    return client;
  }

  /** A client that joins as an old one, which learns its id with its generation, unless told otherwise. */
  join(name: string, { protocols = 'range', ...options }: JoinOptions = {}): void {
    const client = this.client(name);
    client.joins += 1;
    const request: JoinRequest = {
      memberId: client.memberId,
      groupInstanceId: null,
      clientId: name,
      clientHost: '/here',
      sessionTimeoutMs: sessionMs,
      rebalanceTimeoutMs: rebalanceMs,
      protocolType: 'test',
      knowsMemberIds: false,
      canSkipAssignment: false,
      ...options,
      protocols: protocols.split(' ').map((each) => {
        const [protocol = '', metadata = ''] = each.split('=');
        return { name: protocol, metadata: Buffer.from(metadata) };
      }),
    };
    this.group.join(this.#waiterOf(name), request, `${name}${client.joins}`, this.nowMs);
    this.#carryOut();
  }

  /** The assignment as `a1=x b1=y`, where the client leads. */
  sync(name: string, assignment = '', options: Partial<MemberIdentity> & { protocolName?: string } = {}): void {
    const { memberId, generationId } = this.client(name);
    const assignments = assignment.split(' ').map((each) => {
      const [member = '', assigned = ''] = each.split('=');
      return [member, Buffer.from(assigned)] as const;
    });
    this.group.sync(this.#waiterOf(name), {
      memberId,
      generationId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      ...options,
      assignments: new Map(assignments),
    });
    this.#carryOut();
  }

  heartbeat(name: string, { groupInstanceId = null }: { groupInstanceId?: string | null } = {}): KafkaErrorName {
    const { memberId, generationId } = this.client(name);
    const error = this.group.heartbeat({ memberId, groupInstanceId }, generationId, this.nowMs);
    this.#carryOut();
    return error;
  }

  leave(...leavers: MemberIdentity[]): KafkaErrorName[] {
    const outcomes = this.group.leave(leavers, this.nowMs);
    this.#carryOut();
    return outcomes;
  }

  /** Whether the client may commit as the member that it is. */
  commit(name: string, options: Partial<MemberIdentity> & { isTransactional?: boolean } = {}): KafkaErrorName {
    const { memberId, generationId } = this.client(name);
    const { isTransactional = false, ...identity } = options;
    const member = { memberId, groupInstanceId: null, ...identity };
    const error = this.group.checkCommit(member, generationId, { isTransactional });
    if (error === 'NONE') this.group.hasCommitted(member.memberId, this.nowMs);
    return error;
  }

  /** Time passes, with a tick whenever one is due. */
  pass(durationMs: number): void {
    const untilMs = this.nowMs + durationMs;
    for (let ticks = 0; ; ticks += 1) {
      const dueMs = this.group.nextDeadlineMs;
      if (dueMs === undefined || dueMs > untilMs) break;
      if (ticks > 10_000) throw new Error('the group asks for one tick after the other');
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.group.tick(this.nowMs);
      this.#carryOut();
    }
    this.nowMs = untilMs;
  }

  /** Time passes, and these clients send a heartbeat each second, whatever they are answered. */
  passWithHeartbeats(durationMs: number, ...names: string[]): void {
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 1_000) {
      this.pass(Math.min(leftMs, 1_000));
      for (const name of names) this.heartbeat(name);
    }
  }

  /** The log takes its time from now on. */
  holdWrites(): void {
    this.#held ??= [];
  }

  /** The log answers to what was held. */
  releaseWrites(error: KafkaErrorName = 'NONE'): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const ticket of held) this.#written(ticket, error);
  }

  /** Members join one after the other, and all of them sync: the group is stable. The first leads. */
  stable(...names: string[]): void {
    for (const name of names) {
      this.join(name);
      for (const other of names.slice(0, names.indexOf(name))) this.join(other);
    }
    for (const name of [...names].reverse()) {
      this.sync(name, names.map((each) => `${this.client(each).memberId}=for-${each}`).join(' '));
    }
    this.said();
  }

  #waiterOf(name: string): number {
    this.#waiter += 1;
    this.#waiters.set(this.#waiter, name);
    return this.#waiter;
  }

  #carryOut(): void {
    const { replies, writes } = this.group.takeEffects();
    for (const reply of replies) this.#hear(reply);
    for (const { ticket, snapshot } of writes) {
      this.lastWrite = snapshot;
      if (this.#held === undefined) this.#written(ticket, 'NONE');
      else this.#held.push(ticket);
    }
  }

  #written(ticket: number, error: KafkaErrorName): void {
    this.group.written(ticket, error, this.nowMs);
    this.#carryOut();
  }

  #hear(reply: GroupReply): void {
    const name = this.#waiters.get(reply.waiter);
    if (name === undefined) throw new Error(`waiter ${reply.waiter} is answered twice`);
    this.#waiters.delete(reply.waiter);
    this.#lines.push(`${name} ${reply.kind === 'join' ? this.#joined(name, reply.reply) : synced(reply.reply)}`);
  }

  #joined(name: string, reply: JoinReply): string {
    const client = this.client(name);
    const { error, memberId, generationId, protocolName, leader, members, skipAssignment } = reply;
    if (error === 'UNKNOWN_MEMBER_ID') client.memberId = '';
    if (error === 'MEMBER_ID_REQUIRED') client.memberId = memberId;
    if (error !== 'NONE') return `join: ${error} ${memberId}`.trimEnd();
    client.memberId = memberId;
    client.generationId = generationId;
    const team = members.map((member) => {
      const metadata = member.metadata.toString();
      return metadata === '' ? member.memberId : `${member.memberId}=${metadata}`;
    });
    const part = team.length > 0 ? `leads ${team.join(' ')}` : `follows ${leader}`;
    return `is ${memberId} of generation ${generationId}, ${protocolName}, ${part}${skipAssignment ? ', as before' : ''}`;
  }
}

function synced({ error, assignment }: SyncReply): string {
  if (error !== 'NONE') return `sync: ${error}`;
  return assignment.length === 0 ? 'has nothing to do' : `does ${assignment}`;
}
