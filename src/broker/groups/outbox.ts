import type { KafkaErrorName } from '../../protocol/errors.ts';
import {
  type GroupEffects,
  type GroupReply,
  type GroupSnapshot,
  type GroupWrite,
  type JoinReply,
  joinFailure,
  type SyncReply,
  syncFailure,
} from './group-messages.ts';
import type { Member, Waiter } from './members.ts';

/** Collects what a group wants done, until whoever drives it takes it. `W`: what is to happen once a write is in the log. */
export class Outbox<W> {
  readonly #pendingWrites = new Map<number, W>();
  #ticket = 0;
  #replies: GroupReply[] = [];
  #writes: GroupWrite[] = [];

  take(): GroupEffects {
    const effects = { replies: this.#replies, writes: this.#writes };
    this.#replies = [];
    this.#writes = [];
    return effects;
  }

  answerJoin(waiter: Waiter, reply: JoinReply): void {
    this.#replies.push({ kind: 'join', waiter, reply });
  }

  answerSync(waiter: Waiter, reply: SyncReply): void {
    this.#replies.push({ kind: 'sync', waiter, reply });
  }

  /** Answers the join that the member waits in; it does nothing where there is none. */
  completeJoin(member: Member, reply: JoinReply): void {
    if (member.join === undefined) return;
    this.answerJoin(member.join, reply);
    member.join = undefined;
  }

  /** Answers the sync that the member waits in. False: there is none. */
  completeSync(member: Member, reply: SyncReply): boolean {
    if (member.sync === undefined) return false;
    this.answerSync(member.sync, reply);
    member.sync = undefined;
    return true;
  }

  /** Answers whatever the member waits in. */
  failWaits(member: Member, error: KafkaErrorName, memberId = member.id): void {
    this.completeJoin(member, joinFailure(error, memberId));
    this.completeSync(member, syncFailure(error));
  }

  write(pending: W, snapshot: GroupSnapshot): void {
    this.#ticket += 1;
    this.#pendingWrites.set(this.#ticket, pending);
    this.#writes.push({ ticket: this.#ticket, snapshot });
  }

  /** What the write of this ticket was for; once. */
  written(ticket: number): W | undefined {
    const pending = this.#pendingWrites.get(ticket);
    this.#pendingWrites.delete(ticket);
    return pending;
  }
}
