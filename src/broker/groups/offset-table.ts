/** Where a group has come to in a partition. */
export interface CommittedOffset {
  readonly offset: number;
  /** Of the last record that was read; -1: unknown. */
  readonly leaderEpoch: number;
  /** Whatever the client wants to keep with it. */
  readonly metadata: string;
  /** Milliseconds since the epoch, as is `expiresAtMs`. */
  readonly committedAtMs: number;
  /** Set by old clients that say for how long; undefined: the broker's retention holds. */
  readonly expiresAtMs: number | undefined;
}

/** In the order of the log: of two commits the later counts, also when it became visible earlier. */
interface Entry {
  readonly committed: CommittedOffset;
  readonly position: number;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface PartitionOffset extends TopicPartition {
  readonly committed: CommittedOffset;
}

/** What one producer's open transaction has committed, by group. */
interface Pending {
  readonly producerEpoch: number;
  readonly byGroup: Map<string, PartitionMap<Entry>>;
}

export interface Producer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/**
 * The committed offsets of all groups, and those of transactions that are still open: these count once their transaction is committed
 * (KIP-447). Calls come in the order of the log, also when it is read again, so that the same comes out.
 */
export class OffsetTable {
  readonly #byGroup = new Map<string, PartitionMap<Entry>>();
  readonly #pending = new Map<number, Pending>();
  /** Producers with a transaction that has offsets of the group. */
  readonly #producersOf = new Map<string, Set<number>>();
  #position = 0;

  /** Returns how to undo it, for when the log has failed to take it. */
  commit(groupId: string, topic: string, partition: number, committed: CommittedOffset): () => void {
    const offsets = this.#offsetsOf(groupId);
    const before = offsets.get(topic, partition);
    const entry = this.#entry(committed);
    offsets.set(topic, partition, entry);
    return () => {
      if (offsets.get(topic, partition) !== entry) return;
      if (before === undefined) this.#delete(groupId, topic, partition);
      else offsets.set(topic, partition, before);
    };
  }

  /** Returns how to undo it. */
  commitPending(
    producer: Producer,
    groupId: string,
    topic: string,
    partition: number,
    committed: CommittedOffset,
  ): () => void {
    const { producerId } = producer;
    const offsets = this.#pendingOffsetsOf(producer, groupId);
    const before = offsets.get(topic, partition);
    const entry = this.#entry(committed);
    offsets.set(topic, partition, entry);
    return () => {
      const isOpen = this.#pending.get(producerId)?.byGroup.get(groupId) === offsets;
      if (!isOpen || offsets.get(topic, partition) !== entry) return;
      if (before !== undefined) offsets.set(topic, partition, before);
      else this.#deletePending(producerId, groupId, topic, partition);
    };
  }

  /**
   * The transaction has ended. A marker of an older epoch ends nothing of a newer one. A plain commit that stands behind the
   * transactional one in the log wins: after compaction there would be nothing else.
   */
  complete({ producerId, producerEpoch }: Producer, isCommit: boolean): void {
    const pending = this.#pending.get(producerId);
    if (pending === undefined || pending.producerEpoch > producerEpoch) return;
    this.#pending.delete(producerId);
    for (const [groupId, offsets] of pending.byGroup) {
      this.#forgetProducer(groupId, producerId);
      if (!isCommit) continue;
      const visible = this.#offsetsOf(groupId);
      for (const { topic, partition, value } of offsets) {
        if ((visible.get(topic, partition)?.position ?? -1) < value.position) visible.set(topic, partition, value);
      }
    }
  }

  get(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#byGroup.get(groupId)?.get(topic, partition)?.committed;
  }

  /** Of a group, without those of open transactions. */
  offsetsOf(groupId: string): PartitionOffset[] {
    return [...(this.#byGroup.get(groupId) ?? [])].map(({ topic, partition, value }) => {
      return { topic, partition, committed: value.committed };
    });
  }

  /** Whether an open transaction is about to change it. */
  isPending(groupId: string, topic: string, partition: number): boolean {
    return this.#pendingMaps(groupId).some((offsets) => offsets.get(topic, partition) !== undefined);
  }

  has(groupId: string): boolean {
    return this.#byGroup.has(groupId) || this.#producersOf.has(groupId);
  }

  groupIds(): Set<string> {
    return new Set([...this.#byGroup.keys(), ...this.#producersOf.keys()]);
  }

  /** Partitions of the group that have an offset, of open transactions or not. */
  partitionsOf(groupId: string): TopicPartition[] {
    const all = new PartitionMap<true>();
    for (const offsets of [this.#byGroup.get(groupId) ?? [], ...this.#pendingMaps(groupId)]) {
      for (const { topic, partition } of offsets) all.set(topic, partition, true);
    }
    return [...all].map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Removes it, also from open transactions. False: there was none. */
  remove(groupId: string, topic: string, partition: number): boolean {
    let isThere = this.#delete(groupId, topic, partition);
    for (const producerId of [...(this.#producersOf.get(groupId) ?? [])]) {
      if (this.#deletePending(producerId, groupId, topic, partition)) isThere = true;
    }
    return isThere;
  }

  #entry(committed: CommittedOffset): Entry {
    this.#position += 1;
    return { committed, position: this.#position };
  }

  #offsetsOf(groupId: string): PartitionMap<Entry> {
    let offsets = this.#byGroup.get(groupId);
    if (offsets === undefined) {
      offsets = new PartitionMap();
      this.#byGroup.set(groupId, offsets);
    }
    return offsets;
  }

  #pendingOffsetsOf({ producerId, producerEpoch }: Producer, groupId: string): PartitionMap<Entry> {
    let pending = this.#pending.get(producerId);
    if (pending === undefined || pending.producerEpoch < producerEpoch) {
      pending = { producerEpoch, byGroup: pending?.byGroup ?? new Map() };
      this.#pending.set(producerId, pending);
    }
    let offsets = pending.byGroup.get(groupId);
    if (offsets === undefined) {
      offsets = new PartitionMap();
      pending.byGroup.set(groupId, offsets);
    }
    this.#producersOf.set(groupId, (this.#producersOf.get(groupId) ?? new Set()).add(producerId));
    return offsets;
  }

  #pendingMaps(groupId: string): PartitionMap<Entry>[] {
    return [...(this.#producersOf.get(groupId) ?? [])].map((producerId) => {
      return this.#pending.get(producerId)!.byGroup.get(groupId)!;
    });
  }

  #delete(groupId: string, topic: string, partition: number): boolean {
    const offsets = this.#byGroup.get(groupId);
    if (!offsets?.delete(topic, partition)) return false;
    if (offsets.isEmpty) this.#byGroup.delete(groupId);
    return true;
  }

  #deletePending(producerId: number, groupId: string, topic: string, partition: number): boolean {
    const { byGroup } = this.#pending.get(producerId)!;
    const offsets = byGroup.get(groupId)!;
    if (!offsets.delete(topic, partition)) return false;
    if (offsets.isEmpty) {
      byGroup.delete(groupId);
      this.#forgetProducer(groupId, producerId);
      if (byGroup.size === 0) this.#pending.delete(producerId);
    }
    return true;
  }

  #forgetProducer(groupId: string, producerId: number): void {
    const producers = this.#producersOf.get(groupId);
    producers?.delete(producerId);
    if (producers?.size === 0) this.#producersOf.delete(groupId);
  }
}

class PartitionMap<T> {
  readonly #byTopic = new Map<string, Map<number, T>>();

  get isEmpty(): boolean {
    return this.#byTopic.size === 0;
  }

  get(topic: string, partition: number): T | undefined {
    return this.#byTopic.get(topic)?.get(partition);
  }

  set(topic: string, partition: number, value: T): void {
    let partitions = this.#byTopic.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#byTopic.set(topic, partitions);
    }
    partitions.set(partition, value);
  }

  /** False: there is none. */
  delete(topic: string, partition: number): boolean {
    const partitions = this.#byTopic.get(topic);
    if (!partitions?.delete(partition)) return false;
    if (partitions.size === 0) this.#byTopic.delete(topic);
    return true;
  }

  *[Symbol.iterator](): IterableIterator<{ topic: string; partition: number; value: T }> {
    for (const [topic, partitions] of this.#byTopic) {
      for (const [partition, value] of partitions) yield { topic, partition, value };
    }
  }
}
