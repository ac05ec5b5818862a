import { expect } from 'chai';
import { settled } from '../../support/fake-clock.ts';
import { GroupCommitRig, type RigOptions } from '../../support/group-commit-rig.ts';
import { appended, notSent, rejected, unknown } from '../../support/scripted-sender.ts';

/** Longer than the first pauses between tries, and short of the time after which the log counts as down. */
const aTryMs = 200;

describe('group commit', () => {
  let rig: GroupCommitRig;

  beforeEach(() => {
    rig = new GroupCommitRig();
  });

  /** Whatever a test did, nothing may be left behind: bytes of the budget, or deadlines. */
  afterEach(async () => {
    rig.commit.stop();
    while (rig.sender.inFlight) await rig.sender.answer(notSent);
    await rig.clock.pass(60_000);
    expect(rig.budget.bytes).to.equal(0);
    expect(rig.clock.pending).to.equal(0);
    expect(rig.commit.queued).to.equal(0);
  });

  describe('batches', () => {
    it('sends the first at once, and what arrives meanwhile together, in order', async () => {
      rig.append('a');
      rig.append('b', 'c');
      rig.append('d');
      expect(rig.sender.transcript).to.deep.equal(['send a']);
      await rig.sender.answer(appended(10));
      expect(rig.results).to.deep.equal({ a: 'offset 10' });
      await rig.sender.answer(appended(11));
      expect(rig.sender.transcript).to.deep.equal(['send a', 'send b c d']);
      expect(rig.results).to.deep.equal({ a: 'offset 10', b: 'offset 11', c: 'offset 12', d: 'offset 13' });
      expect(rig.commit.stats).to.deep.equal({ appended: 4, batches: 2, unknown: 0, refused: 0 });
      expect(rig.clock.pending).to.equal(0);
    });

    it('starts again after a rest', async () => {
      rig.append('a');
      await rig.sender.answer(appended(0));
      await rig.clock.pass(3_600_000);
      rig.append('b');
      await rig.sender.answer(appended(1));
      expect(rig.results).to.deep.equal({ a: 'offset 0', b: 'offset 1' });
    });

    it('holds no more records than its bound', async () => {
      rig = new GroupCommitRig({ batchRecordsMax: 2 });
      rig.append('a', 'b', 'c', 'd', 'e', 'f');
      for (const base of [0, 1, 3, 5]) await rig.sender.answer(appended(base));
      expect(rig.sender.transcript).to.deep.equal(['send a', 'send b c', 'send d e', 'send f']);
      expect(rig.results.f).to.equal('offset 5');
    });

    it('holds no more bytes than its bound, except in a single record', async () => {
      rig = new GroupCommitRig({ batchBytesMax: 2_500 });
      rig.append('a');
      for (const key of ['b', 'c', 'd']) rig.appendSized(key, 1_000);
      rig.appendSized('e', 5_000);
      rig.appendSized('f', 1_000);
      for (let base = 0; rig.sender.inFlight; base += 1) await rig.sender.answer(appended(base));
      expect(rig.sender.transcript).to.deep.equal(['send a', 'send b c', 'send d', 'send e', 'send f']);
    });

    it('answers with the log’s time where the log stamps records, else with the record’s', async () => {
      rig.append('a', 'b');
      await rig.sender.answer(appended(0, 123_456));
      await rig.sender.answer(appended(1));
      expect(rig.fates.get('a')?.timestampMs).to.equal(123_456);
      expect(rig.fates.get('b')?.timestampMs).to.equal(77);
    });
  });

  describe('deadlines', () => {
    it('tells a write that never left from one that did', async () => {
      rig.append('in flight', 'waiting');
      await rig.clock.pass(9_999);
      expect(rig.results).to.deep.equal({});
      await rig.clock.pass(1);
      expect(rig.results).to.deep.equal({ 'in flight': 'write_outcome_unknown', waiting: 'log_unavailable' });
      expect(rig.commit.stats).to.deep.include({ unknown: 1, refused: 1 });
    });

    it('never sends what was given up while it waited', async () => {
      rig.append('a', 'b');
      await rig.clock.pass(5_000);
      rig.append('c');
      await rig.clock.pass(5_000);
      await rig.sender.answer(appended(0));
      expect(rig.sender.transcript).to.deep.equal(['send a', 'send c']);
      await rig.sender.answer(appended(1));
      expect(rig.results).to.deep.include({ a: 'write_outcome_unknown', b: 'log_unavailable', c: 'offset 1' });
    });

    it('leaves out of the next try what was given up between two tries', async () => {
      await sendTogetherLate(['old', 'new']);
      await rig.sender.answer(notSent);
      await rig.clock.pass(aTryMs);
      expect(rig.results).to.deep.include({ old: 'log_unavailable' });
      expect(rig.sender.transcript.at(-1)).to.equal('send new');
      await rig.sender.answer(appended(8));
      expect(rig.results).to.deep.include({ new: 'offset 8' });
    });

    it('keeps what was given up in a batch that may be in the log: a repetition is the same or none', async () => {
      await sendTogetherLate(['old', 'new']);
      await rig.sender.answer(unknown);
      await rig.clock.pass(aTryMs);
      expect(rig.results).to.deep.include({ old: 'write_outcome_unknown' });
      expect(rig.sender.transcript.at(-1)).to.equal('send old new');
      await rig.sender.answer(appended(8));
      expect(rig.results).to.deep.include({ new: 'offset 9' });
    });

    /** Two records in one batch, of which the first has just 10 ms left. */
    async function sendTogetherLate([old, young]: [string, string]): Promise<void> {
      rig.append('before');
      rig.append(old);
      await rig.clock.pass(9_990);
      rig.append(young);
      await rig.sender.answer(appended(7));
    }
  });

  describe('an outcome that is unknown', () => {
    it('is found out by sending the same batch again, and nothing else with it', async () => {
      rig.append('a');
      rig.append('b', 'c');
      await rig.sender.answer(appended(5));
      await rig.sender.answer(unknown);
      rig.append('d');
      await rig.clock.pass(aTryMs);
      await rig.sender.answer(unknown);
      await rig.clock.pass(aTryMs);
      await rig.sender.answer(appended(6));
      expect(rig.sender.transcript).to.deep.equal(['send a', 'send b c', 'send b c', 'send b c', 'send d']);
      expect(rig.results).to.deep.include({ b: 'offset 6', c: 'offset 7' });
    });

    for (const retry of ['never', 'split', 'anew'] as const) {
      it(`stays unknown when the repetition is rejected (${retry}), and the next batch starts afresh`, async () => {
        rig.append('a');
        rig.append('b', 'c');
        await rig.sender.answer(appended(0));
        await rig.sender.answer(unknown);
        rig.append('d');
        await rig.clock.pass(aTryMs);
        await rig.sender.answer(rejected(retry));
        expect(rig.sender.transcript).to.deep.equal(['send a', 'send b c', 'send b c', 'forget', 'send d']);
        expect(rig.results).to.deep.include({ b: 'write_outcome_unknown', c: 'write_outcome_unknown' });
        await rig.sender.answer(appended(3));
        expect(rig.results.d).to.equal('offset 3');
      });
    }

    it('is asked again when the log says to try the same again', async () => {
      rig.append('a');
      await rig.sender.answer(unknown);
      await rig.clock.pass(aTryMs);
      await rig.sender.answer(rejected('same'));
      await rig.clock.pass(aTryMs);
      await rig.sender.answer(appended(4));
      expect(rig.results).to.deep.equal({ a: 'offset 4' });
      expect(rig.sender.transcript).to.not.include('forget');
    });

    it('is forgotten once nobody waits any more', async () => {
      rig.append('a');
      await rig.sender.answer(unknown);
      await rig.clock.pass(aTryMs);
      expect(rig.sender.inFlight).to.equal(true);
      await rig.clock.pass(10_000);
      await rig.sender.answer(unknown);
      await rig.clock.pass(aTryMs);
      expect(rig.results).to.deep.equal({ a: 'write_outcome_unknown' });
      expect(rig.sender.transcript.slice(0, 3)).to.deep.equal(['send a', 'send a', 'forget']);
    });
  });

  describe('a refusal by the log', () => {
    for (const outcome of [notSent, rejected('same'), rejected('anew')]) {
      it(`is tried again when that may help (${outcome.kind === 'rejected' ? outcome.retry : outcome.kind})`, async () => {
        rig.append('a');
        await rig.sender.answer(outcome);
        expect(rig.sender.inFlight).to.equal(false);
        await rig.clock.pass(aTryMs);
        await rig.sender.answer(appended(0));
        expect(rig.results).to.deep.equal({ a: 'offset 0' });
      });
    }

    it('is passed on when nothing helps, and the next batch has its own chance', async () => {
      rig.append('a');
      rig.append('b', 'c');
      await rig.sender.answer(rejected('never'));
      await rig.sender.answer(rejected('never'));
      rig.append('d');
      await rig.sender.answer(appended(0));
      expect(rig.results).to.deep.equal({ a: 'log_rejected', b: 'log_rejected', c: 'log_rejected', d: 'offset 0' });
      expect(rig.sender.transcript).to.deep.equal(['send a', 'send b c', 'send d']);
    });

    it('of one record in a batch does not cost the others', async () => {
      rig.append('first');
      rig.append('a', 'b', 'bad', 'c', 'd');
      rig.append('last');
      await rig.sender.answer(appended(0));
      for (let offset = 1; rig.sender.inFlight; ) {
        const keys = rig.sender.attempts.at(-1)!.keys;
        await rig.sender.answer(keys.includes('bad') ? rejected('split') : appended(offset));
        if (!keys.includes('bad')) offset += keys.length;
      }
      const { a, b, bad, c, d, last } = rig.results;
      expect({ a, b, bad, c, d, last }).to.deep.equal({
        a: 'offset 1',
        b: 'offset 2',
        bad: 'log_rejected',
        c: 'offset 3',
        d: 'offset 4',
        last: 'offset 5',
      });
    });
  });

  describe('the bound of what waits', () => {
    it('refuses what would pass it, and takes it when there is room again', async () => {
      rig = new GroupCommitRig({ budget: { bytes: 0, bytesMax: 2_500 } });
      for (const key of ['a', 'b', 'too much']) rig.appendSized(key, 1_000);
      await settled();
      expect(rig.results).to.deep.equal({ 'too much': 'overloaded' });
      await rig.sender.answer(appended(0));
      rig.appendSized('c', 1_000);
      await rig.sender.answer(appended(1));
      await rig.sender.answer(appended(2));
      expect(rig.results.c).to.equal('offset 2');
      expect(rig.budget.bytes).to.equal(0);
    });

    it('counts all partitions that share it together', async () => {
      const options: RigOptions = { budget: { bytes: 0, bytesMax: 2_500 } };
      const other = new GroupCommitRig(options);
      rig = new GroupCommitRig(options);
      for (const key of ['a', 'b']) other.appendSized(key, 1_000);
      rig.appendSized('c', 1_000);
      await settled();
      expect(rig.results).to.deep.equal({ c: 'overloaded' });
      await other.sender.answer(appended(0));
      await other.sender.answer(appended(1));
    });
  });

  it('does not call unknown the half of a refused batch that is not sent again', async () => {
    rig.append('x');
    rig.append('a', 'b');
    await rig.clock.pass(1);
    await rig.sender.answer(appended(0));
    await rig.sender.answer(rejected('split'));
    await rig.clock.pass(10_000);
    expect(rig.results).to.deep.include({ a: 'write_outcome_unknown', b: 'log_unavailable' });
  });
});
