import kafkajs, { type Admin, type GroupDescription, type PartitionAssigner } from 'kafkajs';
import { FatalError } from '../../kernel/errors.ts';
import { type KafkaConnection, kafkaClient } from '../../log/kafka/client.ts';
import type { OffsetTarget, TopicPartitions } from '../value-types.ts';
import { asFatal, silentLogger, untilReady, withAdmin } from './cluster-admin.ts';
import { type PartitionBounds, partitionBounds, topicMetadata } from './topics.ts';

export interface GroupSummary {
  readonly group: string;
  /** `consumer` for consumer groups; Kafka Connect and others have their own. */
  readonly type: string;
  /** As Kafka names it; undefined where it does not tell (see `untold`). */
  readonly state: string | undefined;
  readonly members: number | undefined;
}

export interface GroupMember {
  readonly memberId: string;
  readonly clientId: string;
  readonly host: string;
  readonly assignment: Readonly<Record<string, readonly number[]>>;
}

export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Undefined where the topic is gone. */
  readonly end: number | undefined;
  readonly lag: number | undefined;
}

export interface GroupDetails {
  readonly group: string;
  readonly state: string | undefined;
  readonly protocol: string | undefined;
  readonly members: readonly GroupMember[];
  readonly offsets: readonly GroupOffset[];
}

export interface OffsetChange {
  readonly topic: string;
  readonly partition: number;
  /** Undefined where the group has none. */
  readonly before: number | undefined;
  readonly after: number;
}

/**
 * Groups of the consumer protocol of KIP-848 are listed, but the classic DescribeGroups that kafkajs sends calls them dead,
 * as it does a group that does not exist.
 */
const untold = 'Dead';

export async function listGroups(connection: KafkaConnection): Promise<GroupSummary[]> {
  return withAdmin(connection, 'to list groups', async (admin) => {
    const { groups } = await admin.listGroups();
    const described = new Map(
      (
        await describe(
          admin,
          groups.map(({ groupId }) => groupId),
        )
      ).map((group) => [group.groupId, group]),
    );
    return groups
      .map(({ groupId, protocolType }) => {
        const group = described.get(groupId);
        const isTold = group !== undefined && group.state !== untold;
        return {
          group: groupId,
          type: protocolType,
          state: isTold ? group.state : undefined,
          members: isTold ? group.members.length : undefined,
        };
      })
      .sort((a, b) => (a.group < b.group ? -1 : 1));
  });
}

export async function describeGroups(connection: KafkaConnection, names: readonly string[]): Promise<GroupDetails[]> {
  return withAdmin(connection, 'to describe groups', async (admin) => {
    const groups = await existing(admin, names);
    const ends = new Map<string, Map<number, PartitionBounds>>();
    const details: GroupDetails[] = [];
    for (const group of groups) {
      const committed = await committedOffsets(admin, group.groupId);
      for (const { topic } of committed) if (!ends.has(topic)) ends.set(topic, await boundsIfAny(admin, topic));
      details.push({
        group: group.groupId,
        state: group.state === untold ? undefined : group.state,
        protocol: group.protocol || undefined,
        members: group.members.map((member) => ({
          memberId: member.memberId,
          clientId: member.clientId,
          host: member.clientHost.replace(/^\//, ''),
          assignment: assignmentOf(group, member.memberAssignment),
        })),
        offsets: committed.map(({ topic, partition, offset }) => {
          const end = ends.get(topic)?.get(partition)?.end;
          return { topic, partition, offset, end, lag: end === undefined ? undefined : Math.max(0, end - offset) };
        }),
      });
    }
    return details;
  });
}

export async function deleteGroup(connection: KafkaConnection, group: string): Promise<void> {
  await withAdmin(connection, `to delete group "${group}"`, async (admin) => {
    await existing(admin, [group]);
    try {
      await admin.deleteGroups([group]);
    } catch (error) {
      // The answer for the group stands beside a message that says nothing.
      const { groups } = error as { groups?: ReadonlyArray<{ error?: Error }> };
      throw groups?.[0]?.error ?? error;
    }
  });
}

/** Where each partition's offset would go. Rejects for a group with members, and for topics and partitions there are none of. */
export async function planReset(
  connection: KafkaConnection,
  group: string,
  topics: readonly TopicPartitions[],
  target: OffsetTarget,
): Promise<OffsetChange[]> {
  return withAdmin(connection, `to reset the offsets of group "${group}"`, async (admin) => {
    const [description] = await describe(admin, [group]);
    if (description !== undefined && !['Empty', 'Dead'].includes(description.state)) {
      const { members, state } = description;
      throw new FatalError(
        `group "${group}" has ${members.length} member(s) and is ${state}: stop its consumers before its offsets are reset`,
      );
    }
    await topicMetadata(
      admin,
      topics.map(({ topic }) => topic),
    );
    const present = new Map(
      (await committedOffsets(admin, group)).map(({ topic, partition, offset }) => [`${topic}:${partition}`, offset]),
    );
    const changes: OffsetChange[] = [];
    for (const { topic, partitions } of topics) {
      const targets = await offsetsAt(admin, topic, target);
      for (const partition of partitions ?? targets.keys()) {
        const after = targets.get(partition);
        if (after === undefined) throw new FatalError(`topic "${topic}" has no partition ${partition}`);
        changes.push({ topic, partition, before: present.get(`${topic}:${partition}`), after });
      }
    }
    return changes;
  });
}

/**
 * Commits offsets for a group without members. kafkajs commits only as a member, so this joins the group for a moment, under an
 * assignment protocol that no consumer speaks: should one have come in between, the broker refuses the join with
 * INCONSISTENT_GROUP_PROTOCOL instead of starting a rebalance.
 */
export async function commitOffsets(
  connection: KafkaConnection,
  group: string,
  changes: readonly OffsetChange[],
): Promise<void> {
  const kafka = kafkaClient(connection, silentLogger, { requestTimeoutMs: 30_000, retries: 3 });
  const consumer = kafka.consumer({
    groupId: group,
    allowAutoTopicCreation: false,
    partitionAssigners: [nothingAssigner],
    // With nothing to read kafkajs only leaves when so long is over.
    maxWaitTimeInMs: 50,
    retry: { retries: 3, restartOnFailure: async () => false },
  });
  let crash: unknown;
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    crash ??= payload.error;
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [...new Set(changes.map(({ topic }) => topic))] });
    // Resolves when the group was joined or could not be.
    await consumer.run({ autoCommit: false, eachBatch: async () => {} });
    if (crash !== undefined) throw crash;
    await consumer.commitOffsets(
      changes.map(({ topic, partition, after }) => ({ topic, partition, offset: String(after) })),
    );
    if (crash !== undefined) throw crash;
  } catch (error) {
    throw asFatal(error, `to reset the offsets of group "${group}"`, connection);
  } finally {
    await consumer.disconnect().catch(() => undefined);
  }
}

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const version = 0;
const userData = Buffer.alloc(0);

/** A member that commits and reads nothing. */
const nothingAssigner: PartitionAssigner = () => ({
  name: 'bitacora-reset-offsets',
  version,
  assign: async ({ members }) =>
    members.map(({ memberId }) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version, assignment: {}, userData }),
    })),
  protocol: ({ topics }) => ({
    name: 'bitacora-reset-offsets',
    metadata: MemberMetadata.encode({ version, topics: [...topics], userData }),
  }),
});

async function describe(admin: Admin, groups: string[]): Promise<GroupDescription[]> {
  return groups.length === 0 ? [] : (await untilReady(() => admin.describeGroups(groups))).groups;
}

/** Descriptions of groups that all exist; a `FatalError` names the first that does not. */
async function existing(admin: Admin, names: readonly string[]): Promise<GroupDescription[]> {
  const groups = await describe(admin, [...names]);
  const doubtful = groups.filter(({ state }) => state === untold);
  if (doubtful.length === 0) return groups;
  const listed = new Set((await admin.listGroups()).groups.map(({ groupId }) => groupId));
  const missing = doubtful.find(({ groupId }) => !listed.has(groupId));
  if (missing !== undefined) {
    throw new FatalError(`there is no group "${missing.groupId}": bitacora groups list shows those there are`);
  }
  return groups;
}

interface Committed {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export async function committedOffsets(admin: Admin, groupId: string): Promise<Committed[]> {
  const topics = await untilReady(() => admin.fetchOffsets({ groupId }));
  return topics
    .flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })),
    )
    .filter(({ offset }) => offset >= 0)
    .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

/** Empty for a topic that is gone, whose offsets groups keep for a while. */
async function boundsIfAny(admin: Admin, topic: string): Promise<Map<number, PartitionBounds>> {
  const { topics } = await admin.fetchTopicMetadata();
  return topics.some(({ name }) => name === topic) ? partitionBounds(admin, topic) : new Map();
}

/** An offset outside what a partition holds becomes its nearest bound, as it would for a consumer. */
async function offsetsAt(admin: Admin, topic: string, target: OffsetTarget): Promise<Map<number, number>> {
  const bounds = await partitionBounds(admin, topic);
  if (target.kind === 'time') {
    // kafkajs answers the partition's end where nothing is as young.
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, target.timestampMs);
    return new Map(
      found.map(({ partition, offset }) => [partition, Number(offset)] as const).sort(([a], [b]) => a - b),
    );
  }
  return new Map(
    [...bounds].map(([partition, { earliest, end }]) => {
      if (target.kind === 'earliest') return [partition, earliest];
      if (target.kind === 'latest') return [partition, end];
      return [partition, Math.min(end, Math.max(earliest, target.offset))];
    }),
  );
}

function assignmentOf(group: GroupDescription, bytes: Buffer): Readonly<Record<string, readonly number[]>> {
  // The bytes mean something else in groups of other types, and are empty while a rebalance is under way.
  if (group.protocolType !== 'consumer' || bytes.length === 0) return {};
  const assignment = MemberAssignment.decode(bytes)?.assignment ?? {};
  return Object.fromEntries(
    Object.entries(assignment).map(([topic, partitions]) => [topic, partitions.toSorted((a, b) => a - b)]),
  );
}
