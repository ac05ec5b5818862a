import type { CatchUpProgress } from './catch-up.ts';

export type ReplicaState =
  /** The log has not answered yet. */
  | 'connecting'
  | 'catching-up'
  | 'serving'
  /** The topic guard found what only a person can mend; reads go on from memory, writes do not. */
  | 'refused';

export interface PartitionStatus {
  readonly partition: number;
  /** The next offset to apply. */
  readonly position: number;
  /** Where the partition ended when the log was last asked. */
  readonly end: number;
  readonly lag: number;
}

/** What the memory of a node was made of, before what it has read since. */
export type StartedFrom =
  | { readonly place: 'snapshot'; readonly keys: number }
  /** Of the log; `because` says, for a person, why not from a snapshot. */
  | { readonly place: 'beginning'; readonly because: string };

export interface ReplicaStatus {
  readonly state: ReplicaState;
  readonly ready: boolean;
  /** Why it is not ready, for a person. */
  readonly reason: string | undefined;
  readonly partitions: readonly PartitionStatus[];
  readonly lagMs: number;
  /** Whether the log answered the last question. */
  readonly logAnswers: boolean;
  /** undefined: not decided yet, or the node has no snapshots. */
  readonly startedFrom: StartedFrom | undefined;
  /** Only while catching up. */
  readonly progress: CatchUpProgress | undefined;
}
