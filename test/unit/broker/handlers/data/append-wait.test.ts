import { expect } from 'chai';
import { AppendWait } from '../../../../../src/broker/handlers/data/append-wait.ts';
import type { PartitionLog } from '../../../../../src/broker/storage/partition-log.ts';
import { settled } from '../../../../support/fake-clock.ts';
import { append, LogRig } from '../../storage/log-rig.ts';

describe('a wait for appends', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  /** Notes the logs, does `meanwhile`, and waits; answers whether the wait is over. */
  async function begin(logs: readonly PartitionLog[], missingBytes: number, meanwhile = () => {}) {
    const wait = new AppendWait();
    for (const log of logs) wait.note(log);
    meanwhile();
    let isOver = false;
    const controller = new AbortController();
    void wait.until(missingBytes, { timeoutMs: 1_000, clock: rig.clock, signal: controller.signal }).then(() => {
      isOver = true;
    });
    await settled();
    return { isOver: () => settled().then(() => isOver), abort: () => controller.abort() };
  }

  it('is over when enough was appended to all logs together, and not before', async () => {
    const logs = [await rig.fresh(), await rig.fresh()];
    append(logs[0]!, ['a']);
    const { isOver } = await begin(logs, logs[0]!.sizeBytes * 2);
    append(logs[0]!, ['a']);
    expect(await isOver()).to.equal(false);
    append(logs[1]!, ['a']);
    expect(await isOver()).to.equal(true);
    expect(rig.clock.pending).to.equal(0);
  });

  it('counts what came between the reading and the waiting', async () => {
    const log = await rig.fresh();
    const { isOver } = await begin([log], 1, () => append(log, ['a']));
    expect(await isOver()).to.equal(true);
    expect(rig.clock.pending).to.equal(0);
  });

  it('counts the first append after old segments were deleted', async () => {
    const log = await rig.fresh({ segmentBytes: 120, retentionMs: 0 });
    for (let index = 0; index < 5; index += 1) append(log, ['x'.repeat(40)], { timestampMs: 1 });
    const { isOver } = await begin([log], 1);
    await log.retain(rig.clock.nowMs());
    expect(await isOver()).to.equal(false);
    append(log, ['a']);
    expect(await isOver()).to.equal(true);
  });

  it('is over when a log is closed, as the log of a topic is that is deleted', async () => {
    const log = await rig.fresh();
    const { isOver } = await begin([log], 1);
    expect(await isOver()).to.equal(false);
    await log.remove();
    expect(await isOver()).to.equal(true);
    expect(await (await begin([log], 1)).isOver()).to.equal(true);
  });

  it('is over when the end of a transaction lets readers go on', async () => {
    const log = await rig.fresh();
    append(log, ['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true });
    const { isOver } = await begin([log], 1_000_000);
    append(log, ['b']);
    expect(await isOver()).to.equal(false);
    log.appendMarker({ producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, commit: true, leaderEpoch: 0 });
    expect(await isOver()).to.equal(true);
  });

  it('is over in the end, or when nobody waits any more', async () => {
    const log = await rig.fresh();
    const first = await begin([log], 1);
    const second = await begin([log], 1);
    second.abort();
    expect(await second.isOver()).to.equal(true);
    expect(await first.isOver()).to.equal(false);
    await rig.clock.pass(1_000);
    expect(await first.isOver()).to.equal(true);
  });

  it('looks at a log once however often it is named', async () => {
    const log = await rig.fresh();
    append(log, ['a']);
    const bytes = log.sizeBytes;
    const { isOver } = await begin(new Array<PartitionLog>(20_000).fill(log), bytes + 1);
    append(log, ['a']);
    expect(await isOver()).to.equal(false);
    append(log, ['a']);
    expect(await isOver()).to.equal(true);
  });
});
