import { expect } from 'chai';
import { type Clock, systemClock } from '../../../../src/kernel/clock.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { Brokers } from '../../../../src/log/wire/brokers.ts';
import { type CommittedPosition, GroupOffsets } from '../../../../src/log/wire/group-offsets.ts';
import { kafkaErrors } from '../../../../src/protocol/errors.ts';
import { keepingLogger } from '../../../support/replica-rig.ts';
import { ScriptedCluster } from '../../../support/wire/scripted-cluster.ts';

const minuteMs = 60_000;

describe('the offsets of the node’s group', () => {
  let cluster: ScriptedCluster;
  let brokers: Brokers;
  let lines: string[];
  let laterMs: number;
  let positions: CommittedPosition[];
  let groupOffsets: GroupOffsets;

  beforeEach(async () => {
    cluster = await ScriptedCluster.start({ partitions: 2 });
    lines = [];
    laterMs = 0;
    positions = [
      { offset: 5, leaderEpoch: 1 },
      { offset: 0, leaderEpoch: -1 },
    ];
    const logger = keepingLogger(lines);
    const connection = { brokers: [cluster.brokers[0]!.hostPort], clientId: 'group', tls: undefined, sasl: undefined };
    brokers = new Brokers({ connection, clock: systemClock, logger });
    const clock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + laterMs };
    const { topic } = cluster;
    groupOffsets = new GroupOffsets({ brokers, topic, groupId: 'group', positions: () => positions, clock, logger });
  });

  afterEach(async () => {
    brokers.close();
    await cluster.stop();
  });

  const committed = (): number[][] => cluster.commits.map(({ offsets }) => offsets);

  it('are committed where they have moved, and again after half an hour where they have not', async () => {
    await groupOffsets.commit();
    await groupOffsets.commit();
    expect(committed()).to.deep.equal([[5, 0]]);
    positions = [{ offset: 6, leaderEpoch: 2 }, positions[1]!];
    await groupOffsets.commit();
    expect(committed()).to.deep.equal([[5, 0], [6]]);
    laterMs = 29 * minuteMs;
    await groupOffsets.commit();
    expect(committed()).to.have.length(2);
    laterMs = 31 * minuteMs;
    await groupOffsets.commit();
    expect(committed().at(-1)).to.deep.equal([6, 0]);
    const [request] = cluster.brokers[0]!.asked(apis.offsetCommit);
    expect(request!.topics[0]!.partitions[0]).to.deep.include({ committedOffset: 5, committedLeaderEpoch: 1 });
  });

  it('are committed at another broker when the coordinator has moved', async () => {
    cluster.commitError = kafkaErrors.NOT_COORDINATOR.code;
    await groupOffsets.commit();
    cluster.commitError = 0;
    await groupOffsets.commit();
    expect(cluster.brokers[0]!.asked(apis.findCoordinator)).to.have.length(2);
    expect(committed()).to.deep.equal([
      [5, 0],
      [5, 0],
    ]);
    expect(lines.filter((line) => line.startsWith('warn'))).to.deep.equal([]);
  });

  it('may be refused, which is told once for each reason, and again after it went well', async () => {
    const warnings = () => lines.filter((line) => line.startsWith('warn'));
    cluster.commitError = kafkaErrors.GROUP_AUTHORIZATION_FAILED.code;
    await groupOffsets.commit();
    await groupOffsets.commit();
    expect(warnings()).to.have.length(1);
    expect(warnings()[0]).to.contain('GROUP_AUTHORIZATION_FAILED: this user may not');
    cluster.commitError = 0;
    await groupOffsets.commit();
    positions = [{ offset: 9, leaderEpoch: 1 }, positions[1]!];
    cluster.commitError = kafkaErrors.GROUP_AUTHORIZATION_FAILED.code;
    await groupOffsets.commit();
    expect(warnings()).to.have.length(2);
  });

  it('wait for the next time when no broker is there', async () => {
    await cluster.brokers[0]!.stop();
    await groupOffsets.commit();
    expect(lines.filter((line) => line.startsWith('warn'))).to.deep.equal([]);
    await cluster.restart(0);
    await groupOffsets.commit();
    expect(committed()).to.deep.equal([[5, 0]]);
  });
});
