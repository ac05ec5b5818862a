import { KafkaError } from '../../../protocol/errors.ts';
import { listOffsetsRequest, listOffsetsResponse } from '../../../protocol/messages/list-offsets.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { PartitionLog } from '../../storage/partition-log.ts';
import type { Topics } from '../../topics/topics.ts';
import { checkLeaderEpoch, partitionOf } from './partition-of.ts';

/** Times that mean a place (KIP-79, KIP-734, KIP-405, KIP-1005). */
const latest = -1;
const earliest = -2;
const maxTimestamp = -3;
/** There is one tier of storage, so the earliest that is local is the earliest, and nothing was ever moved away. */
const earliestLocal = -4;
const latestTiered = -5;

interface Place {
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}
const nowhere: Place = { offset: -1, timestamp: -1, leaderEpoch: -1 };

/** ListOffsets (key 2): the offset of a place or a time. */
export function listOffsets({ topics, faults }: { topics: Topics; faults: Faults }) {
  const find = async (log: PartitionLog, timestamp: number, isCommitted: boolean): Promise<Place> => {
    const end = isCommitted ? log.lastStableOffset : log.endOffset;
    if (timestamp === latest) return { offset: end, timestamp: -1, leaderEpoch: topics.leaderEpoch };
    if (timestamp === earliest || timestamp === earliestLocal) {
      const offset = log.logStartOffset;
      return { offset, timestamp: -1, leaderEpoch: log.epochAt(offset) };
    }
    if (timestamp === latestTiered) return nowhere;
    if (timestamp < 0 && timestamp !== maxTimestamp) {
      throw new KafkaError('UNSUPPORTED_VERSION', `The time ${timestamp} has no meaning here.`);
    }
    const found = timestamp === maxTimestamp ? await log.offsetOfMaxTimestamp() : await log.offsetForTime(timestamp);
    if (found === undefined || found.offset >= end) return nowhere;
    return { offset: found.offset, timestamp: found.timestampMs, leaderEpoch: found.leaderEpoch };
  };

  return handler({
    request: listOffsetsRequest,
    response: listOffsetsResponse,
    async handle(_context, { topics: wanted, isolationLevel }) {
      const answered = wanted.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map(async ({ partitionIndex, currentLeaderEpoch, timestamp }) => {
            const place = await faults.part(`a look-up of an offset in ${name}-${partitionIndex}`, () => {
              const log = partitionOf(topics, name, partitionIndex);
              checkLeaderEpoch(topics, currentLeaderEpoch);
              return find(log, timestamp, isolationLevel === 1);
            });
            return { partitionIndex, ...place };
          }),
        ),
      }));
      return { topics: await Promise.all(answered) };
    },
  });
}
