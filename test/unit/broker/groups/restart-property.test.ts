import { expect } from 'chai';
import fc from 'fast-check';
import type { JoinReply } from '../../../../src/broker/groups/group-messages.ts';
import { settled } from '../../../support/fake-clock.ts';
import { CoordinatorRig } from './coordinator-rig.ts';

type Step =
  | { do: 'member'; group: string; instance: string | null }
  | { do: 'leave'; group: string }
  | { do: 'commit'; group: string; offsets: string; producer: number | undefined; fails: boolean }
  | { do: 'end'; producer: number; commit: boolean }
  | { do: 'delete group'; group: string }
  | { do: 'delete offsets'; group: string; partition: number }
  | { do: 'delete topic'; topic: string }
  | { do: 'days'; days: number };

const anyGroup = fc.constantFrom('g', 'h', 'i');
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('member' as const),
      group: anyGroup,
      instance: fc.constantFrom(null, 'one'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), group: anyGroup }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      group: anyGroup,
      offsets: fc
        .tuple(fc.constantFrom('t-0', 't-1', 'u-0'), fc.nat(99), fc.constantFrom('t-0', 't-2', 'u-0'), fc.nat(99))
        .map(([one, offset, two, other]) => `${one}=${offset} ${two}=${other}`),
      producer: fc.constantFrom(undefined, 1, 2),
      fails: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      producer: fc.constantFrom(1, 2),
      commit: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete group' as const), group: anyGroup }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('delete offsets' as const), group: anyGroup, partition: fc.nat(2) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete topic' as const), topic: fc.constantFrom('t', 'u') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('days' as const), days: fc.nat(8) }) },
);

describe('a coordinator that starts again', () => {
  it('is the same, whatever came before', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 30, size: 'max' }), async (steps) => {
        const rig = await CoordinatorRig.started();
        const members = new Map<string, JoinReply>();
        for (const step of steps) await take(rig, members, step);
        const before = rig.state();
        await rig.restart();
        expect(rig.state()).to.deep.equal(before);
        // And still is when what was open has come to its end.
        for (const producer of [1, 2]) await take(rig, members, { do: 'end', producer, commit: producer === 1 });
        const after = rig.state();
        await rig.restart();
        expect(rig.state()).to.deep.equal(after);
        await rig.coordinator.stop();
        expect(rig.clock.pending).to.equal(0);
      }),
      { numRuns: 1_000 },
    );
  });
});

async function take(rig: CoordinatorRig, members: Map<string, JoinReply>, step: Step): Promise<void> {
  switch (step.do) {
    case 'member': {
      // One member at a time, so that the group is never left in between.
      const { group, instance } = step;
      const known = members.get(group);
      if (known !== undefined) rig.coordinator.leave(group, [{ memberId: known.memberId, groupInstanceId: null }]);
      members.set(group, await rig.stable(group, { groupInstanceId: instance }));
      break;
    }
    case 'leave': {
      const known = members.get(step.group);
      members.delete(step.group);
      if (known !== undefined) rig.coordinator.leave(step.group, [{ memberId: known.memberId, groupInstanceId: null }]);
      break;
    }
    case 'commit': {
      if (step.fails) rig.log.refusals.push('KAFKA_STORAGE_ERROR');
      const joined = members.get(step.group);
      const producer = step.producer === undefined ? {} : { producer: { producerId: step.producer, producerEpoch: 0 } };
      await rig.commit(step.group, step.offsets, { ...producer, ...(joined === undefined ? {} : { joined }) });
      rig.log.refusals.length = 0;
      break;
    }
    case 'end':
      rig.endTransaction({ producerId: step.producer, producerEpoch: 0 }, step.commit);
      break;
    case 'delete group':
      await rig.coordinator.deleteGroup(step.group);
      break;
    case 'delete offsets': {
      const partitions = ['t', 'u'].map((topic) => ({ topic, partition: step.partition }));
      await rig.coordinator.deleteOffsets(step.group, partitions).catch(() => undefined);
      break;
    }
    case 'delete topic':
      await rig.coordinator.forgetTopic(step.topic);
      break;
    case 'days':
      // Longer than a session: whoever was a member is none any more.
      if (step.days > 0) members.clear();
      await rig.clock.leap(step.days * 24 * 3_600_000);
  }
  await settled();
}
