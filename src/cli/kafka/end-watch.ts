import type { Consumer } from 'kafkajs';
import { TailEvidence } from '../../log/kafka/tail-evidence.ts';

export interface WatchedPartition {
  readonly topic: string;
  readonly partition: number;
  /** The next offset to read. */
  position: number;
  /** Where reading is to end. */
  readonly end: number;
}

export interface Leaders {
  /** Node id by topic and partition, as `keyOf` writes them. */
  readonly leaders: ReadonlyMap<string, number>;
  /** Node id by `host:port`. */
  readonly brokers: ReadonlyMap<string, number>;
}

interface Limits {
  readonly fetchBytesMax: number;
  readonly batchBytesMax: number;
}

/** A Fetch answer without a partition in it has 18 bytes; one with a partition has 60 and the topic's name. */
const answerBytesMin = 20;

export function keyOf(topic: string, partition: number): string {
  return `${topic}:${partition}`;
}

/**
 * Knows when a kafkajs consumer has come to the ends it was to read to. Positions come from what it delivers, from its
 * instrumentation where a batch held nothing readable, and from `TailEvidence` where compaction left nothing to deliver.
 */
export class EndWatch {
  readonly #partitions: ReadonlyMap<string, WatchedPartition>;
  readonly #evidence = new Map<string, TailEvidence>();
  #brokers: ReadonlyMap<string, number> = new Map();
  /** What this member of the group reads; nothing is known before the first join. */
  #assigned: ReadonlySet<string> | undefined;

  constructor(partitions: readonly WatchedPartition[]) {
    this.#partitions = new Map(partitions.map((each) => [keyOf(each.topic, each.partition), each]));
    for (const { topic } of partitions) this.#evidence.set(topic, new TailEvidence());
  }

  observe(consumer: Consumer, { fetchBytesMax, batchBytesMax }: Limits): void {
    const evidence = [...this.#evidence.values()];
    const nameBytesMin = Math.min(...[...this.#evidence.keys()].map((topic) => Buffer.byteLength(topic)));
    const { events } = consumer;
    const disturbed = (): void => {
      for (const each of evidence) each.disturbed();
    };
    consumer.on(events.GROUP_JOIN, ({ payload: { memberAssignment } }) => {
      disturbed();
      const assigned = Object.entries(memberAssignment).flatMap(([topic, partitions]) =>
        partitions.map((partition) => keyOf(topic, partition)),
      );
      this.#assigned = new Set(assigned);
    });
    consumer.on(events.REBALANCING, disturbed);
    consumer.on(events.REQUEST, ({ payload: { apiName, size, broker } }) => {
      if (apiName !== 'Fetch') return;
      // A broker answers a client that is over its quota with no partition at all (KIP-219), whatever there is to read.
      if (size < answerBytesMin + nameBytesMin) return disturbed();
      const nodeId = this.#brokers.get(broker);
      const hadRoom = size + batchBytesMax <= fetchBytesMax;
      if (nodeId !== undefined && hadRoom) for (const each of evidence) each.answered(nodeId);
    });
    // Numbers by their type, and strings in fact.
    consumer.on(events.FETCH_START, ({ payload }) => {
      for (const each of evidence) each.roundStarts(Number(payload.nodeId));
    });
    consumer.on(events.FETCH, ({ payload }) => {
      for (const each of evidence) each.returned(Number(payload.nodeId));
    });
    consumer.on(events.END_BATCH_PROCESS, ({ payload: { topic, partition, batchSize, lastOffset } }) => {
      if (batchSize === 0) this.advance(topic, partition, Number(lastOffset) + 1);
    });
  }

  /** Everything below `position` has been dealt with. */
  advance(topic: string, partition: number, position: number): void {
    this.#evidence.get(topic)?.arrived(partition);
    const watched = this.#partitions.get(keyOf(topic, partition));
    if (watched !== undefined && position > watched.position) watched.position = position;
  }

  /** Whether all that this member reads has been read to its end. */
  get done(): boolean {
    return this.#assigned !== undefined && this.#unread().length === 0;
  }

  /** Looks at partitions that nothing arrives from any more; call it now and then until `done`. */
  examine({ leaders, brokers }: Leaders): void {
    this.#brokers = brokers;
    for (const watched of this.#unread()) {
      const leader = leaders.get(keyOf(watched.topic, watched.partition));
      if (leader === undefined) continue;
      const evidence = this.#evidence.get(watched.topic)!;
      const emptyUpTo = evidence.examine(watched.partition, watched.position, watched.end, leader);
      if (emptyUpTo !== undefined) watched.position = emptyUpTo;
    }
  }

  #unread(): WatchedPartition[] {
    return [...this.#partitions]
      .filter(([key, { position, end }]) => (this.#assigned?.has(key) ?? true) && position < end)
      .map(([, watched]) => watched);
  }
}
