import { expect } from 'chai';
import { CatchUp } from '../../../src/replica/catch-up.ts';
import { CatchUpReporter, progressText } from '../../../src/replica/catch-up-reporter.ts';
import { Lag } from '../../../src/replica/lag.ts';
import type { ReplicaStatus } from '../../../src/replica/status.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { keepingLogger } from '../../support/replica-rig.ts';

describe('catch-up', () => {
  it('is done when every partition has reached the end it had at the start', () => {
    const catchUp = new CatchUp([0, 5, 0], [10, 20, 0], 0);
    expect([0, 1, 2].map((partition) => catchUp.isCaughtUp(partition))).to.deep.equal([false, false, true]);
    catchUp.advance(0, 9);
    expect(catchUp.isCaughtUp(0)).to.equal(false);
    catchUp.advance(0, 10);
    expect(catchUp.isCaughtUp(0)).to.equal(true);
    expect(catchUp.done).to.equal(false);
    catchUp.advance(1, 25);
    expect(catchUp.done).to.equal(true);
  });

  it('is done at once where there is nothing to read', () => {
    expect(new CatchUp([0, 7], [0, 7], 0).done).to.equal(true);
    expect(new CatchUp([], [], 0).done).to.equal(true);
    expect(new CatchUp([0], [0], 0).progress([0], 0)).to.deep.include({ offsetsTotal: 0, percent: 100 });
  });

  it('tells how far it is, how fast, and how long it will take', () => {
    const catchUp = new CatchUp([100, 0], [1_100, 1_000], 5_000);
    expect(catchUp.progress([100, 0], 5_000)).to.deep.equal({
      offsetsDone: 0,
      offsetsTotal: 2_000,
      percent: 0,
      offsetsPerSecond: 0,
      remainingMs: undefined,
    });
    expect(catchUp.progress([600, 0], 7_000)).to.deep.equal({
      offsetsDone: 500,
      offsetsTotal: 2_000,
      percent: 25,
      offsetsPerSecond: 250,
      remainingMs: 6_000,
    });
  });

  it('goes by the start and the end it was given, whatever becomes of those arrays', () => {
    const [positions, ends] = [[100], [200]];
    const catchUp = new CatchUp(positions, ends, 0);
    positions[0] = 150;
    ends[0] = 150;
    expect(catchUp.progress(positions, 1_000)).to.deep.include({ offsetsDone: 50, offsetsTotal: 100, percent: 50 });
    catchUp.advance(0, 150);
    expect(catchUp.done).to.equal(false);
  });

  it('does not count what lies beyond the end it is to reach, nor round up to 100 %', () => {
    const catchUp = new CatchUp([0, 0], [1_000, 1_000], 0);
    expect(catchUp.progress([5_000, 999], 1_000)).to.deep.include({ offsetsDone: 1_999, percent: 99 });
  });

  it('is told in one line', () => {
    const progress = { offsetsDone: 1_200_000, offsetsTotal: 2_000_000, percent: 60, offsetsPerSecond: 450_000 };
    expect(progressText({ ...progress, remainingMs: 1_778 })).to.equal(
      'catching up: 1,200,000 of 2,000,000 offsets (60 %), 450,000/s, 2 s left',
    );
    expect(progressText({ ...progress, remainingMs: undefined })).to.equal(
      'catching up: 1,200,000 of 2,000,000 offsets (60 %), 450,000/s',
    );
  });
});

describe('lag', () => {
  it('is counted from the oldest end that is not reached, not from the newest', () => {
    const lag = new Lag();
    lag.sighted(0, 10, 0);
    lag.sighted(0, 20, 2_000);
    lag.sighted(0, 30, 4_000);
    lag.advance(0, 10);
    expect(lag.ms(4_000)).to.equal(2_000);
  });

  it('keeps to a bounded memory, and nearly the same answer, however long a node is behind', () => {
    const lag = new Lag();
    for (let i = 0; i < 10_000; i += 1) lag.sighted(0, i, i);
    lag.advance(0, 5_000);
    expect(lag.ms(10_000)).to.be.within(4_800, 5_000);
  });

  let lag: Lag;

  beforeEach(() => {
    lag = new Lag();
  });

  it('is nothing before any end was seen, and for a partition whose end is reached', () => {
    expect(lag.ms(1_000)).to.equal(0);
    expect(lag.end(0)).to.equal(undefined);
    lag.sighted(0, 10, 1_000);
    lag.advance(0, 10);
    expect(lag.ms(9_000)).to.equal(0);
    expect(lag.end(0)).to.equal(10);
  });

  it('grows from when an end was seen until the position is there', () => {
    lag.sighted(0, 10, 1_000);
    lag.sighted(0, 10, 3_000);
    expect(lag.ms(4_000)).to.equal(3_000);
    lag.advance(0, 9);
    expect(lag.ms(4_000)).to.equal(3_000);
    lag.advance(0, 10);
    expect(lag.ms(4_000)).to.equal(0);
  });

  it('goes on from a later end when the earlier one is reached', () => {
    lag.sighted(0, 10, 1_000);
    lag.sighted(0, 20, 3_000);
    lag.advance(0, 15);
    expect(lag.ms(4_000)).to.equal(1_000);
    lag.advance(0, 20);
    expect(lag.ms(9_000)).to.equal(0);
  });

  it('is that of the partition that is furthest behind', () => {
    lag.sighted(0, 10, 1_000);
    lag.sighted(2, 10, 500);
    lag.sighted(1, 10, 2_000);
    expect(lag.ms(3_000)).to.equal(2_500);
    lag.advance(2, 10);
    expect(lag.ms(3_000)).to.equal(2_000);
  });
});

describe('catch-up reporter', () => {
  const progress = { offsetsDone: 5, offsetsTotal: 10, percent: 50, offsetsPerSecond: 5, remainingMs: 1_000 };
  const partitions = [{ partition: 0, position: 10, end: 10, lag: 0 }];
  const common = { ready: false, reason: undefined, lagMs: 0, logAnswers: true, startedFrom: undefined, partitions };
  const catchingUp: ReplicaStatus = { ...common, state: 'catching-up', progress };
  const serving: ReplicaStatus = { ...common, state: 'serving', ready: true, progress: undefined };

  let clock: FakeClock;
  let lines: string[];
  let written: string;
  let status: ReplicaStatus;

  beforeEach(() => {
    clock = new FakeClock();
    lines = [];
    written = '';
    status = catchingUp;
  });

  function reporter(onTerminal: boolean): CatchUpReporter {
    const write = (text: string) => {
      written += text;
    };
    return new CatchUpReporter({
      status: () => status,
      terminal: onTerminal ? { write } : undefined,
      clock,
      logger: keepingLogger(lines),
    });
  }

  it('writes a line now and then, and one at the end', async () => {
    const tried = reporter(false);
    await tried.run();
    await clock.pass(12_000);
    expect(lines.length).to.be.within(2, 4);
    expect(new Set(lines)).to.deep.equal(new Set([`info: ${progressText(progress)}`]));
    status = serving;
    lines.splice(0);
    await clock.pass(60_000);
    expect(lines).to.have.length(1);
    await tried.stop();
    expect(clock.pending).to.equal(0);
  });

  it('says once that the node has caught up', async () => {
    const tried = reporter(false);
    await tried.run();
    await clock.pass(500);
    status = serving;
    await clock.pass(60_000);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(/^info: caught up with the log: 1 partition\(s\), 10 offsets, 0\.\d s$/);
    await tried.stop();
  });

  it('says nothing when there is nothing to catch up with', async () => {
    status = serving;
    const tried = reporter(true);
    await tried.run();
    await clock.pass(60_000);
    await tried.stop();
    expect(lines).to.deep.equal([]);
    expect(written).to.equal('');
  });

  it('writes over its own line on a terminal, and leaves none behind', async () => {
    const tried = reporter(true);
    await tried.run();
    await clock.pass(1_000);
    const drawn = written.split('\r\u001b[K');
    expect(drawn.length).to.be.at.least(3);
    expect(drawn.slice(1).every((line) => line === progressText(progress))).to.equal(true);
    await tried.stop();
    expect(written.endsWith('\r\u001b[K')).to.equal(true);
    expect(clock.pending).to.equal(0);
  });
});
