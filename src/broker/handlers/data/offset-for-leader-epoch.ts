import {
  offsetForLeaderEpochRequest,
  offsetForLeaderEpochResponse,
} from '../../../protocol/messages/offset-for-leader-epoch.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { Topics } from '../../topics/topics.ts';
import { checkLeaderEpoch, partitionOf } from './partition-of.ts';

/** OffsetForLeaderEpoch (key 23): where the records of an epoch end, by which a reader finds out what was cut off (KIP-320). */
export function offsetForLeaderEpoch({ topics, faults }: { topics: Topics; faults: Faults }) {
  return handler({
    request: offsetForLeaderEpochRequest,
    response: offsetForLeaderEpochResponse,
    async handle(_context, { topics: wanted }) {
      const answered = wanted.map(async ({ topic, partitions }) => ({
        topic,
        partitions: await Promise.all(
          partitions.map(async ({ partition, currentLeaderEpoch, leaderEpoch }) => ({
            partition,
            ...(await faults.part(`a look-up of an epoch in ${topic}-${partition}`, () => {
              const log = partitionOf(topics, topic, partition);
              checkLeaderEpoch(topics, currentLeaderEpoch);
              return log.endOffsetForEpoch(leaderEpoch);
            })),
          })),
        ),
      }));
      return { topics: await Promise.all(answered) };
    },
  });
}
