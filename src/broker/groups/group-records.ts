import {
  bytes,
  int32,
  int64,
  type Message,
  type MessageInput,
  message,
  string,
  structs,
  uuid,
} from '../../protocol/schema.ts';
import { WireError, WireReader, WireWriter } from '../../protocol/wire.ts';
import type { GroupSnapshot } from './group-messages.ts';
import type { CommittedOffset } from './offset-table.ts';

/*
 * The records of Kafka's `__consumer_offsets`, as its group coordinator defines them: a key is an int16 that says of what it is, and
 * its fields; a value is an int16 version and its fields; no value says that it is gone. Kafka's own tools read them.
 */

const keyKinds = { offset: 1, group: 2 } as const;
/** Offsets had another number before they could have an expiry of their own; the fields are the same. */
const oldOffsetKind = 0;

const offsetKey = message(
  'OffsetCommitKey',
  keyKinds.offset,
  { versions: '0', flexible: 'none' },
  {
    group: string('0'),
    topic: string('0'),
    partition: int32('0'),
  },
);

const offsetValue = message(
  'OffsetCommitValue',
  keyKinds.offset,
  { versions: '0-4', flexible: '4+' },
  {
    offset: int64('0+'),
    leaderEpoch: int32('3+', { default: -1 }),
    metadata: string('0+'),
    commitTimestamp: int64('0+'),
    expireTimestamp: int64('1', { default: -1 }),
    topicId: uuid('4+', { tag: 0 }),
  },
);

const groupKey = message(
  'GroupMetadataKey',
  keyKinds.group,
  { versions: '0', flexible: 'none' },
  {
    group: string('0'),
  },
);

const groupValue = message(
  'GroupMetadataValue',
  keyKinds.group,
  { versions: '0-4', flexible: '4+' },
  {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: string('0+', { nullable: '0+' }),
    leader: string('0+', { nullable: '0+' }),
    currentStateTimestamp: int64('2+', { default: -1 }),
    members: structs({
      memberId: string('0+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null }),
      clientId: string('0+'),
      clientHost: string('0+'),
      rebalanceTimeout: int32('1+', { default: -1 }),
      sessionTimeout: int32('0+'),
      subscription: bytes('0+'),
      assignment: bytes('0+'),
    })('0+'),
  },
);

/** The last versions without tagged fields, as Kafka writes them, so that an older Kafka could read them too (KIP-915). */
const writtenVersion = 3;
/** The only version that has room for when an offset expires by itself. */
const expiringVersion = 1;

export interface KeyAndValue {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

/** Bytes of a name, also of a member id with what is put behind the name of its client: lengths are int16 here, and longer on the wire. */
const nameBytesMax = 32_000;

export function fitsRecords(...names: ReadonlyArray<string | null>): boolean {
  return names.every((name) => name === null || Buffer.byteLength(name) <= nameBytesMax);
}

/** What a record of the log says. */
export type GroupRecord =
  | {
      readonly kind: 'offset';
      readonly groupId: string;
      readonly topic: string;
      readonly partition: number;
      readonly committed: CommittedOffset | undefined;
    }
  | { readonly kind: 'group'; readonly groupId: string; readonly state: LoggedGroup | undefined };

export interface LoggedGroup {
  readonly snapshot: GroupSnapshot;
  /** When it came to be as it is; undefined: old records do not say. */
  readonly sinceMs: number | undefined;
}

/** Without `committed` it says that the offset is gone. */
export function offsetRecord(
  groupId: string,
  topic: string,
  partition: number,
  committed: CommittedOffset | undefined,
): KeyAndValue {
  const key = encode(offsetKey, { group: groupId, topic, partition }, keyKinds.offset, 0);
  if (committed === undefined) return { key, value: null };
  const { offset, leaderEpoch, metadata, committedAtMs, expiresAtMs } = committed;
  const version = expiresAtMs === undefined ? writtenVersion : expiringVersion;
  const value = {
    offset,
    leaderEpoch,
    metadata,
    commitTimestamp: committedAtMs,
    ...(expiresAtMs === undefined ? {} : { expireTimestamp: expiresAtMs }),
  };
  return { key, value: encode(offsetValue, value, version, version) };
}

/** Without `state` it says that the group is gone. */
export function groupRecord(groupId: string, state: LoggedGroup | undefined): KeyAndValue {
  const key = encode(groupKey, { group: groupId }, keyKinds.group, 0);
  if (state === undefined) return { key, value: null };
  const { snapshot, sinceMs } = state;
  const value = {
    protocolType: snapshot.protocolType ?? '',
    generation: snapshot.generationId,
    protocol: snapshot.protocolName ?? null,
    leader: snapshot.leaderId ?? null,
    currentStateTimestamp: sinceMs ?? -1,
    members: snapshot.members.map(({ rebalanceTimeoutMs, sessionTimeoutMs, ...member }) => ({
      ...member,
      rebalanceTimeout: rebalanceTimeoutMs,
      sessionTimeout: sessionTimeoutMs,
    })),
  };
  return { key, value: encode(groupValue, value, writtenVersion, writtenVersion) };
}

/** undefined: a record of something that is not kept here. Throws a `WireError` for one that is broken. */
export function readRecord(key: Buffer, value: Buffer | null): GroupRecord | undefined {
  const kind = new WireReader(key).int16();
  const fields = key.subarray(2);
  if (kind === keyKinds.offset || kind === oldOffsetKind) {
    const { group: groupId, topic, partition } = offsetKey.decode(fields, 0);
    return { kind: 'offset', groupId, topic, partition, committed: value === null ? undefined : readOffset(value) };
  }
  if (kind === keyKinds.group) {
    const { group: groupId } = groupKey.decode(fields, 0);
    return { kind: 'group', groupId, state: value === null ? undefined : readGroup(value) };
  }
  return undefined;
}

function readOffset(value: Buffer): CommittedOffset {
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp } = decodeValue(offsetValue, value);
  return {
    offset,
    leaderEpoch,
    metadata,
    committedAtMs: commitTimestamp,
    expiresAtMs: expireTimestamp === -1 ? undefined : expireTimestamp,
  };
}

function readGroup(value: Buffer): LoggedGroup {
  const { protocolType, generation, protocol, leader, currentStateTimestamp, members } = decodeValue(groupValue, value);
  return {
    snapshot: {
      protocolType: protocolType === '' ? undefined : protocolType,
      generationId: generation,
      protocolName: protocol ?? undefined,
      leaderId: leader ?? undefined,
      members: members.map(({ rebalanceTimeout, sessionTimeout, subscription, assignment, ...member }) => ({
        ...member,
        // The first version had but one of them.
        rebalanceTimeoutMs: rebalanceTimeout === -1 ? sessionTimeout : rebalanceTimeout,
        sessionTimeoutMs: sessionTimeout,
        // The record's memory may be a piece of a file that was read; a group lives for long.
        subscription: Buffer.from(subscription),
        assignment: Buffer.from(assignment),
      })),
    },
    sinceMs: currentStateTimestamp === -1 ? undefined : currentStateTimestamp,
  };
}

function encode<M extends Message>(schema: M, value: MessageInput<M>, prefix: number, version: number): Buffer {
  const writer = new WireWriter();
  writer.int16(prefix);
  schema.encode(writer, value as never, version);
  return writer.finish();
}

function decodeValue<M extends Message>(schema: M, value: Buffer): ReturnType<M['decode']> {
  const version = new WireReader(value).int16();
  if (version < 0) throw new WireError(`${schema.name} has no version ${version}`);
  return schema.decode(value.subarray(2), version) as ReturnType<M['decode']>;
}
