/** This node as it announces itself to a registry. */
export interface Self {
  /** `host:port` under which other nodes reach its HTTP API: the node's id, unique in the cluster. */
  readonly id: string;
  /** `host:port` of its Avro socket, where it has one. */
  readonly socket?: string;
  /** Made anew by each process, so that a node that was started again is not taken for a second one of the same id. */
  readonly instance: string;
}

/** What became of one other node, by its id. */
export type MembershipEvent = { readonly kind: 'joined' | 'left'; readonly id: string };

/**
 * Who else is in the cluster. Each adapter keeps a registry in its own way; all of them know nodes by `host:port` alone, take no
 * entry of a registry on trust, and keep the last known members for as long as the registry does not answer.
 */
export interface Membership {
  /**
   * Announces this node and begins to watch the others, in the background: resolves at once, and a registry that does not answer
   * is tried again until `leave`. A second node of the same id is reported as fatal to whoever made the adapter.
   */
  join(self: Self): Promise<void>;

  /** Takes this node out of the registry, if that answers soon, so that others stop asking it. What is known of them stays. */
  withdraw(): Promise<void>;

  /** Withdraws, and ends everything. Events end too. */
  leave(): Promise<void>;

  /** The ids of the other nodes, as last known. */
  members(): ReadonlySet<string>;

  /** Has `listener` called after each change of `members()`. */
  subscribe(listener: (event: MembershipEvent) => void): void;

  /** Registry entries that are no `host:port`, make no sense or are too many, and were ignored. Each counts while it stays. */
  readonly ignoredEntries: number;

  /** By what nodes are found. */
  readonly registry: 'topic' | 'zookeeper' | 'list';

  /** Whether this node is in the registry, as far as it knows, so that others find it. */
  readonly isRegistered: boolean;
}

/** Why a node cannot start under an id, in one line for a person. */
export function takenMessage(id: string): string {
  return `another node is alive under the id ${id}: give each node a NODENAME or API_PORT of its own`;
}
