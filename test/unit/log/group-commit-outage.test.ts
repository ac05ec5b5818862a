import { expect } from 'chai';
import { settled } from '../../support/fake-clock.ts';
import { GroupCommitRig } from '../../support/group-commit-rig.ts';
import { appended, notSent, rejected, unknown } from '../../support/scripted-sender.ts';

describe('group commit while the log is away', () => {
  let rig: GroupCommitRig;
  const probes = () => rig.sender.transcript.filter((line) => line === 'probe').length;

  beforeEach(() => {
    rig = new GroupCommitRig();
    rig.sender.reachable = false;
  });

  afterEach(async () => {
    rig.commit.stop();
    while (rig.sender.inFlight) await rig.sender.answer(notSent);
    await rig.clock.pass(60_000);
    expect(rig.budget.bytes).to.equal(0);
    expect(rig.clock.pending).to.equal(0);
  });

  /** Answers every try the same way until nothing is in flight for a while. */
  async function failFor(durationMs: number, outcome = notSent): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += 10) {
      if (rig.sender.inFlight) await rig.sender.answer(outcome);
      await rig.clock.pass(10);
    }
  }

  it('waits out a failure that is short', async () => {
    rig.append('a');
    await failFor(900);
    expect(rig.results).to.deep.equal({});
    await rig.clock.pass(1_000);
    await rig.sender.answer(appended(0));
    expect(rig.results).to.deep.equal({ a: 'offset 0' });
  });

  it('refuses what never left after a second of failures, long before its deadline, and then everything at once', async () => {
    rig.append('a');
    await failFor(500);
    rig.append('b');
    await failFor(1_500);
    expect(rig.results).to.deep.equal({ a: 'log_unavailable', b: 'log_unavailable' });
    const sends = rig.sender.attempts.length;
    rig.append('c');
    await settled();
    expect(rig.results).to.deep.include({ c: 'log_unavailable' });
    expect(rig.sender.attempts).to.have.length(sends);
    expect(rig.commit.stats).to.deep.equal({ appended: 0, batches: 0, unknown: 0, refused: 3 });
  });

  it('refuses what waits behind a batch in doubt, but leaves the batch its time', async () => {
    rig.append('in doubt');
    await settled();
    rig.append('waiting');
    await failFor(3_000, unknown);
    expect(rig.results).to.deep.equal({ waiting: 'log_unavailable' });
    await rig.clock.pass(1_000);
    await rig.sender.answer(appended(4));
    expect(rig.results).to.deep.include({ 'in doubt': 'offset 4' });
    rig.append('after');
    await rig.sender.answer(appended(5));
    expect(rig.results).to.deep.include({ after: 'offset 5' });
  });

  it('goes on asking, ever less often, and takes writes again when the log answers', async () => {
    rig.append('a');
    await failFor(2_000);
    const early = probes();
    expect(early).to.be.at.least(1);
    await rig.clock.pass(60_000);
    expect(probes() - early).to.be.within(5, 60);
    rig.sender.reachable = true;
    await rig.clock.pass(5_000);
    rig.append('b');
    expect(rig.sender.transcript.at(-1)).to.equal('send b');
    await rig.sender.answer(appended(0));
    expect(rig.results).to.deep.include({ b: 'offset 0' });
    const afterwards = probes();
    await rig.clock.pass(60_000);
    expect(probes()).to.equal(afterwards);
  });

  it('starts counting failures anew after a success', async () => {
    rig.append('a');
    await failFor(900);
    await rig.clock.pass(1_000);
    await rig.sender.answer(appended(0));
    rig.append('b');
    await rig.sender.answer(notSent);
    rig.append('c');
    await settled();
    expect(rig.results).to.deep.equal({ a: 'offset 0' });
    await rig.clock.pass(200);
    await rig.sender.answer(appended(1));
    await rig.sender.answer(appended(2));
    expect(rig.results).to.deep.include({ b: 'offset 1', c: 'offset 2' });
  });

  it('does not count a refusal that is about the records as the log being away', async () => {
    for (const key of ['a', 'b', 'c']) {
      rig.append(key);
      await rig.sender.answer(rejected('never'));
      await rig.clock.pass(2_000);
    }
    rig.append('d');
    expect(rig.sender.transcript.at(-1)).to.equal('send d');
  });

  describe('drain', () => {
    const drained = (): (() => boolean) => {
      let done = false;
      rig.commit.drain().then(
        () => {
          done = true;
        },
        () => {},
      );
      return () => done;
    };

    it('is done at once when there is nothing to do', async () => {
      const isDone = drained();
      await settled();
      expect(isDone()).to.equal(true);
    });

    it('sends what it has, takes nothing more, and is done when the last is answered', async () => {
      rig.append('a', 'b');
      const isDone = drained();
      rig.append('c');
      await rig.sender.answer(appended(0));
      expect(isDone()).to.equal(false);
      await rig.sender.answer(appended(1));
      expect(isDone()).to.equal(true);
      expect(rig.results).to.deep.equal({ c: 'shutting_down', a: 'offset 0', b: 'offset 1' });
    });

    it('ends while the log is away', async () => {
      rig.append('a');
      await failFor(2_000);
      const isDone = drained();
      await rig.clock.pass(10_000);
      expect(isDone()).to.equal(true);
    });

    it('ends for a batch in doubt once its writers have been answered', async () => {
      rig.append('a');
      const isDone = drained();
      await failFor(11_000, unknown);
      expect(isDone()).to.equal(true);
      expect(rig.results).to.deep.equal({ a: 'write_outcome_unknown' });
    });
  });

  describe('stop', () => {
    it('sends nothing more and settles what waits as not written', async () => {
      rig.append('a');
      await rig.sender.answer(notSent);
      rig.append('b');
      rig.commit.stop();
      await rig.clock.pass(60_000);
      expect(rig.sender.transcript).to.deep.equal(['send a']);
      expect(rig.results).to.deep.equal({ a: 'log_unavailable', b: 'log_unavailable' });
      rig.append('c');
      await settled();
      expect(rig.results.c).to.equal('shutting_down');
    });

    it('leaves a batch in doubt in doubt', async () => {
      rig.append('a');
      await rig.sender.answer(unknown);
      rig.commit.stop();
      await settled();
      expect(rig.results).to.deep.equal({ a: 'write_outcome_unknown' });
      expect(rig.sender.transcript).to.deep.equal(['send a', 'forget']);
    });

    it('still hears the answer to what is in flight', async () => {
      rig.append('a', 'b');
      rig.commit.stop();
      await rig.sender.answer(appended(6));
      expect(rig.results).to.deep.equal({ a: 'offset 6', b: 'log_unavailable' });
    });

    it('ends the asking', async () => {
      rig.append('a');
      await failFor(2_000);
      rig.commit.stop();
      await settled();
      expect(rig.clock.pending).to.equal(0);
      const asked = probes();
      await rig.clock.pass(60_000);
      expect(probes()).to.equal(asked);
    });
  });

  it('takes writes again after a single one that was given up, however short the trouble was', async () => {
    rig.sender.reachable = true;
    rig.append('a');
    await rig.clock.pass(10_000);
    await rig.sender.answer(unknown);
    await rig.clock.pass(60_000);
    rig.append('b');
    await rig.sender.answer(appended(1));
    expect(rig.results).to.deep.include({ a: 'write_outcome_unknown', b: 'offset 1' });
  });
});
