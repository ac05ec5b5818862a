import { expect } from 'chai';
import { GroupRig, newMemberMs, rebalanceMs, sessionMs } from './group-rig.ts';

describe('a group', () => {
  let rig: GroupRig;

  beforeEach(() => {
    rig = new GroupRig();
  });

  describe('of its first members', () => {
    it('has a generation as soon as one has joined, where nobody else is waited for', () => {
      rig.join('a');
      expect(rig.said()).to.deep.equal(['a is a1 of generation 1, range, leads a1']);
      expect(rig.group.state).to.equal('CompletingRebalance');
      rig.sync('a', 'a1=all');
      expect(rig.said()).to.deep.equal(['a does all']);
      expect(rig.group.state).to.equal('Stable');
    });

    it('waits the initial delay for more', () => {
      rig = new GroupRig({ initialRebalanceDelayMs: 3_000 });
      rig.join('a');
      rig.pass(2_999);
      expect(rig.said()).to.deep.equal([]);
      rig.pass(1);
      expect(rig.said()).to.deep.equal(['a is a1 of generation 1, range, leads a1']);
    });

    it('waits another delay while more come, and no longer than the rebalance timeout', () => {
      rig = new GroupRig({ initialRebalanceDelayMs: 3_000 });
      const rebalanceTimeoutMs = 7_000;
      rig.join('a', { rebalanceTimeoutMs });
      rig.pass(2_000);
      rig.join('b', { rebalanceTimeoutMs });
      rig.pass(3_000);
      rig.join('c', { rebalanceTimeoutMs });
      rig.pass(1_999);
      expect(rig.said()).to.deep.equal([]);
      rig.pass(1);
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 1, range, leads a1 b1 c1',
        'b is b1 of generation 1, range, follows a1',
        'c is c1 of generation 1, range, follows a1',
      ]);
    });

    it('is empty again when they left before it had a generation', () => {
      rig = new GroupRig({ initialRebalanceDelayMs: 3_000 });
      rig.join('a');
      expect(rig.leave({ memberId: 'a1', groupInstanceId: null })).to.deep.equal(['NONE']);
      expect(rig.said()).to.deep.equal(['a join: UNKNOWN_MEMBER_ID']);
      rig.pass(3_000);
      expect(rig.group.state).to.equal('Empty');
      expect(rig.group.nextDeadlineMs).to.equal(undefined);
    });
  });

  describe('and member ids that must be known (rule 1)', () => {
    it('gives a new member an id first, which it joins with', () => {
      rig.join('a', { knowsMemberIds: true });
      expect(rig.said()).to.deep.equal(['a join: MEMBER_ID_REQUIRED a1']);
      expect(rig.group.state).to.equal('Empty');
      rig.join('a', { knowsMemberIds: true });
      expect(rig.said()).to.deep.equal(['a is a1 of generation 1, range, leads a1']);
    });

    it('does not complete a join while somebody has an id and has not come back', () => {
      rig.stable('a');
      rig.join('c', { knowsMemberIds: true });
      rig.join('b');
      rig.join('a');
      expect(rig.said()).to.deep.equal(['c join: MEMBER_ID_REQUIRED c1']);
      rig.join('c', { knowsMemberIds: true });
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 2, range, leads a1 b1 c1',
        'b is b1 of generation 2, range, follows a1',
        'c is c1 of generation 2, range, follows a1',
      ]);
    });

    it('waits for it no longer than its session', () => {
      rig.stable('a');
      rig.join('c', { knowsMemberIds: true });
      rig.pass(1_000);
      rig.join('b');
      rig.join('a');
      rig.said();
      rig.pass(sessionMs - 1_001);
      expect(rig.said()).to.deep.equal([]);
      rig.pass(1);
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 2, range, leads a1 b1',
        'b is b1 of generation 2, range, follows a1',
      ]);
      rig.join('c', { knowsMemberIds: true });
      expect(rig.said()).to.deep.equal(['c join: UNKNOWN_MEMBER_ID c1']);
    });

    it('does not disturb a stable group by giving out an id', () => {
      rig.stable('a');
      rig.join('b', { knowsMemberIds: true });
      expect(rig.heartbeat('a')).to.equal('NONE');
    });

    it('takes an id that was given out as one that leaves', () => {
      rig.stable('a');
      rig.join('b', { knowsMemberIds: true });
      expect(rig.leave({ memberId: 'b1', groupInstanceId: null })).to.deep.equal(['NONE']);
      rig.said();
      rig.join('b', { knowsMemberIds: true });
      expect(rig.said()).to.deep.equal(['b join: UNKNOWN_MEMBER_ID b1']);
    });
  });

  describe('and time', () => {
    it('keeps a new member that waits in its join for five minutes, whatever its session is (rule 2)', () => {
      rig.stable('a');
      rig.join('b', { rebalanceTimeoutMs: 2 * newMemberMs });
      rig.passWithHeartbeats(newMemberMs - 1_000, 'a');
      expect(rig.said()).to.deep.equal([]);
      rig.passWithHeartbeats(1_000, 'a');
      // It is gone, and the only member left has yet to join.
      expect(rig.said()).to.deep.equal(['b join: UNKNOWN_MEMBER_ID']);
      rig.join('a');
      expect(rig.said()).to.deep.equal(['a is a1 of generation 2, range, leads a1']);
    });

    it('waits for a rebalance as long as the slowest member may need (rule 3)', () => {
      rig.join('a', { rebalanceTimeoutMs: 20_000 });
      rig.join('b', { rebalanceTimeoutMs: 40_000 });
      rig.join('a', { rebalanceTimeoutMs: 20_000 });
      rig.sync('a');
      rig.sync('b');
      rig.said();
      rig.join('c', { rebalanceTimeoutMs: 30_000 });
      rig.passWithHeartbeats(39_999, 'a', 'b');
      expect(rig.said()).to.deep.equal([]);
      rig.pass(1);
      expect(rig.said()).to.deep.equal(['c is c1 of generation 3, range, leads c1']);
    });

    it('takes a member out whose session has ended, and has the others join again', () => {
      rig.stable('a', 'b');
      rig.passWithHeartbeats(sessionMs - 1_000, 'a');
      expect(rig.heartbeat('a')).to.equal('NONE');
      rig.pass(1_000);
      expect(rig.heartbeat('a')).to.equal('REBALANCE_IN_PROGRESS');
      rig.join('a');
      expect(rig.said()).to.deep.equal(['a is a1 of generation 3, range, leads a1']);
      expect(rig.heartbeat('b')).to.equal('UNKNOWN_MEMBER_ID');
    });

    it('is empty, and says so to the log, when the last session has ended', () => {
      rig.stable('a');
      rig.pass(sessionMs);
      expect(rig.group.state).to.equal('Empty');
      expect(rig.lastWrite).to.deep.equal({
        protocolType: 'test',
        generationId: 2,
        protocolName: undefined,
        leaderId: undefined,
        members: [],
      });
      expect(rig.group.nextDeadlineMs).to.equal(undefined);
    });

    it('does not end the session of a member that waits for the others', () => {
      rig.stable('a', 'b');
      rig.join('a');
      rig.passWithHeartbeats(3 * sessionMs, 'b');
      expect(rig.said()).to.deep.equal([]);
      rig.join('b');
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 3, range, leads a1 b1',
        'b is b1 of generation 3, range, follows a1',
      ]);
      rig.pass(sessionMs - 1);
      expect(rig.heartbeat('a')).to.equal('NONE');
    });

    it('takes members out that were told of a generation and never asked for their part', () => {
      rig.stable('a', 'b');
      rig.join('a');
      rig.join('b');
      rig.sync('a', 'a1=x');
      rig.said();
      rig.passWithHeartbeats(rebalanceMs - 1_000, 'a', 'b');
      expect(rig.group.state).to.equal('Stable');
      rig.passWithHeartbeats(1_000, 'a');
      expect(rig.group.state).to.equal('PreparingRebalance');
      expect(rig.heartbeat('b')).to.equal('UNKNOWN_MEMBER_ID');
      rig.join('a');
      expect(rig.said()).to.deep.equal(['a is a1 of generation 4, range, leads a1']);
    });
  });

  describe('and members that join again (rule 4)', () => {
    it('tells one with nothing new its generation, while the leader is waited for', () => {
      rig.join('a');
      rig.join('b');
      rig.join('a');
      rig.said();
      rig.join('b');
      rig.join('a');
      expect(rig.said()).to.deep.equal([
        'b is b1 of generation 2, range, follows a1',
        'a is a1 of generation 2, range, leads a1 b1',
      ]);
      expect(rig.group.state).to.equal('CompletingRebalance');
    });

    it('begins anew for one with something new, while the leader is waited for', () => {
      rig.join('a');
      rig.join('b');
      rig.join('a');
      rig.sync('b');
      rig.said();
      rig.join('b', { protocols: 'range=new' });
      expect(rig.said()).to.deep.equal(['b sync: REBALANCE_IN_PROGRESS']);
      rig.join('a');
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 3, range, leads a1 b1=new',
        'b is b1 of generation 3, range, follows a1',
      ]);
    });

    it('begins anew for the leader of a stable group, with nothing new', () => {
      rig.stable('a', 'b');
      rig.join('a');
      expect(rig.said()).to.deep.equal([]);
      expect(rig.heartbeat('b')).to.equal('REBALANCE_IN_PROGRESS');
    });

    it('begins anew for a follower of a stable group with something new', () => {
      rig.stable('a', 'b');
      rig.join('b', { protocols: 'range=new' });
      expect(rig.heartbeat('a')).to.equal('REBALANCE_IN_PROGRESS');
    });

    it('tells a follower of a stable group with nothing new its generation, and its part again', () => {
      rig.stable('a', 'b');
      rig.join('b');
      expect(rig.said()).to.deep.equal(['b is b1 of generation 2, range, follows a1']);
      rig.sync('b');
      expect(rig.said()).to.deep.equal(['b does for-b']);
      expect(rig.group.state).to.equal('Stable');
    });

    it('takes the order of protocols as news', () => {
      rig.join('a', { protocols: 'range sticky' });
      rig.sync('a');
      rig.join('b', { protocols: 'range sticky' });
      rig.join('a', { protocols: 'range sticky' });
      rig.sync('a');
      rig.said();
      rig.join('b', { protocols: 'sticky range' });
      expect(rig.heartbeat('a')).to.equal('REBALANCE_IN_PROGRESS');
    });

    it('lets go of the wait of one that asks a second time', () => {
      rig.stable('a', 'b');
      rig.join('a');
      rig.join('a');
      expect(rig.said()).to.deep.equal(['a join: REBALANCE_IN_PROGRESS a1']);
      rig.join('b');
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 3, range, leads a1 b1',
        'b is b1 of generation 3, range, follows a1',
      ]);
    });

    it('does not know a member that it never had', () => {
      rig.stable('a');
      rig.join('b', { memberId: 'nobody' });
      expect(rig.said()).to.deep.equal(['b join: UNKNOWN_MEMBER_ID nobody']);
    });
  });

  describe('whose rebalance is over (rule 5)', () => {
    it('takes out dynamic members that have not joined', () => {
      rig.stable('a', 'b');
      rig.join('b', { protocols: 'range=new' });
      rig.passWithHeartbeats(rebalanceMs - 1_000, 'a');
      expect(rig.said()).to.deep.equal([]);
      rig.passWithHeartbeats(1_000, 'a');
      expect(rig.said()).to.deep.equal(['b is b1 of generation 3, range, leads b1=new']);
      expect(rig.heartbeat('a')).to.equal('UNKNOWN_MEMBER_ID');
    });

    it('keeps static members, and has another lead', () => {
      rig.join('a', { groupInstanceId: 'one', sessionTimeoutMs: 2 * rebalanceMs });
      rig.join('b');
      rig.pass(rebalanceMs);
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 1, range, leads a1',
        'b is b1 of generation 2, range, leads a1 b1',
      ]);
      rig.sync('b', 'a1=x b1=y');
      expect(rig.said()).to.deep.equal(['b does y']);
      rig.client('a').generationId = 2;
      rig.sync('a', '', { groupInstanceId: 'one' });
      expect(rig.said()).to.deep.equal(['a does x']);
    });

    it('waits again when nobody has joined, until the sessions of the static members end', () => {
      rig.join('a', { groupInstanceId: 'one', sessionTimeoutMs: 5 * rebalanceMs });
      rig.join('b');
      expect(rig.group.state).to.equal('PreparingRebalance');
      expect(rig.leave({ memberId: 'b1', groupInstanceId: null })).to.deep.equal(['NONE']);
      rig.pass(4 * rebalanceMs);
      expect(rig.group.state).to.equal('PreparingRebalance');
      expect(rig.group.generationId).to.equal(1);
      rig.pass(rebalanceMs);
      expect(rig.group.state).to.equal('Empty');
      expect(rig.group.nextDeadlineMs).to.equal(undefined);
    });
  });

  describe('that is told its parts (rule 6)', () => {
    beforeEach(() => {
      rig.join('a');
      rig.join('b');
      rig.join('a');
      rig.said();
    });

    it('has followers wait for the leader', () => {
      rig.sync('b', 'a1=no b1=no');
      expect(rig.said()).to.deep.equal([]);
      rig.sync('a', 'a1=x b1=y');
      expect(rig.said()).to.deep.equal(['a does x', 'b does y']);
    });

    it('gives those nothing to do whom the leader forgot', () => {
      rig.sync('b');
      rig.sync('a', 'a1=x stranger=z');
      expect(rig.said()).to.deep.equal(['a does x', 'b has nothing to do']);
    });

    it('answers when the log has it, not before', () => {
      rig.holdWrites();
      rig.sync('a', 'a1=x b1=y');
      rig.sync('b');
      expect(rig.said()).to.deep.equal([]);
      expect(rig.group.state).to.equal('CompletingRebalance');
      rig.releaseWrites();
      expect(rig.said()).to.deep.equal(['a does x', 'b does y']);
      expect(rig.lastWrite?.members.map(({ memberId, assignment }) => `${memberId}=${assignment}`)).to.deep.equal([
        'a1=x',
        'b1=y',
      ]);
    });

    it('has all join again when the log does not take it', () => {
      rig.holdWrites();
      rig.sync('b');
      rig.sync('a', 'a1=x b1=y');
      rig.releaseWrites('NOT_COORDINATOR');
      expect(rig.said()).to.deep.equal(['a sync: NOT_COORDINATOR', 'b sync: NOT_COORDINATOR']);
      expect(rig.heartbeat('a')).to.equal('REBALANCE_IN_PROGRESS');
    });

    it('drops what the log takes after the next rebalance has begun', () => {
      rig.holdWrites();
      rig.sync('a', 'a1=x b1=y');
      rig.join('c');
      expect(rig.said()).to.deep.equal(['a sync: REBALANCE_IN_PROGRESS']);
      rig.releaseWrites();
      expect(rig.said()).to.deep.equal([]);
      expect(rig.group.state).to.equal('PreparingRebalance');
    });

    it('fails the syncs that wait when another rebalance begins', () => {
      rig.sync('b');
      rig.join('c');
      expect(rig.said()).to.deep.equal(['b sync: REBALANCE_IN_PROGRESS']);
    });

    it('refuses a sync while it rebalances, of another generation, of another protocol, of a stranger', () => {
      rig.sync('a', '', { protocolName: 'sticky' });
      rig.client('b').generationId = 1;
      rig.sync('b');
      rig.client('b').generationId = 2;
      rig.sync('x');
      rig.join('c');
      rig.sync('b');
      expect(rig.said()).to.deep.equal([
        'a sync: INCONSISTENT_GROUP_PROTOCOL',
        'b sync: ILLEGAL_GENERATION',
        'x sync: UNKNOWN_MEMBER_ID',
        'b sync: REBALANCE_IN_PROGRESS',
      ]);
    });

    it('tells a member that waits and is taken out that it is unknown', () => {
      rig.sync('b');
      rig.leave({ memberId: 'b1', groupInstanceId: null });
      expect(rig.said()).to.deep.equal(['b sync: UNKNOWN_MEMBER_ID']);
    });
  });

  describe('of static members (rule 7)', () => {
    const one = { groupInstanceId: 'one' };
    const two = { groupInstanceId: 'two' };

    beforeEach(() => {
      rig.join('a', one);
      rig.join('b', two);
      rig.join('a', one);
      rig.sync('b', '', two);
      rig.sync('a', 'a1=x b1=y', one);
      expect(rig.group.state).to.equal('Stable');
      rig.said();
    });

    it('lets one that started again take its place under a new id, and disturbs nobody', () => {
      rig.join('b', { ...two, memberId: '' });
      expect(rig.said()).to.deep.equal(['b is b2 of generation 2, range, follows a1']);
      rig.sync('b', '', two);
      expect(rig.said()).to.deep.equal(['b does y']);
      expect(rig.heartbeat('a', one)).to.equal('NONE');
      expect(rig.lastWrite?.members.map(({ memberId }) => memberId)).to.deep.equal(['a1', 'b2']);
    });

    it('fences whoever uses the old id', () => {
      rig.join('b', { ...two, memberId: '' });
      rig.said();
      rig.client('b').memberId = 'b1';
      expect(rig.heartbeat('b', two)).to.equal('FENCED_INSTANCE_ID');
      expect(rig.commit('b', two)).to.equal('FENCED_INSTANCE_ID');
      rig.sync('b', '', two);
      rig.join('b', two);
      expect(rig.said()).to.deep.equal(['b sync: FENCED_INSTANCE_ID', 'b join: FENCED_INSTANCE_ID b1']);
      expect(rig.leave({ memberId: 'b1', ...two })).to.deep.equal(['FENCED_INSTANCE_ID']);
    });

    it('fences the old one where it waits', () => {
      rig.join('c');
      rig.join('b', two);
      expect(rig.said()).to.deep.equal([]);
      rig.join('b', { ...two, memberId: '' });
      expect(rig.said()).to.deep.equal(['b join: FENCED_INSTANCE_ID b1']);
      rig.join('a', one);
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 3, range, leads a1 c1 b3',
        'c is c1 of generation 3, range, follows a1',
        'b is b3 of generation 3, range, follows a1',
      ]);
    });

    it('tells a leader that came back that it leads, and that nothing is to be assigned, if it understands that', () => {
      rig.join('a', { ...one, memberId: '', canSkipAssignment: true });
      expect(rig.said()).to.deep.equal(['a is a3 of generation 2, range, leads b1 a3, as before']);
      rig.sync('a', '', one);
      expect(rig.said()).to.deep.equal(['a does x']);
    });

    it('tells an older leader that came back that its former self leads, so that it does not assign', () => {
      rig.join('a', { ...one, memberId: '' });
      expect(rig.said()).to.deep.equal(['a is a3 of generation 2, range, follows a1']);
      expect(rig.group.leaderId).to.equal('a3');
    });

    it('begins anew when the one that came back wants another protocol than the group has', () => {
      rig = new GroupRig();
      rig.join('a', { ...one, protocols: 'range sticky' });
      rig.sync('a', '', one);
      rig.said();
      rig.join('a', { ...one, memberId: '', protocols: 'sticky range' });
      expect(rig.said()).to.deep.equal(['a is a2 of generation 2, sticky, leads a2']);
    });

    it('begins anew when one comes back while the leader assigns', () => {
      rig.join('a', one);
      rig.join('b', two);
      rig.said();
      rig.join('b', { ...two, memberId: '' });
      expect(rig.heartbeat('a', one)).to.equal('REBALANCE_IN_PROGRESS');
      rig.join('a', one);
      expect(rig.said()).to.deep.equal([
        'a is a1 of generation 4, range, leads a1 b3',
        'b is b3 of generation 4, range, follows a1',
      ]);
    });

    it('gives the place back when the log does not take the new id', () => {
      rig.holdWrites();
      rig.join('b', { ...two, memberId: '' });
      expect(rig.said()).to.deep.equal([]);
      rig.releaseWrites('NOT_COORDINATOR');
      expect(rig.said()).to.deep.equal(['b join: NOT_COORDINATOR']);
      expect(rig.client('b').memberId).to.equal('b1');
      expect(rig.heartbeat('b', two)).to.equal('NONE');
    });

    it('counts the session of one anew that waited for the log longer than that', () => {
      rig.holdWrites();
      rig.join('b', { ...two, memberId: '' });
      rig.passWithHeartbeats(2 * sessionMs, 'a');
      rig.releaseWrites();
      expect(rig.said()).to.deep.equal(['b is b2 of generation 2, range, follows a1']);
      rig.passWithHeartbeats(sessionMs, 'a');
      expect(rig.heartbeat('a', one)).to.equal('REBALANCE_IN_PROGRESS');
      expect(rig.heartbeat('b', two)).to.equal('UNKNOWN_MEMBER_ID');
    });

    it('does not count one as gone that is away for less than its session', () => {
      rig.passWithHeartbeats(sessionMs - 1_000, 'a');
      rig.join('b', { ...two, memberId: '' });
      expect(rig.said()).to.deep.equal(['b is b2 of generation 2, range, follows a1']);
    });

    it('lets an administrator take one out by its instance', () => {
      expect(
        rig.leave({ memberId: '', ...two }, { memberId: '', groupInstanceId: 'three' }, { memberId: 'a1', ...one }),
      ).to.deep.equal(['NONE', 'UNKNOWN_MEMBER_ID', 'NONE']);
      expect(rig.group.state).to.equal('Empty');
    });
  });

  it('takes a heartbeat while it rebalances as a sign of life, and tells of the rebalance (rule 8)', () => {
    rig.stable('a', 'b');
    rig.join('c');
    for (let seconds = 0; seconds < 30; seconds += 1) {
      rig.pass(1_000);
      expect([rig.heartbeat('a'), rig.heartbeat('b')]).to.deep.equal([
        'REBALANCE_IN_PROGRESS',
        'REBALANCE_IN_PROGRESS',
      ]);
    }
    rig.join('a');
    rig.join('b');
    expect(rig.said()).to.have.length(3);
  });

  describe('whose members commit (rule 9)', () => {
    it('takes commits of nobody in particular while it is empty, and only then', () => {
      const nobody = { memberId: '', generationId: -1, joins: 0 };
      expect(rig.commit('x')).to.equal('NONE');
      rig.stable('a');
      expect(rig.client('x')).to.deep.equal(nobody);
      expect(rig.commit('x')).to.equal('UNKNOWN_MEMBER_ID');
      expect(rig.commit('x', { isTransactional: true })).to.equal('NONE');
      rig.pass(sessionMs);
      expect(rig.commit('x')).to.equal('NONE');
      expect(rig.commit('a')).to.equal('UNKNOWN_MEMBER_ID');
    });

    it('takes a commit as a sign of life', () => {
      rig.stable('a');
      for (let times = 0; times < 5; times += 1) {
        rig.pass(sessionMs - 1);
        expect(rig.commit('a')).to.equal('NONE');
      }
      expect(rig.group.state).to.equal('Stable');
      rig.pass(sessionMs);
      expect(rig.group.state).to.equal('Empty');
    });

    it('takes commits while members join, and none while the leader assigns, but for transactions', () => {
      rig.stable('a', 'b');
      rig.join('b', { protocols: 'range=new' });
      expect(rig.commit('a')).to.equal('NONE');
      rig.join('a');
      expect(rig.commit('a')).to.equal('REBALANCE_IN_PROGRESS');
      expect(rig.commit('a', { isTransactional: true })).to.equal('NONE');
      rig.client('a').generationId = 2;
      expect(rig.commit('a')).to.equal('ILLEGAL_GENERATION');
      expect(rig.commit('a', { isTransactional: true })).to.equal('ILLEGAL_GENERATION');
      expect(rig.commit('a', { memberId: 'nobody' })).to.equal('UNKNOWN_MEMBER_ID');
      expect(rig.commit('a', { memberId: 'nobody', isTransactional: true })).to.equal('UNKNOWN_MEMBER_ID');
    });
  });

  describe('and protocols', () => {
    it('refuses a member of another type, without any, or with none that all know', () => {
      rig.join('a', { protocolType: '' });
      rig.join('a', { protocols: 'range sticky' });
      rig.said();
      rig.join('b', { protocolType: 'connect', protocols: 'range' });
      rig.join('b', { protocols: 'own' });
      rig.join('b', { protocols: 'sticky sticky' });
      rig.join('a', { protocols: 'range sticky' });
      rig.join('c', { protocols: 'range' });
      expect(rig.said()).to.deep.equal([
        'b join: INCONSISTENT_GROUP_PROTOCOL',
        'b join: INCONSISTENT_GROUP_PROTOCOL',
        'a is a2 of generation 2, sticky, leads a2 b3',
        'b is b3 of generation 2, sticky, follows a2',
        'c join: INCONSISTENT_GROUP_PROTOCOL',
      ]);
    });

    it('says so too of what cannot be a first member', () => {
      rig.join('a', { protocolType: '' });
      expect(rig.said()).to.deep.equal(['a join: INCONSISTENT_GROUP_PROTOCOL']);
      expect(rig.group.isVoid).to.equal(true);
    });

    it('lets each vote for its first that all know', () => {
      rig = new GroupRig({ initialRebalanceDelayMs: 3_000 });
      rig.join('a', { protocols: 'x range sticky' });
      rig.join('b', { protocols: 'sticky range' });
      rig.join('c', { protocols: 'y sticky range' });
      rig.pass(6_000);
      expect(rig.said()[0]).to.equal('a is a1 of generation 1, sticky, leads a1 b1 c1');
    });

    it('may be of another type once it is empty', () => {
      rig.stable('a');
      rig.pass(sessionMs);
      rig.join('b', { protocolType: 'connect', protocols: 'eager' });
      expect(rig.said()).to.deep.equal(['b is b1 of generation 3, eager, leads b1']);
      expect(rig.group.protocolType).to.equal('connect');
    });
  });

  describe('that members leave', () => {
    it('has another lead when the leader is gone', () => {
      rig.stable('a', 'b', 'c');
      expect(rig.leave({ memberId: 'a1', groupInstanceId: null })).to.deep.equal(['NONE']);
      rig.join('c');
      rig.join('b');
      expect(rig.said()).to.deep.equal([
        'b is b1 of generation 4, range, leads b1 c1',
        'c is c1 of generation 4, range, follows b1',
      ]);
    });

    it('completes the join that waited for the one that leaves', () => {
      rig.stable('a', 'b');
      rig.join('a');
      rig.leave({ memberId: 'b1', groupInstanceId: null });
      expect(rig.said()).to.deep.equal(['a is a1 of generation 3, range, leads a1']);
    });

    it('goes on undisturbed when strangers leave', () => {
      rig.stable('a');
      expect(rig.leave({ memberId: 'b9', groupInstanceId: null })).to.deep.equal(['UNKNOWN_MEMBER_ID']);
      expect(rig.heartbeat('a')).to.equal('NONE');
    });
  });

  it('does not know members of an empty group, nor generations of another time', () => {
    expect(rig.heartbeat('a')).to.equal('UNKNOWN_MEMBER_ID');
    rig.stable('a');
    rig.client('a').generationId = 7;
    expect(rig.heartbeat('a')).to.equal('ILLEGAL_GENERATION');
  });

  it('tells whoever waits when it is dismissed', () => {
    rig.stable('a', 'b');
    rig.join('a');
    rig.group.dismiss('NOT_COORDINATOR');
    rig.heartbeat('b');
    expect(rig.said()).to.deep.equal(['a join: NOT_COORDINATOR a1']);
  });
});
