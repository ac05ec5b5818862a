import { kafkaErrors } from '../../protocol/errors.ts';
import { apis } from './apis.ts';
import type { BrokerConnection } from './connection.ts';
import type { PartitionCursor } from './partition-cursor.ts';

export interface EpochFindings {
  /** Why what was read is not in the log any more; undefined: it is, as far as was answered. */
  readonly lostBecause: string | undefined;
  /** Partitions that were not answered for, with the error. */
  readonly failed: readonly { readonly cursor: PartitionCursor; readonly errorCode: number }[];
}

/** Brokers up to Kafka 2.2 let only other brokers ask: with them nobody finds out. */
const versionMin = 3;
const consumerReplicaId = -1;

/**
 * Asks the leader where the records of the epoch end that each partition was last read in (KIP-320). Epochs only grow, and each
 * belongs to one leader: if that end is below the position, or the leader has never heard of the epoch, then what was
 * read has been cut off since, and other records may stand in its place. Rejects with a `WireClientError`.
 */
export async function checkEpochs(
  connection: BrokerConnection,
  topic: string,
  cursors: readonly PartitionCursor[],
): Promise<EpochFindings> {
  const asked = cursors.filter(({ readEpoch }) => readEpoch >= 0);
  const isServed = (connection.version(apis.offsetForLeaderEpoch) ?? 0) >= versionMin;
  if (!isServed) for (const cursor of asked) cursor.isUnchecked = false;
  if (!isServed || asked.length === 0) return { lostBecause: undefined, failed: [] };
  const partitions = asked.map(({ partition, leaderEpoch, readEpoch }) => ({
    partition,
    currentLeaderEpoch: leaderEpoch,
    leaderEpoch: readEpoch,
  }));
  const { topics } = await connection.request(apis.offsetForLeaderEpoch, {
    replicaId: consumerReplicaId,
    topics: [{ topic, partitions }],
  });
  const answers = new Map(
    topics
      .filter((each) => each.topic === topic)
      .flatMap((each) => each.partitions)
      .map((each) => [each.partition, each]),
  );
  const failed: { cursor: PartitionCursor; errorCode: number }[] = [];
  for (const cursor of asked) {
    const { partition, knownTo, readEpoch } = cursor;
    const answer = answers.get(partition);
    const errorCode = answer?.errorCode ?? kafkaErrors.UNKNOWN_SERVER_ERROR.code;
    if (answer === undefined || errorCode !== 0) {
      failed.push({ cursor, errorCode });
    } else if (answer.endOffset < 0 || answer.leaderEpoch < 0) {
      return {
        lostBecause: `partition ${partition} knows nothing of leader epoch ${readEpoch}, in which it was read up to ${knownTo}`,
        failed,
      };
    } else if (answer.endOffset < knownTo) {
      return {
        lostBecause: `partition ${partition} was truncated to offset ${answer.endOffset} and was read up to ${knownTo}`,
        failed,
      };
    } else {
      cursor.isUnchecked = false;
    }
  }
  return { lostBecause: undefined, failed };
}
