import { expect } from 'chai';
import type { GroupCoordinator } from '../../../../src/broker/groups/coordinator.ts';
import { deleteGroups } from '../../../../src/broker/handlers/groups/delete-groups.ts';
import { describeGroups } from '../../../../src/broker/handlers/groups/describe-groups.ts';
import { heartbeat } from '../../../../src/broker/handlers/groups/heartbeat.ts';
import { joinGroup } from '../../../../src/broker/handlers/groups/join-group.ts';
import { leaveGroup } from '../../../../src/broker/handlers/groups/leave-group.ts';
import { listGroups } from '../../../../src/broker/handlers/groups/list-groups.ts';
import { offsetCommit } from '../../../../src/broker/handlers/groups/offset-commit.ts';
import { offsetDelete } from '../../../../src/broker/handlers/groups/offset-delete.ts';
import { offsetFetch } from '../../../../src/broker/handlers/groups/offset-fetch.ts';
import { syncGroup } from '../../../../src/broker/handlers/groups/sync-group.ts';
import { txnOffsetCommit } from '../../../../src/broker/handlers/groups/txn-offset-commit.ts';
import type { Handler } from '../../../../src/broker/server/handler.ts';
import { type KafkaErrorName, kafkaErrors } from '../../../../src/protocol/errors.ts';
import { versionRange } from '../../../../src/protocol/schema.ts';
import { askHandler } from '../../../support/broker/ask-handler.ts';
import { CoordinatorRig, sessionMs, subscriptionTo } from './coordinator-rig.ts';

interface Joined {
  errorCode: number;
  memberId: string;
  generationId: number;
  leader: string;
  protocolName: string | null;
  protocolType: string | null;
  skipAssignment: boolean;
  members: Array<{ memberId: string; metadata: Buffer }>;
}

interface Partitions {
  topics: Array<{ name: string; partitions: Array<Record<string, unknown>> }>;
}

const codeOf = (error: KafkaErrorName): number => kafkaErrors[error].code;
const subscription = subscriptionTo('t');

describe('requests about groups', () => {
  let rig: CoordinatorRig;
  let refusal: KafkaErrorName;

  beforeEach(async () => {
    rig = await CoordinatorRig.started();
    refusal = 'NONE';
  });

  afterEach(() => rig.coordinator.stop());

  const handlers: Array<(groups: GroupCoordinator) => Handler> = [
    joinGroup,
    syncGroup,
    heartbeat,
    leaveGroup,
    offsetCommit,
    offsetFetch,
    describeGroups,
    listGroups,
    deleteGroups,
    offsetDelete,
    (groups) => txnOffsetCommit(groups, { verify: () => refusal }),
  ];

  function ask<T>(make: (groups: GroupCoordinator) => Handler, version: number, body: object): Promise<T> {
    return askHandler<T>(make(rig.coordinator), version, body);
  }

  function eachVersion(make: (groups: GroupCoordinator) => Handler, test: (version: number) => Promise<void>): void {
    const { from, to } = versionRange(make(new CoordinatorRig().coordinator).request.versions);
    for (let version = from; version <= to; version += 1) it(`in version ${version}`, () => test(version));
  }

  function join(version: number, body: object = {}): Promise<Joined> {
    return ask<Joined>(joinGroup, version, {
      groupId: 'g',
      sessionTimeoutMs: sessionMs,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription }],
      ...body,
    });
  }

  /** A group of one member, which is stable. */
  async function stable(): Promise<Joined> {
    const joined = await join(3);
    await ask(syncGroup, 3, {
      groupId: 'g',
      ...joined,
      assignments: [{ memberId: joined.memberId, assignment: Buffer.from('all') }],
    });
    return joined;
  }

  describe('JoinGroup lets a member in', () => {
    eachVersion(joinGroup, async (version) => {
      let joined = await join(version);
      if (version >= 4) {
        expect(joined).to.include({ errorCode: codeOf('MEMBER_ID_REQUIRED'), generationId: -1 });
        joined = await join(version, { memberId: joined.memberId });
      }
      expect(joined).to.include({ errorCode: 0, generationId: 1, protocolName: 'range', skipAssignment: false });
      expect(joined.leader).to.equal(joined.memberId);
      expect(joined.protocolType).to.equal(version >= 7 ? 'consumer' : null);
      expect(joined.members.map(({ metadata }) => metadata.toString('hex'))).to.deep.equal([
        subscription.toString('hex'),
      ]);
      expect(rig.coordinator.describe('g')!.members[0]).to.include({ clientId: 'test', clientHost: '/::1' });
    });
  });

  describe('JoinGroup refuses a member', () => {
    eachVersion(joinGroup, async (version) => {
      expect(await join(version, { memberId: 'nobody' })).to.deep.include({
        errorCode: codeOf('UNKNOWN_MEMBER_ID'),
        memberId: 'nobody',
        protocolName: version >= 7 ? null : '',
        members: [],
      });
      await rig.coordinator.stop();
      expect(await join(version, { memberId: 'm' })).to.include({
        errorCode: codeOf('COORDINATOR_NOT_AVAILABLE'),
        memberId: 'm',
      });
    });
  });

  it('JoinGroup tells a leader that came back to skip the assignment from version 9 on', async () => {
    for (const version of [8, 9]) {
      const group = { groupId: `g${version}`, groupInstanceId: 'one' };
      const first = await join(version, group);
      await ask(syncGroup, 3, { ...first, ...group });
      const second = await join(version, group);
      expect(second).to.include({ errorCode: 0, skipAssignment: version >= 9 });
      expect(second.leader).to.equal(version >= 9 ? second.memberId : first.memberId);
    }
  });

  it('JoinGroup waits for the others as long as the session where a version or a client does not say how long', async () => {
    for (const [version, rebalanceTimeoutMs] of [
      [0, 1],
      [3, -1],
      [3, 0],
    ] as const) {
      const groupId = `g${version}${rebalanceTimeoutMs}`;
      const first = await join(version, { groupId, rebalanceTimeoutMs });
      const joining = join(version, { groupId, rebalanceTimeoutMs });
      const asked = { groupId, generationId: first.generationId, memberId: first.memberId };
      for (let passedMs = 0; passedMs < sessionMs - 1_000; passedMs += 1_000) {
        await rig.clock.pass(1_000);
        expect(await ask(heartbeat, 4, asked)).to.include({ errorCode: codeOf('REBALANCE_IN_PROGRESS') });
      }
      await rig.clock.pass(1_000);
      expect((await joining).members).to.have.length(1);
    }
  });

  describe('SyncGroup gives a member its part', () => {
    eachVersion(syncGroup, async (version) => {
      const joined = await join(3);
      const body = {
        groupId: 'g',
        generationId: joined.generationId,
        memberId: joined.memberId,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: [{ memberId: joined.memberId, assignment: Buffer.from('all') }],
      };
      const answer = await ask<{ errorCode: number; assignment: Buffer; protocolName: string }>(
        syncGroup,
        version,
        body,
      );
      expect(answer.errorCode).to.equal(0);
      expect(answer.assignment.toString()).to.equal('all');
      expect(answer.protocolName).to.equal(version >= 5 ? 'range' : null);
      expect(await ask(syncGroup, version, { ...body, generationId: 9 })).to.include({
        errorCode: codeOf('ILLEGAL_GENERATION'),
      });
      if (version < 5) return;
      for (const missing of ['protocolType', 'protocolName']) {
        expect(await ask(syncGroup, version, { ...body, [missing]: null })).to.include({
          errorCode: codeOf('INCONSISTENT_GROUP_PROTOCOL'),
        });
      }
    });
  });

  describe('Heartbeat says whether a member is one', () => {
    eachVersion(heartbeat, async (version) => {
      const { memberId, generationId } = await stable();
      expect(await ask(heartbeat, version, { groupId: 'g', memberId, generationId })).to.include({ errorCode: 0 });
      expect(await ask(heartbeat, version, { groupId: 'g', memberId: 'm', generationId })).to.include({
        errorCode: codeOf('UNKNOWN_MEMBER_ID'),
      });
    });
  });

  describe('LeaveGroup lets members go', () => {
    eachVersion(leaveGroup, async (version) => {
      const { memberId } = await stable();
      const leave = (id: string) => {
        const body =
          version < 3 ? { memberId: id } : { members: [{ memberId: id, reason: 'done' }, { memberId: 'x' }] };
        return ask<{ errorCode: number; members: object[] }>(leaveGroup, version, { groupId: 'g', ...body });
      };
      const unknown = codeOf('UNKNOWN_MEMBER_ID');
      const stranger = { memberId: 'x', groupInstanceId: null, errorCode: unknown };
      const answer = await leave(memberId);
      expect(answer.errorCode).to.equal(0);
      if (version >= 3) {
        expect(answer.members).to.deep.equal([{ memberId, groupInstanceId: null, errorCode: 0 }, stranger]);
      }
      expect(rig.coordinator.describe('g')!.state).to.equal('Empty');
      const again = await leave('x');
      if (version < 3) expect(again.errorCode).to.equal(unknown);
      else expect(again).to.deep.include({ errorCode: 0, members: [stranger, stranger] });
      expect(await ask(leaveGroup, version, { groupId: '', memberId: 'm', members: [] })).to.deep.include({
        errorCode: codeOf('INVALID_GROUP_ID'),
      });
    });
  });

  const offsets = [
    {
      name: 't',
      partitions: [
        { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: 2, committedMetadata: 'so far' },
        { partitionIndex: 1, committedOffset: 6, committedMetadata: null },
      ],
    },
    { name: 'x', partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }] },
    { name: 'u', partitions: [{ partitionIndex: 0, committedOffset: 8, committedMetadata: '' }] },
  ];

  const codesOf = ({ topics }: Partitions): object =>
    topics.map(({ name, partitions }) => [name, ...partitions.map(({ errorCode }) => errorCode)]);

  describe('OffsetCommit keeps offsets', () => {
    eachVersion(offsetCommit, async (version) => {
      const body = { groupId: 'g', generationIdOrMemberEpoch: -1, topics: offsets };
      expect(codesOf(await ask(offsetCommit, version, body))).to.deep.equal([
        ['t', 0, 0],
        ['x', codeOf('UNKNOWN_TOPIC_OR_PARTITION')],
        ['u', 0],
      ]);
      expect(rig.offsets('g')).to.deep.equal(['t-0=5', 't-1=6', 'u-0=8']);
      const [first] = rig.coordinator.fetchOffsets('g', null, { requireStable: true });
      expect(first!.committed).to.include({ leaderEpoch: version >= 6 ? 2 : -1, metadata: 'so far' });
      const stranger = { ...body, groupId: 'h', generationIdOrMemberEpoch: 3, memberId: 'm' };
      const code = codeOf(version >= 9 ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION');
      expect(codesOf(await ask(offsetCommit, version, stranger))).to.deep.equal([
        ['t', code, code],
        ['x', codeOf('UNKNOWN_TOPIC_OR_PARTITION')],
        ['u', code],
      ]);
    });
  });

  it('OffsetCommit keeps them as long as an old client says', async () => {
    await ask(offsetCommit, 4, { groupId: 'g', topics: offsets, retentionTimeMs: 1_000 });
    await ask(offsetCommit, 4, { groupId: 'h', topics: offsets, retentionTimeMs: -1 });
    await rig.clock.leap(600_000);
    expect([rig.offsets('g'), rig.offsets('h').length]).to.deep.equal([[], 3]);
  });

  describe('OffsetFetch tells offsets', () => {
    eachVersion(offsetFetch, async (version) => {
      await ask(offsetCommit, 6, { groupId: 'g', topics: offsets });
      const topics = [{ name: 't', partitionIndexes: [0, 2] }];
      const none = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 };
      const found = {
        committedOffset: 5,
        committedLeaderEpoch: version >= 5 ? 2 : -1,
        metadata: 'so far',
        errorCode: 0,
      };
      const expected = [
        {
          name: 't',
          partitions: [
            { partitionIndex: 0, ...found },
            { partitionIndex: 2, ...none },
          ],
        },
      ];
      if (version >= 8) {
        const groups = [
          { groupId: 'g', topics },
          { groupId: 'g', topics: null },
          { groupId: 'h', topics },
        ];
        const answer = await ask<{ groups: Array<Partitions & { groupId: string; errorCode: number }> }>(
          offsetFetch,
          version,
          { groups },
        );
        expect(answer.groups.map(({ groupId, errorCode }) => [groupId, errorCode])).to.deep.equal([
          ['g', 0],
          ['g', 0],
          ['h', 0],
        ]);
        expect(answer.groups[0]!.topics).to.deep.equal(expected);
        expect(answer.groups[1]!.topics.map(({ name, partitions }) => [name, partitions.length])).to.deep.equal([
          ['t', 2],
          ['u', 1],
        ]);
        expect(answer.groups[2]!.topics[0]!.partitions[0]).to.include(none);
        return;
      }
      const answer = await ask<Partitions & { errorCode: number }>(offsetFetch, version, { groupId: 'g', topics });
      expect(answer).to.deep.include({ errorCode: 0, topics: expected });
      if (version < 2) return;
      const all = await ask<Partitions>(offsetFetch, version, { groupId: 'g', topics: null });
      expect(all.topics.map(({ name, partitions }) => [name, partitions.length])).to.deep.equal([
        ['t', 2],
        ['u', 1],
      ]);
    });
  });

  describe('OffsetFetch tells of an error where its version has room', () => {
    eachVersion(offsetFetch, async (version) => {
      await rig.coordinator.stop();
      const topics = [{ name: 't', partitionIndexes: [0] }];
      const body = version >= 8 ? { groups: [{ groupId: 'g', topics }] } : { groupId: 'g', topics };
      const answer = await ask<Partitions & { errorCode: number; groups: object[] }>(offsetFetch, version, body);
      const errorCode = codeOf('COORDINATOR_NOT_AVAILABLE');
      if (version >= 8) expect(answer.groups).to.deep.equal([{ groupId: 'g', topics: [], errorCode }]);
      else if (version >= 2) expect(answer.errorCode).to.equal(errorCode);
      else expect(codesOf(answer)).to.deep.equal([['t', errorCode]]);
    });
  });

  describe('OffsetFetch holds back what is not stable where it is asked to', () => {
    eachVersion(offsetFetch, async (version) => {
      const producer = { producerId: 1, producerEpoch: 0 };
      await ask(handlers[10]!, 4, { transactionalId: 'x', groupId: 'g', ...producer, topics: offsets });
      if (version < 7) return;
      const topics = [{ name: 't', partitionIndexes: [0] }];
      const asked = version >= 8 ? { groups: [{ groupId: 'g', topics }] } : { groupId: 'g', topics };
      const fetch = async (requireStable: boolean) => {
        const answer = await ask<Partitions & { groups: Partitions[] }>(offsetFetch, version, {
          ...asked,
          requireStable,
        });
        return (version >= 8 ? answer.groups[0]! : answer).topics[0]!.partitions[0]!;
      };
      expect(await fetch(true)).to.include({ errorCode: codeOf('UNSTABLE_OFFSET_COMMIT'), committedOffset: -1 });
      expect(await fetch(false)).to.include({ errorCode: 0, committedOffset: -1 });
      rig.endTransaction(producer, true);
      expect(await fetch(true)).to.include({ errorCode: 0, committedOffset: 5 });
    });
  });

  describe('TxnOffsetCommit keeps offsets for a transaction', () => {
    eachVersion(handlers[10]!, async (version) => {
      const producer = { producerId: 1, producerEpoch: 0 };
      const body = { transactionalId: 'x', groupId: 'g', ...producer, topics: offsets };
      expect(codesOf(await ask(handlers[10]!, version, body))).to.deep.equal([
        ['t', 0, 0],
        ['x', codeOf('UNKNOWN_TOPIC_OR_PARTITION')],
        ['u', 0],
      ]);
      expect(rig.offsets('g')).to.deep.equal([]);
      rig.endTransaction(producer, true);
      expect(rig.offsets('g')).to.deep.equal(['t-0=5', 't-1=6', 'u-0=8']);
      refusal = 'INVALID_TXN_STATE';
      const code = codeOf(refusal);
      expect(codesOf(await ask(handlers[10]!, version, body))).to.deep.equal([
        ['t', code, code],
        ['x', code],
        ['u', code],
      ]);
    });
  });

  describe('DescribeGroups shows groups', () => {
    eachVersion(describeGroups, async (version) => {
      const { memberId } = await stable();
      const body = { groups: ['g', 'nowhere'], includeAuthorizedOperations: version >= 3 };
      const { groups } = await ask<{ groups: Array<Record<string, unknown>> }>(describeGroups, version, body);
      const [found, missing] = groups;
      expect(found).to.deep.include({
        groupId: 'g',
        errorCode: 0,
        groupState: 'Stable',
        protocolType: 'consumer',
        protocolData: 'range',
        members: [
          {
            memberId,
            groupInstanceId: null,
            clientId: 'test',
            clientHost: '/::1',
            memberMetadata: subscription,
            memberAssignment: Buffer.from('all'),
          },
        ],
      });
      expect(found!.authorizedOperations).to.equal(version >= 3 ? 3_400 : -2_147_483_648);
      const notFound = version >= 6 ? codeOf('GROUP_ID_NOT_FOUND') : 0;
      expect(missing).to.include({ groupId: 'nowhere', errorCode: notFound, groupState: 'Dead', protocolType: '' });
      expect(missing!.errorMessage).to.equal(version >= 6 ? 'Group nowhere not found.' : null);
    });
  });

  describe('ListGroups lists groups', () => {
    eachVersion(listGroups, async (version) => {
      await stable();
      await rig.commit('simple', 't-0=1');
      const list = async (filters: object = {}) => {
        const answer = await ask<{ errorCode: number; groups: Array<Record<string, unknown>> }>(
          listGroups,
          version,
          filters,
        );
        expect(answer.errorCode).to.equal(0);
        return answer.groups;
      };
      const groups = await list();
      expect(groups.map(({ groupId, protocolType }) => [groupId, protocolType])).to.deep.equal([
        ['g', 'consumer'],
        ['simple', ''],
      ]);
      const idsOf = async (filters: object) => (await list(filters)).map(({ groupId }) => groupId);
      if (version >= 4) {
        expect(groups.map(({ groupState }) => groupState)).to.deep.equal(['Stable', 'Empty']);
        expect(await idsOf({ statesFilter: ['stable', 'Dead'] })).to.deep.equal(['g']);
      }
      if (version >= 5) {
        expect(groups.map(({ groupType }) => groupType)).to.deep.equal(['classic', 'classic']);
        expect(await idsOf({ typesFilter: ['Classic'], statesFilter: ['EMPTY'] })).to.deep.equal(['simple']);
        expect(await idsOf({ typesFilter: ['consumer'] })).to.deep.equal([]);
      }
    });
  });

  describe('DeleteGroups deletes groups', () => {
    eachVersion(deleteGroups, async (version) => {
      await stable();
      await rig.commit('simple', 't-0=1');
      const body = { groupsNames: ['g', 'simple', 'nowhere', 'simple'] };
      expect(await ask(deleteGroups, version, body)).to.deep.include({
        results: [
          { groupId: 'g', errorCode: codeOf('NON_EMPTY_GROUP') },
          { groupId: 'simple', errorCode: 0 },
          { groupId: 'nowhere', errorCode: codeOf('GROUP_ID_NOT_FOUND') },
        ],
      });
      expect(rig.coordinator.list().map(({ groupId }) => groupId)).to.deep.equal(['g']);
    });
  });

  it('OffsetDelete removes offsets', async () => {
    await rig.commit('g', 't-0=1 t-1=1 u-0=1');
    const topics = ['t', 'x'].map((name) => ({ name, partitions: [{ partitionIndex: 0 }, { partitionIndex: 2 }] }));
    const answer = await ask<Partitions & { errorCode: number }>(offsetDelete, 0, { groupId: 'g', topics });
    expect(answer.errorCode).to.equal(0);
    const unknown = codeOf('UNKNOWN_TOPIC_OR_PARTITION');
    expect(codesOf(answer)).to.deep.equal([
      ['t', 0, 0],
      ['x', unknown, unknown],
    ]);
    expect(rig.offsets('g')).to.deep.equal(['t-1=1', 'u-0=1']);
    expect(await ask(offsetDelete, 0, { groupId: 'nowhere', topics })).to.deep.include({
      errorCode: codeOf('GROUP_ID_NOT_FOUND'),
      topics: [],
    });
  });

  it('are all answered when the coordinator has stopped', async () => {
    await rig.coordinator.stop();
    const body = {
      groupId: 'g',
      memberId: 'm',
      transactionalId: 'x',
      protocolType: 'consumer',
      protocolName: 'range',
      topics: [{ name: 't', partitions: [{ partitionIndex: 0 }], partitionIndexes: [0] }],
      groups: ['g'],
      groupsNames: ['g'],
      members: [],
    };
    const code = String(codeOf('COORDINATOR_NOT_AVAILABLE'));
    for (const make of handlers) {
      const { request, response } = make(rig.coordinator);
      const { from, to } = versionRange(request.versions);
      for (let version = from; version <= to; version += 1) {
        const groups = request.name === 'OffsetFetchRequest' ? [{ groupId: 'g', topics: null }] : body.groups;
        const answer = await ask<object>(make, version, { ...body, groups });
        expect(JSON.stringify(answer), `${response.name} ${version}`).to.match(new RegExp(`"errorCode":${code}\\b`));
      }
    }
  });
});
