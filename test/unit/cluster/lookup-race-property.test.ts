import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { type LookupOutcome, LookupRace } from '../../../src/cluster/lookup-race.ts';
import type { PeerAnswer } from '../../../src/cluster/peer-answer.ts';
import type { StoredValue } from '../../../src/store/store.ts';

/** What the log has at one offset: the key's value or tombstone, or some other key. */
type LogRecord = 'value' | 'tombstone' | 'other';

type Step =
  | { do: 'honest'; peer: number; below: number; caughtUp: boolean; compacted: number }
  | {
      do: 'lie';
      peer: number;
      position: number;
      age: number;
      hasValue: boolean;
      hasExpired: boolean;
      caughtUp: boolean;
    }
  | { do: 'fail'; peer: number }
  | { do: 'append'; records: LogRecord[] }
  | { do: 'read'; records: number; isCompacted: boolean }
  | { do: 'sight' }
  | { do: 'ask' }
  | { do: 'tell'; grown: boolean }
  | { do: 'hush' }
  | { do: 'deadline' }
  | { do: 'abandon' };

const peersMax = 5;
const anyRecord = fc.constantFrom<LogRecord>('value', 'tombstone', 'other', 'other', 'other');
const anyPeer = fc.nat(peersMax);
const only = <const Name extends string>(name: Name) => fc.record({ do: fc.constant(name) });

const honest = fc.record({
  do: fc.constant('honest' as const),
  peer: anyPeer,
  below: fc.nat(6),
  caughtUp: fc.boolean(),
  compacted: fc.nat(3),
});
const lie = fc.record({
  do: fc.constant('lie' as const),
  peer: anyPeer,
  position: fc.nat(30),
  age: fc.nat(12),
  hasValue: fc.boolean(),
  hasExpired: fc.boolean(),
  caughtUp: fc.boolean(),
});
const surroundings: fc.WeightedArbitrary<Step>[] = [
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), peer: anyPeer }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('append' as const), records: fc.array(anyRecord, { maxLength: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('read' as const), records: fc.nat(4), isCompacted: fc.boolean() }),
  },
  { weight: 2, arbitrary: only('sight') },
  { weight: 4, arbitrary: only('ask') },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('tell' as const), grown: fc.boolean() }) },
  { weight: 1, arbitrary: only('hush') },
  { weight: 1, arbitrary: only('deadline') },
];
const rarely: fc.WeightedArbitrary<Step> = { weight: 1, arbitrary: only('abandon') };

const anyStart = fc.record({
  records: fc.array(anyRecord, { maxLength: 12 }),
  peers: fc.nat(peersMax),
  read: fc.nat(12),
  known: fc.nat(12),
  target: fc.nat(14),
  asksAtOnce: fc.boolean(),
});
type Start = typeof anyStart extends fc.Arbitrary<infer Value> ? Value : never;

const reasons = ['stale', 'forged', 'unverified', 'contradicted', 'unread'] as const;

const numRuns = 8_000;

describe('the race of a look-up, whatever happens', () => {
  it('ends as the rules say, with honest and dishonest peers', () => {
    const steps = fc.array(
      fc.oneof({ weight: 8, arbitrary: honest }, { weight: 4, arbitrary: lie }, rarely, ...surroundings),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(anyStart, steps, (start, taken) => {
        new History(start).take(taken);
      }),
      { numRuns },
    );
  });

  it('tells the state of the key at this node’s position or later, when all peers are honest', () => {
    const steps = fc.array(fc.oneof({ weight: 10, arbitrary: honest }, ...surroundings), {
      minLength: 5,
      maxLength: 40,
    });
    fc.assert(
      fc.property(anyStart, steps, (start, taken) => {
        const history = new History(start);
        history.take(taken);
        history.checkTruth();
      }),
      { numRuns },
    );
  });

  it('comes to every kind of end in these histories', () => {
    const steps = fc.array(fc.oneof({ weight: 8, arbitrary: honest }, { weight: 4, arbitrary: lie }, ...surroundings), {
      minLength: 10,
      maxLength: 40,
    });
    const ends = new Map<string, number>();
    const dropped = { stale: 0, forged: 0, unverified: 0, contradicted: 0, unread: 0 };
    for (const [start, taken] of fc.sample(fc.tuple(anyStart, steps), { numRuns: 4_000, seed: 7 })) {
      const { race } = new History(start).take(taken);
      const kind = race.outcome?.kind ?? 'none';
      ends.set(kind, (ends.get(kind) ?? 0) + 1);
      for (const reason of reasons) dropped[reason] += race.dropped[reason];
    }
    for (const kind of ['log', 'found', 'absent', 'unknown']) {
      assert.ok((ends.get(kind) ?? 0) > 30, `${kind}: ${ends.get(kind)} of 4000`);
    }
    for (const [reason, count] of Object.entries(dropped)) assert.ok(count > 30, `${reason}: ${count}`);
  });
});

/** An answer as the model sees it. */
interface Heard {
  readonly answer: PeerAnswer;
  /** By the log's answers to questions that were sent after it came. */
  fate: 'open' | 'forged' | 'unverified';
  /** Whether it was dropped for good because this node had passed it, or says nothing. */
  isOut: boolean;
}

/** A question to the log: where it ended when it was asked, and which answers had come by then. */
interface Question {
  readonly end: number;
  readonly heard: readonly Heard[];
}

/**
 * One run: a log, this node that reads it, peers, and beside the race a model that has everything that ever happened and works
 * out the rules from it anew at each step.
 */
class History {
  readonly race: LookupRace;
  readonly #log: LogRecord[];
  #position = 0;
  #sighted: number;
  readonly #target: number;
  readonly #silent: Set<string>;
  readonly #heard: Heard[] = [];
  #questions: Question[] = [];
  #verifiedEnd = 0;
  #expected: LookupOutcome | undefined;
  #positionAtEnd = 0;
  readonly #asksAtOnce: boolean;

  constructor({ records, peers, read, known, target, asksAtOnce }: Start) {
    this.#asksAtOnce = asksAtOnce;
    this.#log = [...records];
    this.#target = Math.min(target, this.#log.length);
    // Where this node begins, it holds nothing under the key: never written, deleted and the tombstone forgotten, or compacted.
    const begins = this.#log
      .map((_, at) => at)
      .filter((at) => this.#stateAt(at) === undefined || this.#isWritten(at, this.#target));
    this.#position = begins[Math.min(read, begins.length - 1)] ?? 0;
    this.#sighted = Math.max(this.#position, Math.min(known, this.#log.length));
    this.#silent = new Set(Array.from({ length: peers }, (_, i) => nameOf(i)));
    this.race = new LookupRace(this.#silent, () => ({
      position: this.#position,
      end: this.#knownLocally(),
      caughtUp: this.#caughtUp(),
      nowMs,
    }));
    this.#decide({ timeIsUp: false });
    this.#compare('the start');
  }

  take(steps: readonly Step[]): this {
    for (const step of steps) {
      const before = this.race.outcome;
      const textBefore = JSON.stringify(before);
      this.#perform(step);
      if (this.#asksAtOnce) this.#perform({ do: 'ask' });
      this.#compare(JSON.stringify(step));
      if (before !== undefined) {
        assert.equal(this.race.outcome, before, 'the outcome changed');
        assert.equal(JSON.stringify(this.race.outcome), textBefore);
      }
    }
    return this;
  }

  /** What was told is so: by the log itself, not by the rules. */
  checkTruth(): void {
    const { outcome, dropped } = this.race;
    assert.equal(dropped.forged, 0, 'an honest answer was taken for a forgery');
    if (outcome?.kind === 'found') {
      const { position, value } = outcome;
      assert.ok(position >= this.#positionAtEnd, 'older than this node');
      assert.equal(this.#stateAt(position), value.offset, `at ${position} the key had another state`);
    } else if (outcome?.kind === 'absent') {
      assert.ok(outcome.position >= this.#positionAtEnd, 'older than this node');
      assert.equal(this.#stateAt(outcome.position), undefined, `at ${outcome.position} there was a value`);
    }
  }

  #perform(step: Step): void {
    const { race } = this;
    switch (step.do) {
      case 'honest': {
        const position = Math.max(0, this.#log.length - step.below);
        const { caughtUp, compacted } = step;
        // One that is reading may have missed records that a later one, which it has not come to, made superfluous.
        const missed = !caughtUp && this.#isWritten(position, this.#log.length) ? compacted : 0;
        const offset = this.#stateAt(position, missed);
        this.#answer(step.peer, { position, caughtUp, value: offset === undefined ? undefined : storedAt(offset) });
        return;
      }
      case 'lie': {
        const { position, age, caughtUp, hasValue, hasExpired } = step;
        const offset = position - 1 - age;
        const value = hasValue && offset >= 0 ? storedAt(offset, hasExpired ? nowMs : undefined) : undefined;
        this.#answer(step.peer, { position, caughtUp, value });
        return;
      }
      case 'fail': {
        race.failed(nameOf(step.peer));
        if (this.#silent.delete(nameOf(step.peer))) this.#decide({ timeIsUp: false });
        return;
      }
      case 'append': {
        this.#log.push(...step.records);
        return;
      }
      case 'read': {
        const from = this.#position;
        const to = Math.min(this.#log.length, from + step.records);
        const isCompacted = step.isCompacted && this.#isWritten(to, this.#target);
        // As the replica does it: the watcher is told of the record, and then the position moves.
        if (!isCompacted && this.#isWritten(from, to)) {
          race.logDelivered();
          this.#expected ??= this.#ended({ kind: 'log' });
        }
        this.#position = to;
        return;
      }
      case 'sight': {
        this.#sighted = this.#log.length;
        return;
      }
      case 'ask': {
        if (!race.wantsEnd) return;
        race.endAsked();
        this.#questions.push({ end: this.#log.length, heard: [...this.#heard] });
        return;
      }
      case 'tell': {
        const question = this.#questions.shift();
        if (question === undefined) return;
        // Where it ended at some instant after the question.
        const end = step.grown ? this.#log.length : question.end;
        race.endIs(end);
        this.#verifiedEnd = Math.max(this.#verifiedEnd, end);
        this.#close(question, 'forged');
        return;
      }
      case 'hush': {
        const question = this.#questions.shift();
        if (question === undefined) return;
        race.endUnknown();
        this.#close(question, 'unverified');
        return;
      }
      case 'deadline': {
        race.deadline();
        this.#decide({ timeIsUp: true });
        assert.notEqual(race.outcome, undefined, 'no outcome after the deadline');
        return;
      }
      case 'abandon': {
        race.abandon();
        this.#expected ??= this.#ended({ kind: 'unknown', shown: false });
        return;
      }
    }
  }

  #answer(peer: number, answer: PeerAnswer): void {
    this.race.answered(nameOf(peer), answer);
    if (!this.#silent.delete(nameOf(peer))) return;
    this.#heard.push({ answer, fate: 'open', isOut: false });
    this.#decide({ timeIsUp: false });
  }

  #close({ heard }: Question, fate: 'forged' | 'unverified'): void {
    for (const one of heard) {
      one.isOut ||= this.#isPassed(one);
      if (one.fate !== 'forged' && !one.isOut && this.#isBeyond(one)) one.fate = fate;
    }
    this.#decide({ timeIsUp: false });
  }

  /** The rules, from all that was heard. */
  #decide({ timeIsUp }: { timeIsUp: boolean }): void {
    if (this.#expected !== undefined) return;
    for (const one of this.#heard) one.isOut ||= this.#isPassed(one);
    const standing = this.#heard.filter(({ fate, isOut }) => fate !== 'forged' && !isOut);
    const beyond = standing.filter((one) => this.#isBeyond(one));
    const good = standing.filter((one) => !beyond.includes(one));
    const values = good.flatMap(({ answer }) => liveValue(answer) ?? []);
    const highestValue = Math.max(-1, ...good.map(({ answer }) => (liveValue(answer) ? stateOf(answer) : -1)));
    const highestAbsence = Math.max(-1, ...good.map(({ answer }) => (liveValue(answer) ? -1 : answer.position)));
    const highest = Math.max(highestValue, highestAbsence);
    const isFound = highestValue >= highestAbsence && highest >= 0;
    // The highest record that somebody has shown and nobody has confirmed: who has not read past it cannot say that it is not.
    const shown = Math.max(-1, ...beyond.map(({ answer }) => liveValue(answer)?.offset ?? -1));
    const isDefinite = highest >= this.#knownEnd() && (isFound || highest > shown);
    const allAreIn = this.#silent.size === 0 && beyond.every(({ fate }) => fate === 'unverified');
    if (!isDefinite && !allAreIn && !timeIsUp) return;
    if (isFound) {
      const offset = Math.max(
        ...good
          .filter(({ answer }) => stateOf(answer) === highest)
          .map(({ answer }) => liveValue(answer)?.offset ?? -1),
      );
      const value = values.find((candidate) => candidate.offset === offset)!;
      this.#expected = this.#ended({ kind: 'found', position: highest, value });
    } else if (highest > shown) {
      this.#expected = this.#ended({ kind: 'absent', position: highest, source: 'peer' });
    } else if (highest < 0 && this.#caughtUp() && this.#position > shown) {
      this.#expected = this.#ended({ kind: 'absent', position: this.#position, source: 'log' });
    } else this.#expected = this.#ended({ kind: 'unknown', shown: shown >= 0 });
  }

  /** Whether an answer tells nothing that this node does not know better. */
  #isPassed({ answer }: Heard): boolean {
    const value = liveValue(answer);
    if (value === undefined && !answer.caughtUp) return true;
    return answer.position < this.#position || (value !== undefined && value.offset < this.#position);
  }

  /** Whether there is a record of the key from `start` on and below `end`. */
  #isWritten(start: number, end: number): boolean {
    return this.#log.slice(start, end).some((record) => record !== 'other');
  }

  #ended(outcome: LookupOutcome): LookupOutcome {
    this.#positionAtEnd = this.#position;
    return outcome;
  }

  #compare(after: string): void {
    const { outcome, dropped } = this.race;
    assert.deepEqual(outcome, this.#expected, `after ${after}`);
    const counted = reasons.reduce((sum, reason) => sum + dropped[reason], 0);
    assert.ok(counted <= this.#heard.length, `${counted} answers dropped of ${this.#heard.length} after ${after}`);
    const forged = this.#heard.filter(({ fate }) => fate === 'forged').length;
    if (outcome === undefined) assert.equal(dropped.forged, forged, `forgeries counted after ${after}`);
    const waits = this.#heard.some((one) => one.fate === 'open' && !one.isOut && this.#isBeyond(one));
    if (outcome === undefined)
      assert.ok(this.#silent.size > 0 || waits || this.#hasMoved(), `nothing decided after ${after}`);
    else assert.equal(this.race.wantsEnd, false, 'asks on after the outcome');
  }

  /** Whether an answer had to wait until this node itself heard more of the log: the race looks at that at its next event. */
  #hasMoved(): boolean {
    return this.#heard.some(({ answer, fate }) => fate === 'open' && answer.position > this.#verifiedEnd);
  }

  #isBeyond({ answer }: Heard): boolean {
    return answer.position > this.#knownEnd();
  }

  #knownEnd(): number {
    return Math.max(this.#verifiedEnd, this.#knownLocally());
  }

  #knownLocally(): number {
    return Math.max(this.#sighted, this.#position);
  }

  #caughtUp(): boolean {
    return this.#position >= this.#target;
  }

  /** The offset of the key's value by the records below `position`, without the last `missed` of the key. */
  #stateAt(position: number, missed = 0): number | undefined {
    const offsets = [...this.#log.keys()].filter((at) => at < position && this.#log[at] !== 'other');
    const offset = offsets.at(-1 - missed);
    return offset !== undefined && this.#log[offset] === 'value' ? offset : undefined;
  }
}

function nameOf(peer: number): string {
  return `peer ${peer}`;
}

const nowMs = 1_000;

function storedAt(offset: number, expiresAtMs?: number): StoredValue {
  const bytes = Buffer.from(String(offset));
  const version = { partition: 0, offset, timestampMs: 0, expiresAtMs, contentType: undefined };
  return { ...version, value: bytes, latin1: bytes.toString('latin1') };
}

/** What is under the key by an answer, unless it has expired. */
function liveValue({ value }: PeerAnswer): StoredValue | undefined {
  return value?.expiresAtMs === undefined ? value : undefined;
}

/** The position of which an answer tells the state: with compaction, a node that is reading knows its own only up to the record. */
function stateOf(answer: PeerAnswer): number {
  const value = liveValue(answer);
  return value === undefined || answer.caughtUp ? answer.position : value.offset + 1;
}
