import { expect } from 'chai';
import { type LocalView, LookupRace } from '../../../src/cluster/lookup-race.ts';
import type { PeerAnswer } from '../../../src/cluster/peer-answer.ts';
import type { StoredValue } from '../../../src/store/store.ts';

function value(offset: number): StoredValue {
  const bytes = Buffer.from(`at ${offset}`);
  const version = { partition: 0, offset, timestampMs: 1, expiresAtMs: undefined, contentType: undefined };
  return { ...version, value: bytes, latin1: bytes.toString('latin1') };
}

/** An answer with a value that was written just before the position. */
const hit = (position: number): PeerAnswer => ({ position, caughtUp: true, value: value(position - 1) });
const miss = (position: number, { caughtUp = true } = {}): PeerAnswer => ({ position, caughtUp, value: undefined });

describe('the race of a look-up', () => {
  let local: { -readonly [Name in keyof LocalView]: LocalView[Name] };

  beforeEach(() => {
    local = { position: 10, end: 100, caughtUp: false };
  });

  const raceOf = (...peers: string[]) => new LookupRace(peers, () => ({ ...local }));

  /** What came of it in a word, and at which position. */
  function told({ outcome }: LookupRace): string | undefined {
    switch (outcome?.kind) {
      case 'found':
        return `found at ${outcome.answer.position}`;
      case 'absent':
        return `absent at ${outcome.position}`;
      default:
        return outcome?.kind;
    }
  }

  describe('which answer counts', () => {
    it('takes the highest position, not the first to come', () => {
      const race = raceOf('a', 'b', 'c');
      race.answered('a', hit(20));
      race.answered('b', hit(50));
      expect(told(race)).to.equal(undefined);
      race.answered('c', hit(30));
      expect(told(race)).to.equal('found at 50');
    });

    it('takes the highest position of those that are there when time is up', () => {
      const race = raceOf('a', 'b', 'c');
      race.answered('b', hit(50));
      race.answered('a', hit(20));
      race.deadline();
      expect(told(race)).to.equal('found at 50');
    });

    for (const order of ['value first', 'not found first']) {
      it(`lets a newer "not found" beat an older value (${order})`, () => {
        const race = raceOf('a', 'b');
        if (order === 'value first') race.answered('a', hit(20));
        race.answered('b', miss(50));
        race.answered('a', hit(20));
        expect(told(race)).to.equal('absent at 50');
      });

      it(`lets a newer value beat an older "not found" (${order})`, () => {
        const race = raceOf('a', 'b');
        if (order === 'value first') race.answered('a', hit(50));
        race.answered('b', miss(20));
        race.answered('a', hit(50));
        expect(told(race)).to.equal('found at 50');
      });

      it(`prefers a value to "not found" at the same position: it proves that it was there (${order})`, () => {
        const race = raceOf('a', 'b');
        if (order === 'value first') race.answered('a', hit(50));
        race.answered('b', miss(50));
        race.answered('a', hit(50));
        expect(told(race)).to.equal('found at 50');
      });
    }

    it('does not let a newer "not found" of a node that is reading say that there is nothing, nor the older value', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(20));
      race.answered('b', miss(50, { caughtUp: false }));
      expect(told(race)).to.equal('unknown');
    });

    for (const first of [true, false]) {
      it(`at one position hears the node that has caught up, not the one that has not (${first ? 'first' : 'last'})`, () => {
        const race = raceOf('a', 'b');
        race.answered('a', miss(50, { caughtUp: first }));
        race.answered('b', miss(50, { caughtUp: !first }));
        expect(told(race)).to.equal('absent at 50');
      });
    }

    it('hears each peer once, and nobody who was not asked', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(20));
      race.answered('a', miss(60));
      race.answered('stranger', miss(70));
      race.failed('stranger');
      race.failed('a');
      expect(told(race)).to.equal(undefined);
      race.failed('b');
      expect(told(race)).to.equal('found at 20');
      expect(race.dropped).to.deep.equal({ stale: 0, forged: 0, unverified: 0 });
    });
  });

  describe('answers from below this node’s own position', () => {
    it('are dropped when they come', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(9));
      race.failed('b');
      expect(told(race)).to.equal('unknown');
      expect(race.dropped.stale).to.equal(1);
    });

    it('are counted as such beside better ones too', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(50));
      race.answered('b', hit(9));
      expect(told(race)).to.equal('found at 50');
      expect(race.dropped).to.deep.equal({ stale: 1, forged: 0, unverified: 0 });
    });

    it('count at the position itself', () => {
      const race = raceOf('a');
      race.answered('a', hit(10));
      expect(told(race)).to.equal('found at 10');
    });

    it('are dropped when this node has passed them before anything was decided', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(20));
      local.position = 21;
      race.failed('b');
      expect(told(race)).to.equal('unknown');
      expect(race.dropped.stale).to.equal(1);
    });

    it('are dropped when this node has passed them by the time that the log has said where it ends', () => {
      local.end = 15;
      const race = raceOf('a');
      race.answered('a', hit(20));
      race.endAsked();
      local.position = 30;
      local.end = 30;
      race.endIs(30);
      expect(told(race)).to.equal('unknown');
      expect(race.dropped).to.deep.equal({ stale: 1, forged: 0, unverified: 0 });
    });

    it('do not resurrect what this node has seen deleted and forgotten', () => {
      local.caughtUp = true;
      const race = raceOf('a');
      race.answered('a', hit(9));
      expect(told(race)).to.equal('absent at 10');
    });
  });

  describe('the end of the wait', () => {
    for (const position of [100, 101]) {
      it(`comes with an answer at or past the end that is known (${position - 100} past it)`, () => {
        const race = raceOf('a', 'b');
        race.answered('a', hit(position));
        race.endAsked();
        if (position > 100) race.endIs(position);
        expect(told(race)).to.equal(`found at ${position}`);
      });
    }

    it('does not come with an answer before that end', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(99));
      expect(told(race)).to.equal(undefined);
    });

    it('comes with "not found" at that end, even of a node that has not caught up', () => {
      const race = raceOf('a', 'b');
      race.answered('a', miss(100, { caughtUp: false }));
      expect(told(race)).to.equal('absent at 100');
    });

    it('does not come with what was the end when the question was sent, when the log is known to have grown', () => {
      const race = raceOf('a', 'b');
      local.end = 120;
      race.answered('a', hit(100));
      expect(told(race)).to.equal(undefined);
      race.answered('b', miss(120));
      expect(told(race)).to.equal('absent at 120');
    });

    it('comes when every peer has answered or failed', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(20));
      race.failed('b');
      expect(told(race)).to.equal('found at 20');
    });

    it('comes at once when there is nobody to ask', () => {
      expect(told(raceOf())).to.equal('unknown');
      local.caughtUp = true;
      expect(told(raceOf())).to.equal('absent at 10');
    });

    it('comes once: nothing that happens later changes it', () => {
      const race = raceOf('a', 'b', 'c');
      race.answered('a', hit(100));
      const { outcome } = race;
      const dropped = { ...race.dropped };
      race.logDelivered();
      race.answered('b', miss(200));
      race.endAsked();
      race.endIs(200);
      race.endUnknown();
      race.failed('c');
      race.deadline();
      race.abandon();
      expect(race.outcome).to.equal(outcome);
      expect(race.dropped).to.deep.equal(dropped);
      expect(race.wantsEnd).to.equal(false);
    });
  });

  describe('the log', () => {
    it('wins over every answer that came before', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(50));
      race.logDelivered();
      expect(told(race)).to.equal('log');
    });

    it('wins over every answer that waits to be verified', () => {
      const race = raceOf('a');
      race.answered('a', hit(150));
      race.endAsked();
      race.logDelivered();
      race.endIs(150);
      expect(told(race)).to.equal('log');
    });

    it('wins over what comes later', () => {
      const race = raceOf('a');
      race.logDelivered();
      race.answered('a', hit(100));
      race.deadline();
      race.abandon();
      expect(told(race)).to.equal('log');
    });
  });

  describe('not knowing', () => {
    it('is no absence: nobody answers and this node is behind', () => {
      const race = raceOf('a', 'b');
      race.failed('a');
      race.failed('b');
      expect(told(race)).to.equal('unknown');
    });

    it('is no absence when time is up either', () => {
      const race = raceOf('a');
      race.deadline();
      expect(told(race)).to.equal('unknown');
    });

    it('is no absence when only nodes that are reading answered', () => {
      const race = raceOf('a');
      race.answered('a', miss(50, { caughtUp: false }));
      expect(told(race)).to.equal('unknown');
    });

    it('ends where a node that has caught up says that there is nothing', () => {
      const race = raceOf('a');
      race.answered('a', miss(50));
      expect(told(race)).to.equal('absent at 50');
    });

    it('ends where this node has caught up itself, at the start or meanwhile', () => {
      const race = raceOf('a');
      local = { position: 100, end: 100, caughtUp: true };
      race.deadline();
      expect(told(race)).to.equal('absent at 100');
    });

    it('comes back when what was read is dropped', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(50));
      race.abandon();
      expect(told(race)).to.equal('unknown');
    });
  });

  describe('an answer beyond the end that is known', () => {
    it('is not believed before the log has been asked', () => {
      const race = raceOf('a');
      race.answered('a', hit(101));
      expect(told(race)).to.equal(undefined);
      expect(race.wantsEnd).to.equal(true);
      race.endAsked();
      expect(race.wantsEnd).to.equal(false);
      race.endIs(101);
      expect(told(race)).to.equal('found at 101');
    });

    it('is dropped when the log ends before it', () => {
      const race = raceOf('a', 'b');
      race.answered('a', miss(102));
      race.endAsked();
      race.endIs(101);
      expect(race.dropped).to.deep.equal({ stale: 0, forged: 1, unverified: 0 });
      race.answered('b', hit(40));
      expect(told(race)).to.equal('found at 40');
    });

    it('is dropped when the log does not say', () => {
      const race = raceOf('a');
      race.answered('a', hit(101));
      race.endAsked();
      race.endUnknown();
      expect(told(race)).to.equal('unknown');
      expect(race.dropped).to.deep.equal({ stale: 0, forged: 0, unverified: 1 });
    });

    it('is dropped when time is up', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(101));
      race.answered('b', hit(40));
      race.endAsked();
      race.deadline();
      expect(told(race)).to.equal('found at 40');
      expect(race.dropped.unverified).to.equal(1);
    });

    it('does not hold up one that is at the known end', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(150));
      race.answered('b', miss(100));
      expect(told(race)).to.equal('absent at 100');
    });

    it('is believed once this node itself has heard that the log goes on so far', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(101));
      race.endAsked();
      local.end = 110;
      race.failed('b');
      expect(told(race)).to.equal('found at 101');
    });

    it('is believed once this node itself has heard so, although the log then does not say', () => {
      const race = raceOf('a');
      race.answered('a', hit(101));
      race.endAsked();
      local.end = 110;
      race.endUnknown();
      expect(told(race)).to.equal('found at 101');
      expect(race.dropped.unverified).to.equal(0);
    });

    it('is judged by a question that was sent after it came, and by no earlier one', () => {
      const race = raceOf('a', 'b');
      race.answered('a', miss(101));
      race.endAsked();
      // The log grows, and the peer with it, after the log was asked.
      race.answered('b', hit(105));
      if (race.wantsEnd) race.endAsked();
      race.endIs(101);
      expect(race.dropped.forged).to.equal(0);
      // An answer at the end that the log has just told ends the wait; it does not say that the other was a forgery.
      expect(told(race)).to.equal('absent at 101');
    });

    it('is not lost to the answer to an earlier question: the question after it decides', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(103));
      race.endAsked();
      race.answered('b', hit(105));
      if (race.wantsEnd) race.endAsked();
      race.endIs(102);
      expect(told(race), 'after the first question').to.equal(undefined);
      if (race.wantsEnd) race.endAsked();
      race.endIs(105);
      expect(told(race)).to.equal('found at 105');
      expect(race.dropped.forged).to.equal(1);
    });

    it('is not lost when an earlier question fails: the question after it decides', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hit(103));
      race.endAsked();
      race.answered('b', hit(105));
      if (race.wantsEnd) race.endAsked();
      race.endUnknown();
      expect(told(race), 'after the first question').to.equal(undefined);
      if (race.wantsEnd) race.endAsked();
      race.endIs(105);
      expect(told(race)).to.equal('found at 105');
      expect(race.dropped.unverified).to.equal(1);
    });
  });
});
