import fc from 'fast-check';
import { kafkaErrors } from '../../../../src/protocol/errors.ts';
import { deleteGroupsRequest, deleteGroupsResponse } from '../../../../src/protocol/messages/delete-groups.ts';
import { describeGroupsRequest, describeGroupsResponse } from '../../../../src/protocol/messages/describe-groups.ts';
import { heartbeatRequest, heartbeatResponse } from '../../../../src/protocol/messages/heartbeat.ts';
import { joinGroupRequest, joinGroupResponse } from '../../../../src/protocol/messages/join-group.ts';
import { leaveGroupRequest, leaveGroupResponse } from '../../../../src/protocol/messages/leave-group.ts';
import { listGroupsRequest, listGroupsResponse } from '../../../../src/protocol/messages/list-groups.ts';
import { offsetCommitRequest, offsetCommitResponse } from '../../../../src/protocol/messages/offset-commit.ts';
import { offsetDeleteRequest, offsetDeleteResponse } from '../../../../src/protocol/messages/offset-delete.ts';
import { offsetFetchRequest, offsetFetchResponse } from '../../../../src/protocol/messages/offset-fetch.ts';
import { syncGroupRequest, syncGroupResponse } from '../../../../src/protocol/messages/sync-group.ts';
import type { Message, MessageInput, MessageValue } from '../../../../src/protocol/schema.ts';
import { subscriptionTo } from './coordinator-rig.ts';

/** `line`: the connection that it goes over; one asks one thing at a time. */
export type Ask = <Q extends Message, S extends Message>(
  line: string,
  request: Q,
  response: S,
  version: number,
  body: MessageInput<Q>,
) => Promise<MessageValue<S>>;

/** Two clients: which of the members there are leads is up to chance in Kafka where more than one could. */
const clients = 2;

/** Whether a client says what it knows, or something that was never true. */
type Truth = 'true' | 'stale' | 'stranger';

export type Step =
  | {
      do: 'join';
      client: number;
      version: number;
      forgets: boolean;
      protocols: number;
      truth: Truth;
      sessionMs: number;
    }
  | { do: 'sync'; client: number; version: number; truth: Truth; protocolName: string }
  | { do: 'heartbeat'; client: number; version: number; truth: Truth }
  | { do: 'leave'; client: number; version: number; truth: Truth }
  | {
      do: 'commit';
      client: number;
      version: number;
      truth: Truth;
      nobody: boolean;
      partitions: number[];
      large: boolean;
    }
  | { do: 'fetch'; version: number; all: boolean }
  | { do: 'describe'; version: number }
  | { do: 'list'; version: number; states: string[]; types: string[] }
  | { do: 'delete offsets'; partitions: number[] }
  | { do: 'delete group'; version: number };

export interface Conversation {
  /** Of each client, whether it has an instance id. */
  readonly isStatic: readonly boolean[];
  readonly steps: readonly Step[];
}

const client = fc.nat(clients - 1);
const truth = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Truth>('true') },
  { weight: 1, arbitrary: fc.constantFrom<Truth>('stale', 'stranger') },
);
const partitions = fc.uniqueArray(fc.nat(2), { minLength: 1, maxLength: 3 });

function step<const Name extends string, T extends object>(name: Name, rest: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record({ do: fc.constant(name), ...rest }) as unknown as fc.Arbitrary<{ do: Name } & T>;
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: step('join', {
      client,
      version: fc.nat(9),
      forgets: fc.boolean(),
      protocols: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(4) }),
      truth,
      sessionMs: fc.oneof(
        { weight: 20, arbitrary: fc.constant(30_000) },
        { weight: 1, arbitrary: fc.constantFrom(5_999, 1_800_001) },
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: step('sync', {
      client,
      version: fc.nat(5),
      truth,
      protocolName: fc.oneof(
        { weight: 8, arbitrary: fc.constant('range') },
        { weight: 1, arbitrary: fc.constant('other') },
      ),
    }),
  },
  { weight: 3, arbitrary: step('heartbeat', { client, version: fc.nat(4), truth }) },
  { weight: 2, arbitrary: step('leave', { client, version: fc.nat(5), truth }) },
  {
    weight: 3,
    arbitrary: step('commit', {
      client,
      version: fc.integer({ min: 2, max: 9 }),
      truth,
      nobody: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      partitions,
      large: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    }),
  },
  { weight: 1, arbitrary: step('fetch', { version: fc.integer({ min: 1, max: 9 }), all: fc.boolean() }) },
  { weight: 2, arbitrary: step('describe', { version: fc.nat(6) }) },
  {
    weight: 1,
    arbitrary: step('list', {
      version: fc.nat(5),
      states: fc.subarray(['stable', 'EMPTY', 'PreparingRebalance', 'nonsense']),
      types: fc.subarray(['classic', 'Consumer', 'nonsense'], { maxLength: 1 }),
    }),
  },
  { weight: 1, arbitrary: step('delete offsets', { partitions }) },
  { weight: 1, arbitrary: step('delete group', { version: fc.nat(2) }) },
);

export const anyConversation: fc.Arbitrary<Conversation> = fc.record({
  isStatic: fc.array(fc.boolean(), { minLength: clients, maxLength: clients }),
  steps: fc.array(anyStep, { maxLength: 30, size: 'max' }),
});

interface Client {
  memberId: string;
  generationId: number;
  waitsIn: 'join' | 'sync' | undefined;
}

/**
 * What some clients ask of one coordinator, and what it says, put so that two coordinators can be compared: member ids are named after
 * the client that was given them, in their order.
 */
export class GroupTalk {
  readonly #groupId: string;
  readonly #topic: string;
  readonly #isStatic: readonly boolean[];
  readonly #ask: Ask;
  readonly #clients: Client[] = Array.from({ length: clients }, () => ({
    memberId: '',
    generationId: -1,
    waitsIn: undefined,
  }));
  readonly #names = new Map<string, string>();
  #lines: Array<() => string> = [];
  /** Questions without an answer. */
  outstanding = 0;

  constructor(
    { groupId, topic, isStatic }: { groupId: string; topic: string; isStatic: readonly boolean[] },
    ask: Ask,
  ) {
    this.#groupId = groupId;
    this.#topic = topic;
    this.#isStatic = isStatic;
    this.#ask = ask;
  }

  /** One for each client, and one for what can be asked while they wait. */
  static readonly lines: readonly string[] = [
    ...Array.from({ length: clients }, (_, index) => `client ${index}`),
    'aside',
  ];

  static readonly lookUp: Step = { do: 'describe', version: 6 };

  static isLookUp(step: Step): boolean {
    return step.do === 'fetch' || step.do === 'describe' || step.do === 'list';
  }

  /** A client that waits asks nothing else of the kind; and Kafka never answers the sync of a member that has left meanwhile. */
  canTake(step: Step): boolean {
    if (step.do === 'join' || step.do === 'sync') return this.#clients[step.client]!.waitsIn === undefined;
    if (step.do === 'leave') return this.#clients[step.client]!.waitsIn !== 'sync';
    return true;
  }

  take(step: Step): void {
    this.outstanding += 1;
    const say = (line: () => string): void => {
      this.outstanding -= 1;
      this.#lines.push(line);
    };
    this.#answerTo(step).then(say, (error: unknown) => say(() => `fails: ${error}`));
  }

  /** What was said since the last time, in an order of its own. */
  said(): string[] {
    return this.#lines
      .splice(0)
      .map((line) => line())
      .sort();
  }

  #answerTo(step: Step): Promise<() => string> {
    switch (step.do) {
      case 'join':
        return this.#join(step);
      case 'sync':
        return this.#sync(step);
      case 'heartbeat':
        return this.#heartbeat(step);
      case 'leave':
        return this.#leave(step);
      case 'commit':
        return this.#commit(step);
      case 'fetch':
        return this.#fetch(step);
      case 'describe':
        return this.#describe(step);
      case 'list':
        return this.#list(step);
      case 'delete offsets':
        return this.#deleteOffsets(step);
      case 'delete group':
        return this.#deleteGroup(step);
    }
  }

  async #join({ client: index, forgets, protocols, truth: says, sessionMs, ...step }: Step & { do: 'join' }) {
    const client = this.#clients[index]!;
    const isStatic = this.#isStatic[index]!;
    const version = isStatic ? Math.max(step.version, 5) : step.version;
    // A dynamic member that forgets its id would stay in the group as another one that nobody hears of.
    const memberId = says === 'stranger' ? 'stranger' : isStatic && forgets ? '' : client.memberId;
    const range = { name: 'range', metadata: subscriptionTo(this.#topic) };
    const other = { name: 'other', metadata: Buffer.from('x') };
    const sets = [[range], [range, other], [{ ...range, metadata: subscriptionTo('elsewhere') }], [other], [range]];
    client.waitsIn = 'join';
    const answer = await this.#ask(`client ${index}`, joinGroupRequest, joinGroupResponse, version, {
      groupId: this.#groupId,
      sessionTimeoutMs: sessionMs,
      rebalanceTimeoutMs: 60_000,
      memberId,
      groupInstanceId: this.#instanceOf(index),
      protocolType: protocols === 4 ? 'connect' : 'consumer',
      protocols: sets[protocols]!,
    });
    client.waitsIn = undefined;
    const { errorCode, generationId, members, leader, protocolName, protocolType, skipAssignment } = answer;
    const error = nameOf(errorCode);
    if (error === 'NONE' || error === 'MEMBER_ID_REQUIRED') {
      client.memberId = answer.memberId;
      this.#name(index, answer.memberId);
    }
    if (error === 'UNKNOWN_MEMBER_ID' && says === 'true') client.memberId = '';
    if (error === 'NONE') client.generationId = generationId;
    return () =>
      [
        `${index} joins ${version}: ${error}, ${this.#nameOf(answer.memberId)} of ${generationId}`,
        `${this.#nameOf(leader)} leads`,
        `${protocolType} ${protocolName} ${skipAssignment}`,
        ...members
          .map((each) => `${this.#nameOf(each.memberId)} ${each.groupInstanceId} ${each.metadata.toString('hex')}`)
          .sort(),
      ].join(', ');
  }

  async #sync({ client: index, truth: says, protocolName, ...step }: Step & { do: 'sync' }) {
    const client = this.#clients[index]!;
    const version = this.#isStatic[index] ? Math.max(step.version, 3) : step.version;
    client.waitsIn = 'sync';
    const answer = await this.#ask(`client ${index}`, syncGroupRequest, syncGroupResponse, version, {
      groupId: this.#groupId,
      ...this.#identity(index, says),
      protocolType: 'consumer',
      protocolName,
      assignments: this.#clients.flatMap(({ memberId }, other) => {
        return memberId === '' ? [] : [{ memberId, assignment: Buffer.from(`part ${other}`) }];
      }),
    });
    client.waitsIn = undefined;
    const { errorCode, assignment, ...rest } = answer;
    return () =>
      `${index} syncs ${version}: ${nameOf(errorCode)} ${rest.protocolType} ${rest.protocolName} ${assignment}`;
  }

  async #heartbeat({ client: index, truth: says, ...step }: Step & { do: 'heartbeat' }) {
    const version = this.#isStatic[index] ? Math.max(step.version, 3) : step.version;
    const body = { groupId: this.#groupId, ...this.#identity(index, says) };
    const { errorCode } = await this.#ask('aside', heartbeatRequest, heartbeatResponse, version, body);
    return () => `${index} heartbeat ${version}: ${nameOf(errorCode)}`;
  }

  async #leave({ client: index, truth: says, ...step }: Step & { do: 'leave' }) {
    const version = this.#isStatic[index] ? Math.max(step.version, 3) : step.version;
    const { memberId, groupInstanceId } = this.#identity(index, says);
    const body = version < 3 ? { memberId } : { members: [{ memberId, groupInstanceId }] };
    const asked = { groupId: this.#groupId, ...body };
    const { errorCode, members } = await this.#ask('aside', leaveGroupRequest, leaveGroupResponse, version, asked);
    return () => {
      const each = members.map(
        (one) => `${this.#nameOf(one.memberId)} ${one.groupInstanceId} ${nameOf(one.errorCode)}`,
      );
      return `${index} leaves ${version}: ${nameOf(errorCode)} ${each}`;
    };
  }

  async #commit({ client: index, truth: says, nobody, large, ...step }: Step & { do: 'commit' }) {
    const version = this.#isStatic[index] && !nobody ? Math.max(step.version, 7) : step.version;
    const { memberId, groupInstanceId, generationId } = this.#identity(index, says);
    const member = nobody ? {} : { memberId, groupInstanceId, generationIdOrMemberEpoch: generationId };
    // A group that nobody has joined is there after that in Kafka, but is not shown.
    const isLarge = large && !nobody && generationId > 0;
    const committedMetadata = isLarge ? 'x'.repeat(4_097) : `by ${index}`;
    const { topics } = await this.#ask('aside', offsetCommitRequest, offsetCommitResponse, version, {
      groupId: this.#groupId,
      ...member,
      topics: [
        {
          name: this.#topic,
          partitions: step.partitions.map((partitionIndex) => ({
            partitionIndex,
            committedOffset: 10 * version + partitionIndex,
            committedMetadata,
          })),
        },
      ],
    });
    return () => `${index} commits ${version}: ${outcomes(topics)}`;
  }

  async #fetch({ version, all }: Step & { do: 'fetch' }) {
    const topics = all && version >= 2 ? null : [{ name: this.#topic, partitionIndexes: [0, 1, 2] }];
    const asked = { groupId: this.#groupId, topics };
    const body = version >= 8 ? { groups: [asked] } : asked;
    const answer = await this.#ask('aside', offsetFetchRequest, offsetFetchResponse, version, body);
    const group = version >= 8 ? answer.groups[0]! : answer;
    return () => {
      const found = group.topics.flatMap((topic) => topic.partitions.map((each) => Object.values(each).join(' ')));
      return `offsets ${version}: ${nameOf(group.errorCode)} ${found.sort().join(', ')}`;
    };
  }

  async #describe({ version }: Step & { do: 'describe' }) {
    const body = { groups: [this.#groupId], includeAuthorizedOperations: version >= 3 };
    const answer = await this.#ask('aside', describeGroupsRequest, describeGroupsResponse, version, body);
    return () => {
      const { members, groupId, ...group } = answer.groups[0]!;
      const shown = members.map((each) => {
        const { memberId, memberMetadata, memberAssignment, clientHost, ...rest } = each;
        const bytes = `${memberMetadata.toString('hex')} ${memberAssignment}`;
        return `${this.#nameOf(memberId)} ${Object.values(rest).join(' ')} ${bytes}`;
      });
      const text = JSON.stringify(group).replaceAll(groupId, 'GROUP');
      return `described ${version}: ${text} ${shown.sort().join(', ')}`;
    };
  }

  async #list({ version, states, types }: Step & { do: 'list' }) {
    const filters = { ...(version >= 4 && { statesFilter: states }), ...(version >= 5 && { typesFilter: types }) };
    const answer = await this.#ask('aside', listGroupsRequest, listGroupsResponse, version, filters);
    const found = answer.groups.find(({ groupId }) => groupId === this.#groupId);
    return () => {
      const shown = found && [found.protocolType, found.groupState, found.groupType].join(' ');
      return `listed ${version}: ${nameOf(answer.errorCode)} ${shown}`;
    };
  }

  async #deleteOffsets({ partitions: asked }: Step & { do: 'delete offsets' }) {
    const { errorCode, topics } = await this.#ask('aside', offsetDeleteRequest, offsetDeleteResponse, 0, {
      groupId: this.#groupId,
      topics: [{ name: this.#topic, partitions: asked.map((partitionIndex) => ({ partitionIndex })) }],
    });
    return () => `offsets deleted: ${nameOf(errorCode)} ${outcomes(topics)}`;
  }

  async #deleteGroup({ version }: Step & { do: 'delete group' }) {
    const body = { groupsNames: [this.#groupId] };
    const { results } = await this.#ask('aside', deleteGroupsRequest, deleteGroupsResponse, version, body);
    return () => `deleted: ${results.map(({ errorCode }) => nameOf(errorCode))}`;
  }

  #instanceOf(index: number): string | null {
    return this.#isStatic[index] ? `instance ${index}` : null;
  }

  #identity(index: number, says: Truth): { memberId: string; groupInstanceId: string | null; generationId: number } {
    const { memberId, generationId } = this.#clients[index]!;
    return {
      memberId: says === 'stranger' ? 'stranger' : memberId,
      groupInstanceId: this.#instanceOf(index),
      generationId: says === 'stale' ? generationId + 1 : generationId,
    };
  }

  #name(index: number, memberId: string): void {
    if (this.#names.has(memberId)) return;
    const before = [...this.#names.values()].filter((name) => name.startsWith(`${index}#`));
    this.#names.set(memberId, `${index}#${before.length}`);
  }

  #nameOf(memberId: string): string {
    // One that its client has not been told of yet.
    const unnamed = memberId.length > 36 ? 'somebody' : memberId;
    return this.#names.get(memberId) ?? unnamed;
  }
}

interface Outcomes {
  readonly partitions: ReadonlyArray<{ readonly partitionIndex: number; readonly errorCode: number }>;
}

function outcomes(topics: readonly Outcomes[]): string {
  const all = topics.flatMap(({ partitions: each }) => each);
  return all
    .map(({ partitionIndex, errorCode }) => `${partitionIndex} ${nameOf(errorCode)}`)
    .sort()
    .join(', ');
}

function nameOf(errorCode: number): string {
  return Object.entries(kafkaErrors).find(([, { code }]) => code === errorCode)?.[0] ?? String(errorCode);
}
