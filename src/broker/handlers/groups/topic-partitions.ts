import type { OffsetToCommit } from '../../groups/coordinator.ts';

/** Topics as requests about offsets have them. */
interface Topic<P> {
  readonly name: string;
  readonly partitions: readonly P[];
}

interface Commit {
  readonly partitionIndex: number;
  readonly committedOffset: number;
  readonly committedLeaderEpoch: number;
  readonly committedMetadata: string | null;
}

interface Outcome {
  readonly partitionIndex: number;
  readonly errorCode: number;
}

/** All partitions in one row, as coordinators take them. */
export function partitionsOf<P>(topics: readonly Topic<P>[]): Array<{ topic: string; partition: P }> {
  return topics.flatMap(({ name, partitions }) => partitions.map((partition) => ({ topic: name, partition })));
}

export function offsetsToCommit(topics: readonly Topic<Commit>[]): OffsetToCommit[] {
  return partitionsOf(topics).map(({ topic, partition }) => ({
    topic,
    partition: partition.partitionIndex,
    offset: partition.committedOffset,
    leaderEpoch: partition.committedLeaderEpoch,
    metadata: partition.committedMetadata,
  }));
}

/** The shape of the request again, with an error for each partition: `errorOf` is given its place in the row of `partitionsOf`. */
export function outcomesByTopic(
  topics: readonly Topic<{ readonly partitionIndex: number }>[],
  errorOf: (index: number) => number,
): Array<{ name: string; partitions: Outcome[] }> {
  let index = -1;
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => {
      index += 1;
      return { partitionIndex, errorCode: errorOf(index) };
    }),
  }));
}

export function sameOutcome(
  topics: readonly Topic<{ readonly partitionIndex: number }>[],
  errorCode: number,
): Array<{ name: string; partitions: Outcome[] }> {
  return outcomesByTopic(topics, () => errorCode);
}
