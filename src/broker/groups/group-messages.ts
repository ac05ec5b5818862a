import type { KafkaErrorName } from '../../protocol/errors.ts';
import type { MemberSnapshot, Protocol, Waiter } from './members.ts';

/** By Kafka's names, which clients show. A group that is gone is called Dead; here it is simply not there. */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable';

export interface JoinRequest {
  /** Empty: the member is new. */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly Protocol[];
  /** The client is able to come again with the id that it is given (KIP-394). */
  readonly knowsMemberIds: boolean;
  /** The client is able to lead without assigning again (KIP-814). */
  readonly canSkipAssignment: boolean;
}

export interface JoinReply {
  readonly error: KafkaErrorName;
  readonly memberId: string;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  /** Empty for all but the leader. */
  readonly members: readonly JoinedMember[];
}

export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly metadata: Buffer;
}

export interface SyncRequest {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly generationId: number;
  /** null: the client does not say. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** By member id; those of the leader count. */
  readonly assignments: ReadonlyMap<string, Buffer>;
}

export interface SyncReply {
  readonly error: KafkaErrorName;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

export interface MemberIdentity {
  /** Empty: whoever has the instance id. */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

/** What the log keeps of a group. */
export interface GroupSnapshot {
  readonly protocolType: string | undefined;
  readonly generationId: number;
  readonly protocolName: string | undefined;
  readonly leaderId: string | undefined;
  readonly members: readonly MemberSnapshot[];
}

export type GroupReply =
  | { readonly kind: 'join'; readonly waiter: Waiter; readonly reply: JoinReply }
  | { readonly kind: 'sync'; readonly waiter: Waiter; readonly reply: SyncReply };

/** To be put in the log; `Group.written` is told what came of it. */
export interface GroupWrite {
  readonly ticket: number;
  readonly snapshot: GroupSnapshot;
}

/** What a group wants done, in this order: writes may be under way while replies go out. */
export interface GroupEffects {
  readonly replies: readonly GroupReply[];
  readonly writes: readonly GroupWrite[];
}

export const noAssignment: Buffer = Buffer.alloc(0);

export function joinFailure(error: KafkaErrorName, memberId: string): JoinReply {
  return {
    error,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  };
}

export function syncFailure(error: KafkaErrorName): SyncReply {
  return { error, protocolType: null, protocolName: null, assignment: noAssignment };
}
