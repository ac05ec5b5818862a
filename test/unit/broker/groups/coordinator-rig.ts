import { type CommitRequest, GroupCoordinator } from '../../../../src/broker/groups/coordinator.ts';
import type {
  JoinReply,
  JoinRequest,
  MemberIdentity,
  SyncReply,
} from '../../../../src/broker/groups/group-messages.ts';
import { readRecord } from '../../../../src/broker/groups/group-records.ts';
import type { GroupSettings } from '../../../../src/broker/groups/settings.ts';
import type { StateEntry, StateLog, StateProducer } from '../../../../src/broker/state-log.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { KafkaError, type KafkaErrorName } from '../../../../src/protocol/errors.ts';
import type { NewRecord } from '../../../../src/protocol/record-batch.ts';
import { FakeClock, settled } from '../../../support/fake-clock.ts';

export const sessionMs = 10_000;

/** What a disk keeps over a restart; it fails or takes its time when a test says so. */
export class MemoryStateLog implements StateLog {
  readonly entries: StateEntry[] = [];
  /** Of the next appends, one each. */
  readonly refusals: KafkaErrorName[] = [];
  #held: Array<() => void> | undefined;

  hold(): void {
    this.#held ??= [];
  }

  async release(): Promise<void> {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const go of held) go();
    await settled();
  }

  async append(records: readonly NewRecord[], producer?: StateProducer): Promise<void> {
    const refusal = this.refusals.shift();
    if (refusal === undefined) {
      for (const { key, value, timestampMs } of records) {
        this.entries.push({ kind: 'record', key, value, timestampMs, transaction: producer });
      }
    }
    if (this.#held !== undefined) await new Promise<void>((resolve) => this.#held!.push(resolve));
    if (refusal !== undefined) throw new KafkaError(refusal, 'as the test wants it');
  }

  async replay(visit: (entry: StateEntry) => void): Promise<void> {
    for (const entry of this.entries) visit(entry);
  }

  /** Each entry from `start` on in a few words. */
  told(start = 0): string[] {
    return this.entries.slice(start).map((entry) => {
      if (entry.kind === 'marker') return entry.commit ? 'committed' : 'aborted';
      const record = readRecord(entry.key!, entry.value)!;
      if (record.kind === 'group') {
        if (record.state === undefined) return `${record.groupId} gone`;
        const { generationId, members } = record.state.snapshot;
        return `${record.groupId} ${generationId} of ${members.length}`;
      }
      const { groupId, topic, partition, committed } = record;
      return `${groupId} ${topic}-${partition} ${committed?.offset ?? 'gone'}`;
    });
  }
}

/** A coordinator over a log that outlives it, with time that a test lets pass. */
export class CoordinatorRig {
  readonly clock = new FakeClock();
  readonly log = new MemoryStateLog();
  /** Partitions that there are: of each topic so many. */
  readonly topics = new Map([
    ['t', 3],
    ['u', 1],
  ]);
  readonly #settings: Partial<GroupSettings>;
  coordinator!: GroupCoordinator;

  constructor(settings: Partial<GroupSettings> = {}) {
    this.#settings = settings;
    this.#open();
  }

  static async started(settings: Partial<GroupSettings> = {}): Promise<CoordinatorRig> {
    const rig = new CoordinatorRig(settings);
    await rig.coordinator.load();
    return rig;
  }

  /** The broker ends, and begins again on what is in the log. */
  async restart(): Promise<void> {
    await this.coordinator.stop();
    this.#open();
    await this.coordinator.load();
  }

  join(groupId: string, request: Partial<JoinRequest> = {}): Promise<JoinReply> {
    return this.coordinator.join(groupId, {
      memberId: '',
      groupInstanceId: null,
      clientId: 'client',
      clientHost: '/here',
      sessionTimeoutMs: sessionMs,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscriptionTo('t') }],
      knowsMemberIds: false,
      canSkipAssignment: false,
      ...request,
    });
  }

  sync(groupId: string, { memberId, generationId }: JoinReply, assignments: object = {}): Promise<SyncReply> {
    return this.coordinator.sync(groupId, {
      memberId,
      generationId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: new Map(Object.entries(assignments).map(([id, text]) => [id, Buffer.from(text)])),
    });
  }

  /** A group of one member, which is stable. */
  async stable(groupId: string, request: Partial<JoinRequest> = {}): Promise<JoinReply> {
    const joined = await this.join(groupId, request);
    await this.sync(groupId, joined, { [joined.memberId]: 'all' });
    return joined;
  }

  heartbeat(groupId: string, { memberId, generationId }: JoinReply): KafkaErrorName {
    return this.coordinator.heartbeat(groupId, { memberId, groupInstanceId: null }, generationId);
  }

  /** `offsets` as `t-0=5`; a `joined` member commits, or nobody in particular. */
  commit(
    groupId: string,
    offsets: string,
    { joined, ...request }: Partial<CommitRequest> & { joined?: JoinReply } = {},
  ): Promise<KafkaErrorName[]> {
    const nobody: MemberIdentity = { memberId: '', groupInstanceId: null };
    return this.coordinator.commitOffsets({
      ...nobody,
      groupId,
      generationId: -1,
      ...(joined === undefined ? {} : { memberId: joined.memberId, generationId: joined.generationId }),
      unknownGroup: 'ILLEGAL_GENERATION',
      ...request,
      offsets: offsets.split(' ').map((each) => {
        const [, topic = '', partition, offset] = /^(.+)-(\d+)=(-?\d+)$/.exec(each)!;
        return { topic, partition: Number(partition), offset: Number(offset), leaderEpoch: -1, metadata: null };
      }),
    });
  }

  /** What the group has, as `t-0=5`, or with an error in the place of the offset. */
  offsets(groupId: string, options = { requireStable: false }): string[] {
    return this.coordinator.fetchOffsets(groupId, null, options).map(({ topic, partition, committed, error }) => {
      return `${topic}-${partition}=${committed?.offset ?? error}`;
    });
  }

  /** As the transaction coordinator does: the marker into the log, and word of it. */
  endTransaction(producer: StateProducer, commit: boolean): void {
    this.log.entries.push({ kind: 'marker', producer, commit });
    this.coordinator.completeTransaction(producer.producerId, producer.producerEpoch, commit);
  }

  /** All that can be asked of it, to be compared over a restart: groups that never were more than a name do not outlive it. */
  state(): object {
    return this.coordinator
      .list()
      .map(({ groupId }) => ({
        ...this.coordinator.describe(groupId)!,
        offsets: this.offsets(groupId).sort(),
        stable: this.offsets(groupId, { requireStable: true }).sort(),
      }))
      .filter(({ protocolType, offsets }) => protocolType !== '' || offsets.length > 0)
      .sort((one, other) => (one.groupId < other.groupId ? -1 : 1));
  }

  #open(): void {
    this.coordinator = new GroupCoordinator({
      log: this.log,
      clock: this.clock,
      logger: createLogger('silent', { terminal: false }),
      settings: this.#settings,
      hasPartition: (topic, partition) => partition < (this.topics.get(topic) ?? 0),
    });
  }
}

/** What Kafka's consumers say of what they want: version, topics, user data. */
export function subscriptionTo(...topics: string[]): Buffer {
  const names = topics.flatMap((topic) => {
    const length = Buffer.alloc(2);
    length.writeInt16BE(Buffer.byteLength(topic));
    return [length, Buffer.from(topic)];
  });
  const count = Buffer.alloc(4);
  count.writeInt32BE(topics.length);
  return Buffer.concat([Buffer.from([0, 0]), count, ...names, Buffer.from('ffffffff', 'hex')]);
}

/** Whether the promise has settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const note = (): void => {
    done = true;
  };
  promise.then(note, note);
  await settled();
  return done;
}
