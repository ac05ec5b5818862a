import { expect } from 'chai';
import type { JoinReply } from '../../../../src/broker/groups/group-messages.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';
import { settled } from '../../../support/fake-clock.ts';
import { CoordinatorRig, isSettled, sessionMs, subscriptionTo } from './coordinator-rig.ts';

const dayMs = 24 * 3_600_000;
const producer = { producerId: 7, producerEpoch: 1 };

describe('the coordinator of groups', () => {
  let rig: CoordinatorRig;

  beforeEach(async () => {
    rig = await CoordinatorRig.started();
  });

  afterEach(async () => {
    await rig.coordinator.stop();
    expect(rig.clock.pending, 'timers that nobody cancelled').to.equal(0);
  });

  /** Two members of a stable group. */
  async function pair(groupId: string): Promise<[JoinReply, JoinReply]> {
    const first = await rig.join(groupId);
    const joining = rig.join(groupId);
    const leader = await rig.join(groupId, { memberId: first.memberId });
    const follower = await joining;
    const syncing = rig.sync(groupId, follower);
    await rig.sync(groupId, leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' });
    expect((await syncing).assignment.toString()).to.equal('two');
    return [leader, follower];
  }

  describe('with members', () => {
    it('brings members together, assigns and tells who is there', async () => {
      const [leader, follower] = await pair('g');
      expect(leader.members.map(({ memberId }) => memberId)).to.deep.equal([leader.memberId, follower.memberId]);
      expect(leader.memberId).to.match(/^client-[0-9a-f-]{36}$/);
      expect(rig.coordinator.list()).to.deep.equal([{ groupId: 'g', protocolType: 'consumer', state: 'Stable' }]);
      const described = rig.coordinator.describe('g')!;
      expect(described.protocolName).to.equal('range');
      expect(described.members.map(({ assignment }) => assignment.toString())).to.deep.equal(['one', 'two']);
      expect(described.members[0]).to.deep.include({
        id: leader.memberId,
        clientId: 'client',
        clientHost: '/here',
        metadata: subscriptionTo('t'),
      });
    });

    it('tells a member when no record can be made of its group', async () => {
      const joined = await rig.join('g', { clientHost: 'h'.repeat(0x8000) });
      expect((await rig.sync('g', joined, { [joined.memberId]: 'all' })).error).to.equal('UNKNOWN_SERVER_ERROR');
      expect(rig.log.entries).to.deep.equal([]);
    });

    it('refuses names that grow too long for its records when they are made of bytes that are no text', async () => {
      const name = Buffer.alloc(12_000, 0xff).toString();
      expect((await rig.join(name)).error).to.equal('INVALID_GROUP_ID');
      expect((await rig.join('g', { groupInstanceId: name })).error).to.equal('INVALID_REQUEST');
      expect((await rig.join('g', { clientId: name })).error).to.equal('INVALID_REQUEST');
      expect(await rig.commit(name, 't-0=1')).to.deep.equal(['INVALID_GROUP_ID']);
      expect(rig.coordinator.list()).to.deep.equal([]);
    });

    it('ends the session of a member that is silent, by itself', async () => {
      const [leader, follower] = await pair('g');
      await rig.clock.pass(sessionMs / 2);
      expect(rig.heartbeat('g', leader)).to.equal('NONE');
      await rig.clock.pass(sessionMs / 2);
      expect(rig.heartbeat('g', leader)).to.equal('REBALANCE_IN_PROGRESS');
      expect(rig.heartbeat('g', follower)).to.equal('UNKNOWN_MEMBER_ID');
      await rig.clock.pass(sessionMs);
      expect(rig.coordinator.describe('g')).to.include({ state: 'Empty', protocolType: 'consumer' });
    });

    it('has no timer for a group that nobody is in', async () => {
      const before = rig.clock.pending;
      await rig.stable('g');
      expect(rig.clock.pending).to.equal(before + 1);
      await rig.clock.pass(sessionMs);
      expect(rig.clock.pending).to.equal(before);
    });

    it('waits the initial delay where it is told to, and once more when another came meanwhile', async () => {
      await rig.coordinator.stop();
      rig = await CoordinatorRig.started({ initialRebalanceDelayMs: 3_000 });
      const joins = [rig.join('g'), rig.join('g')];
      await rig.clock.pass(5_999);
      expect(await isSettled(joins[0]!)).to.equal(false);
      await rig.clock.pass(1);
      const generations = (await Promise.all(joins)).map(({ generationId }) => generationId);
      expect(generations).to.deep.equal([1, 1]);
    });

    it('refuses what no group can have', async () => {
      expect(await rig.join('')).to.include({ error: 'INVALID_GROUP_ID' });
      expect(await rig.join('g', { sessionTimeoutMs: 5_999 })).to.include({ error: 'INVALID_SESSION_TIMEOUT' });
      expect(await rig.join('g', { sessionTimeoutMs: 1_800_001 })).to.include({ error: 'INVALID_SESSION_TIMEOUT' });
      expect(await rig.join('g', { memberId: 'm' })).to.include({ error: 'UNKNOWN_MEMBER_ID', memberId: 'm' });
      expect(await rig.join('g', { protocols: [] })).to.include({ error: 'INCONSISTENT_GROUP_PROTOCOL' });
      expect(rig.coordinator.list(), 'groups that nobody is in').to.deep.equal([]);
    });

    it('refuses names that its log has no room for, and takes the longest that it has', async () => {
      const long = 'ä'.repeat(16_001);
      expect(await rig.join(long)).to.include({ error: 'INVALID_GROUP_ID' });
      expect(await rig.commit(long, 't-0=1')).to.deep.equal(['INVALID_GROUP_ID']);
      const requests = [
        { clientId: long },
        { groupInstanceId: long },
        { protocolType: long },
        { protocols: [{ name: long, metadata: Buffer.alloc(0) }] },
      ];
      for (const request of requests) expect(await rig.join('g', request)).to.include({ error: 'INVALID_REQUEST' });
      expect(rig.coordinator.list()).to.deep.equal([]);
      const name = 'x'.repeat(32_000);
      await rig.stable(name, { clientId: name, protocolType: name, protocols: [{ name, metadata: Buffer.alloc(0) }] });
      await rig.commit(`${name.slice(1)}y`, 't-0=1');
      const before = rig.state();
      await rig.restart();
      expect(rig.state()).to.deep.equal(before);
    });

    it('knows nobody of a group that is not there', async () => {
      const stranger = { ...(await rig.join('g', { memberId: 'm' })), generationId: 1 };
      expect(await rig.sync('g', stranger)).to.include({ error: 'UNKNOWN_MEMBER_ID' });
      expect(rig.heartbeat('g', stranger)).to.equal('UNKNOWN_MEMBER_ID');
      expect(rig.coordinator.leave('g', [{ memberId: 'm', groupInstanceId: null }])).to.deep.equal([
        'UNKNOWN_MEMBER_ID',
      ]);
      expect(rig.heartbeat('', stranger)).to.equal('INVALID_GROUP_ID');
      expect(await rig.sync('', stranger)).to.include({ error: 'INVALID_GROUP_ID' });
      expect(() => rig.coordinator.leave('', []))
        .to.throw(KafkaError)
        .with.property('error', 'INVALID_GROUP_ID');
    });

    it('answers a sync when the assignment is in the log, and tells when it cannot get there', async () => {
      const joined = await rig.join('g');
      rig.log.hold();
      const syncing = rig.sync('g', joined, { [joined.memberId]: 'all' });
      expect(await isSettled(syncing)).to.equal(false);
      await rig.log.release();
      expect(await syncing).to.include({ error: 'NONE' });
      const again = await rig.join('g', { memberId: joined.memberId });
      rig.log.refusals.push('KAFKA_STORAGE_ERROR');
      expect(await rig.sync('g', again)).to.include({ error: 'NOT_COORDINATOR' });
      expect(rig.heartbeat('g', again)).to.equal('REBALANCE_IN_PROGRESS');
    });

    it('forgets a group of which nothing came, when it next looks for what nobody uses', async () => {
      expect(await rig.join('g', { knowsMemberIds: true, sessionTimeoutMs: 900_000 })).to.include({
        error: 'MEMBER_ID_REQUIRED',
      });
      await rig.clock.pass(600_000);
      expect(rig.coordinator.list()).to.have.length(1);
      await rig.clock.pass(600_000);
      expect(rig.coordinator.list()).to.deep.equal([]);
    });
  });

  describe('with offsets', () => {
    it('takes those of a member, and of nobody in particular where there are no members', async () => {
      expect(await rig.commit('simple', 't-0=5 t-1=6')).to.deep.equal(['NONE', 'NONE']);
      expect(rig.offsets('simple')).to.deep.equal(['t-0=5', 't-1=6']);
      expect(rig.coordinator.describe('simple')).to.include({ state: 'Empty', protocolType: '' });
      const joined = await rig.stable('g');
      expect(await rig.commit('g', 't-0=7', { joined })).to.deep.equal(['NONE']);
      expect(await rig.commit('g', 't-0=8')).to.deep.equal(['UNKNOWN_MEMBER_ID']);
      expect(rig.offsets('g')).to.deep.equal(['t-0=7']);
    });

    it('refuses those of partitions that are not there, and takes the rest', async () => {
      expect(await rig.commit('g', 't-0=5 t-3=5 x-0=5')).to.deep.equal([
        'NONE',
        'UNKNOWN_TOPIC_OR_PARTITION',
        'UNKNOWN_TOPIC_OR_PARTITION',
      ]);
      expect(rig.offsets('g')).to.deep.equal(['t-0=5']);
    });

    it('leaves the group alone where there is no such partition at all', async () => {
      const member = { memberId: 'm', generationId: 3 };
      expect(await rig.commit('g', 'x-0=5', member)).to.deep.equal(['UNKNOWN_TOPIC_OR_PARTITION']);
      expect(rig.coordinator.list()).to.deep.equal([]);
    });

    it('says of a member of a group that is not there what its client understands', async () => {
      const member = { memberId: 'm', generationId: 3 };
      expect(await rig.commit('g', 't-0=5 x-0=5', member)).to.deep.equal([
        'ILLEGAL_GENERATION',
        'UNKNOWN_TOPIC_OR_PARTITION',
      ]);
      const later = { ...member, unknownGroup: 'GROUP_ID_NOT_FOUND' as const };
      expect(await rig.commit('g', 't-0=5', later)).to.deep.equal(['GROUP_ID_NOT_FOUND']);
      expect(await rig.commit('g', 't-0=5', { ...member, producer })).to.deep.equal(['ILLEGAL_GENERATION']);
    });

    it('keeps what a client wants to keep with one, up to a length', async () => {
      const request = {
        groupId: 'g',
        memberId: '',
        groupInstanceId: null,
        generationId: -1,
        unknownGroup: 'ILLEGAL_GENERATION' as const,
        offsets: [
          { topic: 't', partition: 0, offset: 5, leaderEpoch: 3, metadata: 'ä'.repeat(4_096) },
          { topic: 't', partition: 1, offset: 5, leaderEpoch: 3, metadata: 'x'.repeat(4_097) },
          { topic: 't', partition: 2, offset: 2 ** 60, leaderEpoch: 3, metadata: null },
        ],
      };
      expect(await rig.coordinator.commitOffsets(request)).to.deep.equal([
        'NONE',
        'OFFSET_METADATA_TOO_LARGE',
        'INVALID_COMMIT_OFFSET_SIZE',
      ]);
      const asked = [0, 1].map((partition) => ({ topic: 't', partition }));
      const [kept, refused] = rig.coordinator.fetchOffsets('g', asked, { requireStable: false });
      expect(kept!.committed).to.include({ offset: 5, leaderEpoch: 3, metadata: 'ä'.repeat(4_096) });
      expect(refused).to.deep.equal({ topic: 't', partition: 1, committed: undefined, error: 'NONE' });
    });

    it('does not have what the log did not take', async () => {
      await rig.commit('g', 't-0=5');
      rig.log.refusals.push('KAFKA_STORAGE_ERROR', 'MESSAGE_TOO_LARGE', 'INVALID_PRODUCER_EPOCH');
      expect(await rig.commit('g', 't-0=6 t-1=6')).to.deep.equal(['NOT_COORDINATOR', 'NOT_COORDINATOR']);
      expect(await rig.commit('h', 't-0=6')).to.deep.equal(['UNKNOWN_SERVER_ERROR']);
      expect(await rig.commit('h', 't-0=6', { producer })).to.deep.equal(['INVALID_PRODUCER_EPOCH']);
      expect(rig.offsets('g')).to.deep.equal(['t-0=5']);
      expect(rig.coordinator.list().map(({ groupId }) => groupId)).to.deep.equal(['g']);
    });

    it('keeps those of a transaction back until it is committed', async () => {
      await rig.commit('g', 't-0=1 t-1=1');
      await rig.commit('g', 't-0=2 t-2=2', { producer });
      expect(rig.offsets('g')).to.deep.equal(['t-0=1', 't-1=1']);
      expect(rig.offsets('g', { requireStable: true })).to.deep.equal(['t-0=UNSTABLE_OFFSET_COMMIT', 't-1=1']);
      const asked = [{ topic: 't', partition: 2 }];
      expect(rig.coordinator.fetchOffsets('g', asked, { requireStable: true })[0]!.error).to.equal(
        'UNSTABLE_OFFSET_COMMIT',
      );
      rig.endTransaction(producer, true);
      expect(rig.offsets('g', { requireStable: true })).to.deep.equal(['t-0=2', 't-1=1', 't-2=2']);
      await rig.commit('g', 't-0=3', { producer });
      rig.endTransaction(producer, false);
      expect(rig.offsets('g', { requireStable: true })[0]).to.equal('t-0=2');
    });

    it('forgets those of a topic that is deleted, also in transactions', async () => {
      await rig.commit('g', 't-0=1 u-0=2');
      await rig.commit('h', 't-1=3');
      await rig.commit('h', 't-2=3', { producer });
      const start = rig.log.entries.length;
      await rig.coordinator.forgetTopic('t');
      expect(rig.log.told(start)).to.have.members(['g t-0 gone', 'h t-1 gone', 'h t-2 gone']);
      rig.endTransaction(producer, true);
      expect([rig.offsets('g'), rig.offsets('h')]).to.deep.equal([['u-0=2'], []]);
    });

    it('keeps one of a new topic that got the name while thousands of the old one go', async () => {
      const partitions = 2_500;
      rig.topics.set('t', partitions);
      await rig.commit('g', Array.from({ length: partitions }, (_, partition) => `t-${partition}=1`).join(' '));
      rig.log.hold();
      const forgetting = rig.coordinator.forgetTopic('t');
      const last = `t-${partitions - 1}=7`;
      const committing = rig.commit('g', last);
      await rig.log.release();
      await Promise.all([forgetting, committing]);
      await rig.restart();
      expect(rig.offsets('g')).to.deep.equal([last]);
    });

    it('removes single ones, but for those of topics that the members read', async () => {
      const remove = (...topics: string[]) => {
        return rig.coordinator.deleteOffsets(
          'g',
          topics.map((topic) => ({ topic, partition: 0 })),
        );
      };
      const failure = (done: Promise<unknown>) =>
        done.then(
          () => 'none',
          (error: KafkaError) => error.error,
        );
      expect(await failure(remove('t'))).to.equal('GROUP_ID_NOT_FOUND');
      const joined = await rig.stable('g');
      await rig.commit('g', 't-0=1 u-0=2', { joined });
      expect(await remove('t', 'u', 'x')).to.deep.equal([
        'GROUP_SUBSCRIBED_TO_TOPIC',
        'NONE',
        'UNKNOWN_TOPIC_OR_PARTITION',
      ]);
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
      await rig.clock.pass(sessionMs);
      expect(await remove('t')).to.deep.equal(['NONE']);
      expect(rig.offsets('g')).to.deep.equal([]);
      await rig.stable('g', { protocolType: 'connect' });
      expect(await failure(remove('t'))).to.equal('NON_EMPTY_GROUP');
    });

    it('takes a consumer that says nothing sensible of its topics as one that may read any', async () => {
      const joined = await rig.stable('g', {
        protocols: [{ name: 'range', metadata: Buffer.from('00007fffffff', 'hex') }],
      });
      await rig.commit('g', 'u-0=2', { joined });
      expect(await rig.coordinator.deleteOffsets('g', [{ topic: 'u', partition: 0 }])).to.deep.equal([
        'GROUP_SUBSCRIBED_TO_TOPIC',
      ]);
    });

    it('deletes groups without members, with all that they have', async () => {
      expect(await rig.coordinator.deleteGroup('g')).to.equal('GROUP_ID_NOT_FOUND');
      const joined = await rig.stable('g');
      await rig.commit('g', 't-0=1', { joined });
      expect(await rig.coordinator.deleteGroup('g')).to.equal('NON_EMPTY_GROUP');
      await rig.clock.pass(sessionMs);
      await rig.commit('g', 't-1=1', { producer });
      const start = rig.log.entries.length;
      expect(await rig.coordinator.deleteGroup('g')).to.equal('NONE');
      expect(rig.log.told(start)).to.deep.equal(['g t-0 gone', 'g t-1 gone', 'g gone']);
      expect(rig.coordinator.describe('g')).to.equal(undefined);
      await rig.restart();
      rig.endTransaction(producer, true);
      expect(rig.coordinator.list()).to.deep.equal([]);
      expect(rig.offsets('g')).to.deep.equal([]);
    });
  });

  describe('and offsets that nobody uses', () => {
    it('lets them go a week after the last member went, with the group', async () => {
      const joined = await rig.stable('g');
      await rig.commit('g', 't-0=1', { joined });
      for (let hours = 0; hours < 3 * 24; hours += 1) {
        for (let left = 3_600_000; left > 0; left -= 9_000) {
          await rig.clock.leap(Math.min(left, 9_000));
          rig.heartbeat('g', joined);
        }
      }
      expect(rig.coordinator.describe('g')?.state).to.equal('Stable');
      await rig.clock.leap(sessionMs);
      expect(rig.coordinator.describe('g')?.state).to.equal('Empty');
      await rig.clock.leap(7 * dayMs - 1);
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
      const start = rig.log.entries.length;
      await rig.clock.leap(600_000);
      expect(rig.log.told(start)).to.deep.equal(['g t-0 gone', 'g gone']);
      expect(rig.coordinator.list()).to.deep.equal([]);
    }).timeout(60_000);

    it('lets those of nobody in particular go a week after their commit', async () => {
      await rig.commit('g', 't-0=1');
      await rig.clock.leap(4 * dayMs);
      await rig.commit('g', 't-1=1');
      await rig.clock.leap(4 * dayMs);
      expect(rig.offsets('g')).to.deep.equal(['t-1=1']);
      await rig.clock.leap(4 * dayMs);
      expect(rig.coordinator.list()).to.deep.equal([]);
    });

    it('lets those of a working group go when no member reads their topic any more', async () => {
      const joined = await rig.stable('g', { sessionTimeoutMs: 1_800_000 });
      await rig.commit('g', 't-0=1 u-0=1', { joined });
      for (let minutes = 0; minutes < 8 * 24 * 60; minutes += 29) {
        await rig.clock.leap(29 * 60_000);
        rig.heartbeat('g', joined);
      }
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
    });

    it('keeps one that a transaction is about to change', async () => {
      await rig.commit('g', 't-0=1 t-1=1');
      await rig.commit('g', 't-0=2', { producer });
      await rig.clock.leap(8 * dayMs);
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
    });

    it('lets one go when its client said so', async () => {
      await rig.commit('g', 't-0=1', { retentionMs: 60_000 });
      await rig.commit('g', 't-1=1', { retentionMs: 2 ** 62 });
      await rig.clock.leap(600_000);
      expect(rig.offsets('g')).to.deep.equal(['t-1=1']);
      await rig.clock.leap(30 * dayMs);
      await rig.restart();
      expect(rig.offsets('g')).to.deep.equal(['t-1=1']);
    });

    it('counts the time that the broker is not there', async () => {
      const joined = await rig.stable('g');
      await rig.commit('g', 't-0=1', { joined });
      await rig.clock.pass(sessionMs);
      await rig.clock.leap(4 * dayMs);
      await rig.restart();
      await rig.clock.leap(2 * dayMs);
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
      await rig.clock.leap(dayMs);
      expect(rig.coordinator.list()).to.deep.equal([]);
    });
  });

  describe('that starts again', () => {
    it('goes on with the members that it had, who notice nothing', async () => {
      const [leader, follower] = await pair('g');
      await rig.commit('g', 't-0=5 t-1=6', { joined: leader });
      await rig.commit('simple', 'u-0=7');
      const before = rig.state();
      await rig.clock.pass(sessionMs - 1);
      await rig.restart();
      expect(rig.state()).to.deep.equal(before);
      await rig.clock.pass(sessionMs - 1);
      expect([rig.heartbeat('g', leader), rig.heartbeat('g', follower)]).to.deep.equal(['NONE', 'NONE']);
      expect(await rig.commit('g', 't-0=6', { joined: follower })).to.deep.equal(['NONE']);
      expect((await rig.sync('g', follower)).assignment.toString()).to.equal('two');
      const again = await rig.join('g', { memberId: follower.memberId });
      expect(again).to.include({ error: 'NONE', generationId: follower.generationId, leader: leader.memberId });
    });

    it('takes those out that do not come back', async () => {
      await rig.stable('g');
      await rig.restart();
      await rig.clock.pass(sessionMs);
      expect(rig.coordinator.describe('g')?.state).to.equal('Empty');
    });

    it('goes back to the last generation that was assigned', async () => {
      const [leader] = await pair('g');
      const before = rig.state();
      void rig.join('g', { memberId: leader.memberId });
      await rig.restart();
      expect(rig.state()).to.deep.equal(before);
    });

    it('knows which transactions are open, and applies their markers that it finds', async () => {
      const other = { producerId: 8, producerEpoch: 0 };
      await rig.commit('g', 't-0=1', { producer });
      await rig.commit('g', 't-1=1', { producer: other });
      rig.endTransaction(producer, true);
      await rig.commit('g', 't-0=2', { producer });
      await rig.restart();
      expect(rig.offsets('g', { requireStable: true })).to.deep.equal(['t-0=UNSTABLE_OFFSET_COMMIT']);
      rig.endTransaction(producer, false);
      rig.endTransaction(other, true);
      expect(rig.offsets('g', { requireStable: true })).to.deep.equal(['t-0=1', 't-1=1']);
    });

    it('has no offsets of partitions that went without it being told', async () => {
      await rig.commit('g', 't-0=1 u-0=1');
      rig.topics.delete('u');
      await rig.restart();
      rig.topics.set('u', 1);
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
      await rig.restart();
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
    });

    it('passes over what it cannot read', async () => {
      const transaction = undefined;
      const nothing = { kind: 'record' as const, timestampMs: 1, transaction };
      rig.log.entries.push(
        { ...nothing, key: null, value: Buffer.alloc(1) },
        { ...nothing, key: Buffer.alloc(1), value: Buffer.alloc(1) },
        { ...nothing, key: Buffer.from('00020001', 'hex'), value: Buffer.alloc(1) },
        { ...nothing, key: Buffer.from('0002000167', 'hex'), value: Buffer.from('ffff', 'hex') },
        { ...nothing, key: Buffer.from('0099', 'hex'), value: Buffer.alloc(1) },
      );
      await rig.commit('g', 't-0=1');
      await rig.restart();
      expect(rig.offsets('g')).to.deep.equal(['t-0=1']);
    });

    it('answers nothing before it has read its log, but for heartbeats', async () => {
      const joined = await rig.stable('g');
      await rig.coordinator.stop();
      const early = new CoordinatorRig();
      expect(early.heartbeat('g', joined)).to.equal('NONE');
      const loading = 'COORDINATOR_LOAD_IN_PROGRESS';
      const errorOf = (done: Promise<unknown>) =>
        done.then(
          () => 'none',
          (error: KafkaError) => error.error,
        );
      expect(await errorOf(early.join('g'))).to.equal(loading);
      expect(await errorOf(early.commit('g', 't-0=1'))).to.equal(loading);
      expect(() => early.offsets('g'))
        .to.throw(KafkaError)
        .with.property('error', loading);
      await early.coordinator.load();
      await early.coordinator.stop();
    });

    it('tells whoever waits, and waits itself for what goes into the log', async () => {
      const [leader] = await pair('g');
      const joining = rig.join('g', { memberId: leader.memberId });
      rig.log.hold();
      const committing = rig.commit('h', 't-0=1');
      const stopping = rig.coordinator.stop();
      expect(await joining).to.include({ error: 'NOT_COORDINATOR' });
      expect(await isSettled(stopping)).to.equal(false);
      await rig.log.release();
      await stopping;
      expect(await committing).to.deep.equal(['NONE']);
      expect(() => rig.heartbeat('g', leader))
        .to.throw(KafkaError)
        .with.property('error', 'COORDINATOR_NOT_AVAILABLE');
      await settled();
    });
  });
});
