import { kafkaErrors } from '../../../protocol/errors.ts';
import { offsetFetchRequest, offsetFetchResponse } from '../../../protocol/messages/offset-fetch.ts';
import type { FetchedOffset, GroupCoordinator } from '../../groups/coordinator.ts';
import { handler } from '../../server/handler.ts';

interface Asked {
  readonly groupId: string;
  /** null: all that the group has. */
  readonly topics: ReadonlyArray<{ readonly name: string; readonly partitionIndexes: readonly number[] }> | null;
}

/** OffsetFetch 1–9. From version 2 on all topics may be asked for, from 7 on only what is stable (KIP-447), from 8 on many groups. */
export const offsetFetch = (groups: GroupCoordinator) => {
  const topicsOf = ({ groupId, topics }: Asked, requireStable: boolean) => {
    const partitions =
      topics?.flatMap(({ name, partitionIndexes }) =>
        partitionIndexes.map((partition) => ({ topic: name, partition })),
      ) ?? null;
    return byTopic(groups.fetchOffsets(groupId, partitions, { requireStable }));
  };
  return handler({
    request: offsetFetchRequest,
    response: offsetFetchResponse,
    handle: ({ version }, { groupId, topics, groups: asked, requireStable }) => {
      if (version < 8) return { topics: topicsOf({ groupId, topics }, requireStable) };
      return {
        groups: asked.map((each) => ({ groupId: each.groupId, topics: topicsOf(each, requireStable) })),
      };
    },
    // Each version has its place for an error; the others are left out when it is written.
    failure: (errorCode, _message, { topics, groups: asked }) => ({
      errorCode,
      topics: (topics ?? []).map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode, ...noOffset })),
      })),
      groups: asked.map((each) => ({ groupId: each.groupId, topics: [], errorCode })),
    }),
  });
};

const noOffset = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '' };

function byTopic(fetched: readonly FetchedOffset[]) {
  const topics = new Map<string, ReturnType<typeof partitionOf>[]>();
  for (const each of fetched) {
    const partitions = topics.get(each.topic);
    if (partitions === undefined) topics.set(each.topic, [partitionOf(each)]);
    else partitions.push(partitionOf(each));
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }));
}

function partitionOf({ partition, committed, error }: FetchedOffset) {
  const errorCode = kafkaErrors[error].code;
  if (committed === undefined) return { partitionIndex: partition, errorCode, ...noOffset };
  const { offset, leaderEpoch, metadata } = committed;
  return {
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
    errorCode,
  };
}
