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
/** A value of which more of the log is read than its record. */
const hitAt = (position: number, offset: number, more: Partial<PeerAnswer> = {}): PeerAnswer => ({
  ...hit(position),
  value: value(offset),
  ...more,
});
const miss = (position: number, { caughtUp = true } = {}): PeerAnswer => ({ position, caughtUp, value: undefined });

const nothing = { stale: 0, forged: 0, unverified: 0, contradicted: 0, unread: 0 };

describe('the race of a look-up', () => {
  let local: { -readonly [Name in keyof LocalView]: LocalView[Name] };

  beforeEach(() => {
    local = { position: 10, end: 100, caughtUp: false, nowMs: 1_000 };
  });

  const raceOf = (...peers: string[]) => new LookupRace(peers, () => ({ ...local }));

  /** What came of it in a word, and at which position. */
  function told({ outcome }: LookupRace): string | undefined {
    switch (outcome?.kind) {
      case 'found':
        return `found at ${outcome.position}`;
      case 'absent':
        return `absent at ${outcome.position}${outcome.source === 'log' ? ' by the log' : ''}`;
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

    for (const first of ['value', 'not found']) {
      it(`does not let "not found" of a node that is reading outrank a value (${first} first)`, () => {
        const race = raceOf('a', 'b');
        if (first === 'value') race.answered('a', hit(20));
        race.answered('b', miss(50, { caughtUp: false }));
        race.answered('a', hit(20));
        expect(told(race)).to.equal('found at 20');
        expect(race.dropped).to.deep.equal({ ...nothing, unread: 1 });
      });

      it(`takes a value of a node that is reading for the state behind its record, not at the node’s position (${first} first)`, () => {
        const race = raceOf('a', 'b');
        const old = hitAt(60, 30, { caughtUp: false });
        if (first === 'value') race.answered('a', old);
        race.answered('b', miss(40));
        race.answered('a', old);
        expect(told(race)).to.equal('absent at 40');
      });
    }

    it('takes a value of a node that is reading when nobody knows of a later state', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hitAt(60, 30, { caughtUp: false }));
      race.answered('b', miss(30));
      expect(told(race)).to.equal('found at 31');
    });

    it('takes a value that has expired for "not found", and for nothing when the node is reading', () => {
      const expired = { ...value(30), expiresAtMs: 1_000 };
      const race = raceOf('a', 'b');
      race.answered('a', hitAt(60, 30, { value: { ...expired, expiresAtMs: 1_001 } }));
      race.answered('b', hitAt(70, 30, { value: expired }));
      expect(told(race)).to.equal('absent at 70');
      const other = raceOf('a');
      other.answered('a', hitAt(60, 30, { value: expired, caughtUp: false }));
      expect(told(other)).to.equal('unknown');
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
      expect(race.dropped).to.deep.equal(nothing);
    });
  });

  describe('a value whose record this node has read past', () => {
    it('is dropped: a later record has replaced it', () => {
      const race = raceOf('a');
      race.answered('a', hitAt(100, 9));
      expect(told(race)).to.equal('unknown');
      expect(race.dropped).to.deep.equal({ ...nothing, contradicted: 1 });
    });

    it('is dropped in favour of the state at a lower position', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hitAt(60, 9));
      race.answered('b', hit(50));
      expect(told(race)).to.equal('found at 50');
    });

    it('is dropped when this node has read past it while others were waited for', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hitAt(50, 20));
      local.position = 21;
      race.failed('b');
      expect(told(race)).to.equal('unknown');
      expect(race.dropped).to.deep.equal({ ...nothing, contradicted: 1 });
    });

    it('is dropped without asking the log, when its peer is beyond the end', () => {
      local.caughtUp = true;
      const race = raceOf('a');
      race.answered('a', hitAt(150, 9));
      expect([race.wantsEnd, told(race)]).to.deep.equal([false, 'absent at 10 by the log']);
    });

    it('begins behind the record at this node’s own position', () => {
      const race = raceOf('a');
      race.answered('a', hitAt(100, 10));
      expect(told(race)).to.equal('found at 100');
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
      expect(race.dropped).to.deep.equal({ ...nothing, stale: 1 });
    });

    it('count at the position itself', () => {
      const race = raceOf('a');
      race.answered('a', miss(10));
      expect(told(race)).to.equal('absent at 10');
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
      expect(race.dropped).to.deep.equal({ ...nothing, stale: 1 });
    });

    it('do not resurrect what this node has seen deleted and forgotten', () => {
      local.caughtUp = true;
      const race = raceOf('a');
      race.answered('a', hit(9));
      expect(told(race)).to.equal('absent at 10 by the log');
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

    it('does not come with "not found" of a node that is reading, even at that end', () => {
      const race = raceOf('a', 'b');
      race.answered('a', miss(100, { caughtUp: false }));
      expect(told(race)).to.equal(undefined);
      race.answered('b', hit(60));
      expect(told(race)).to.equal('found at 60');
    });

    it('does not come with a value from before that end, of a node that is reading beyond it', () => {
      const race = raceOf('a', 'b');
      race.answered('a', hitAt(100, 98, { caughtUp: false }));
      expect(told(race)).to.equal(undefined);
      race.answered('b', miss(100));
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
      expect(told(raceOf())).to.equal('absent at 10 by the log');
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
      local = { ...local, position: 100, end: 100, caughtUp: true };
      race.deadline();
      expect(told(race)).to.equal('absent at 100 by the log');
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
      expect(race.dropped).to.deep.equal({ ...nothing, forged: 1 });
      race.answered('b', hit(40));
      expect(told(race)).to.equal('found at 40');
    });

    it('is dropped when the log does not say', () => {
      const race = raceOf('a');
      race.answered('a', hit(101));
      race.endAsked();
      race.endUnknown();
      expect(told(race)).to.equal('unknown');
      expect(race.dropped).to.deep.equal({ ...nothing, unverified: 1 });
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
      for (const [ahead, there, outcome] of [
        [miss(150), miss(100), 'absent at 100'],
        [miss(150), hit(100), 'found at 100'],
        [hit(150), hit(100), 'found at 100'],
      ] as const) {
        const race = raceOf('a', 'b');
        race.answered('a', ahead);
        race.answered('b', there);
        expect(told(race)).to.equal(outcome);
      }
    });

    describe('with a value', () => {
      beforeEach(() => {
        local = { ...local, position: 100, caughtUp: true };
      });

      it('keeps this node from saying that there is nothing, when the log does not say where it ends', () => {
        const race = raceOf('a');
        race.answered('a', hit(102));
        race.endAsked();
        race.endUnknown();
        expect(told(race)).to.equal('unknown');
        expect(race.outcome).to.deep.equal({ kind: 'unknown', shown: true });
      });

      it('keeps this node from saying that there is nothing, when time is up before the log has said', () => {
        for (const isAsked of [true, false]) {
          const race = raceOf('a', 'b');
          race.answered('a', hit(102));
          if (isAsked) race.endAsked();
          race.deadline();
          expect(told(race)).to.equal('unknown');
          expect(race.dropped).to.deep.equal({ ...nothing, unverified: 1 });
        }
      });

      for (const order of ['before', 'after']) {
        it(`holds up "not found" from below its record, that comes ${order} the log’s silence, and outlasts it`, () => {
          const race = raceOf('a', 'b', 'c');
          race.answered('a', hit(102));
          race.endAsked();
          if (order === 'before') race.answered('b', miss(100));
          expect(told(race)).to.equal(undefined);
          race.endUnknown();
          if (order === 'after') race.answered('b', miss(100));
          race.failed('c');
          if (race.wantsEnd) race.endAsked();
          race.endUnknown();
          expect(told(race)).to.equal('unknown');
        });
      }

      it('does not keep anybody from saying so who has read past its record', () => {
        const race = raceOf('a', 'b');
        race.answered('a', hit(102));
        race.endAsked();
        race.endUnknown();
        local.end = 103;
        race.answered('b', miss(103));
        expect(told(race)).to.equal('absent at 103');
      });

      it('does not keep this node from saying so once it has read past its record', () => {
        const race = raceOf('a', 'b');
        race.answered('a', hitAt(200, 101));
        race.endAsked();
        race.endUnknown();
        local.position = 102;
        race.failed('b');
        expect(told(race)).to.equal('absent at 102 by the log');
      });

      it('does not keep it from saying so once the log has told a forgery', () => {
        const race = raceOf('a', 'b');
        race.answered('a', hit(102));
        race.endAsked();
        race.endUnknown();
        race.answered('b', hit(105));
        expect(race.wantsEnd).to.equal(true);
        race.endAsked();
        race.endIs(101);
        expect(told(race)).to.equal('absent at 100 by the log');
        expect(race.dropped).to.deep.equal({ ...nothing, forged: 2 });
      });

      it('gives way to a value that is within the known log', () => {
        local.position = 90;
        const race = raceOf('a', 'b');
        race.answered('a', hit(102));
        race.endAsked();
        race.endUnknown();
        race.answered('b', hit(95));
        expect(told(race)).to.equal('found at 95');
      });
    });

    it('with nothing under the key keeps nobody from saying that there is nothing', () => {
      local = { ...local, position: 100, caughtUp: true };
      const race = raceOf('a');
      race.answered('a', miss(102));
      race.endAsked();
      race.endUnknown();
      expect(told(race)).to.equal('absent at 100 by the log');
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
      expect(told(race)).to.equal(undefined);
      expect(race.wantsEnd).to.equal(true);
      race.endAsked();
      race.endIs(105);
      expect(told(race)).to.equal('found at 105');
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
      expect(race.dropped).to.deep.equal(nothing);
    });
  });
});
