import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { type LookupOutcome, LookupRace } from '../../../src/cluster/lookup-race.ts';
import type { PeerAnswer } from '../../../src/cluster/peer-answer.ts';
import type { StoredValue } from '../../../src/store/store.ts';

/** What the log has at one offset: the key's value or tombstone, or some other key. */
type LogRecord = 'value' | 'tombstone' | 'other';

type Step =
  | { do: 'honest'; peer: number; below: number; caughtUp: boolean }
  | { do: 'lie'; peer: number; position: number; hasValue: boolean; caughtUp: boolean }
  | { do: 'fail'; peer: number }
  | { do: 'append'; records: LogRecord[] }
  | { do: 'read'; records: number }
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
});
const lie = fc.record({
  do: fc.constant('lie' as const),
  peer: anyPeer,
  position: fc.nat(30),
  hasValue: fc.boolean(),
  caughtUp: fc.boolean(),
});
const surroundings: fc.WeightedArbitrary<Step>[] = [
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), peer: anyPeer }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('append' as const), records: fc.array(anyRecord, { maxLength: 4 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), records: fc.nat(4) }) },
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
    const dropped = { stale: 0, forged: 0, unverified: 0 };
    for (const [start, taken] of fc.sample(fc.tuple(anyStart, steps), { numRuns: 1_000, seed: 7 })) {
      const { race } = new History(start).take(taken);
      const kind = race.outcome?.kind ?? 'none';
      ends.set(kind, (ends.get(kind) ?? 0) + 1);
      for (const reason of ['stale', 'forged', 'unverified'] as const) dropped[reason] += race.dropped[reason];
    }
    for (const kind of ['log', 'found', 'absent', 'unknown']) {
      assert.ok((ends.get(kind) ?? 0) > 30, `${kind}: ${ends.get(kind)} of 1000`);
    }
    for (const [reason, count] of Object.entries(dropped)) assert.ok(count > 30, `${reason}: ${count}`);
  });
});

/** An answer as the model sees it. */
interface Heard {
  readonly answer: PeerAnswer;
  /** By the log's answers to questions that were sent after it came. */
  fate: 'open' | 'forged' | 'unverified';
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
    // Where this node begins, it holds nothing under the key: never written, or deleted and the tombstone forgotten.
    const begins = this.#log.map((_, at) => at).filter((at) => this.#stateAt(at) === undefined);
    this.#position = begins[Math.min(read, begins.length - 1)] ?? 0;
    this.#sighted = Math.max(this.#position, Math.min(known, this.#log.length));
    this.#target = target;
    this.#silent = new Set(Array.from({ length: peers }, (_, i) => nameOf(i)));
    this.race = new LookupRace(this.#silent, () => ({
      position: this.#position,
      end: this.#knownLocally(),
      caughtUp: this.#caughtUp(),
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
      const { position, value } = outcome.answer as PeerAnswer & { value: StoredValue };
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
        const offset = this.#stateAt(position);
        this.#answer(step.peer, {
          position,
          caughtUp: step.caughtUp,
          value: offset === undefined ? undefined : storedAt(offset),
        });
        return;
      }
      case 'lie': {
        const { position, caughtUp } = step;
        this.#answer(step.peer, { position, caughtUp, value: step.hasValue ? storedAt(1_000 + position) : undefined });
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
        // As the replica does it: the watcher is told of the record, and then the position moves.
        if (this.#log.slice(from, to).some((record) => record !== 'other')) {
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
        this.#expected ??= this.#ended({ kind: 'unknown' });
        return;
      }
    }
  }

  #answer(peer: number, answer: PeerAnswer): void {
    this.race.answered(nameOf(peer), answer);
    if (!this.#silent.delete(nameOf(peer))) return;
    this.#heard.push({ answer, fate: 'open' });
    this.#decide({ timeIsUp: false });
  }

  #close({ heard }: Question, fate: 'forged' | 'unverified'): void {
    for (const one of heard) if (one.fate === 'open' && this.#isBeyond(one)) one.fate = fate;
    this.#decide({ timeIsUp: false });
  }

  /** The rules, from all that was heard. */
  #decide({ timeIsUp }: { timeIsUp: boolean }): void {
    if (this.#expected !== undefined) return;
    const open = this.#heard.filter(({ fate }) => fate === 'open');
    const waiting = open.filter((one) => this.#isBeyond(one));
    const good = open.filter((one) => !waiting.includes(one) && one.answer.position >= this.#position);
    const highest = Math.max(-1, ...good.map(({ answer }) => answer.position));
    const newest = good.filter(({ answer }) => answer.position === highest).map(({ answer }) => answer);
    const isDefinite = highest >= this.#knownEnd();
    const allAreIn = this.#silent.size === 0 && waiting.length === 0;
    if (!isDefinite && !allAreIn && !timeIsUp) return;
    const found = newest.find(({ value }) => value !== undefined);
    if (found !== undefined) {
      this.#expected = this.#ended({ kind: 'found', answer: found as PeerAnswer & { value: object } });
    } else if (isDefinite || newest.some(({ caughtUp }) => caughtUp) || this.#caughtUp()) {
      this.#expected = this.#ended({ kind: 'absent', position: Math.max(highest, this.#position) });
    } else this.#expected = this.#ended({ kind: 'unknown' });
  }

  #ended(outcome: LookupOutcome): LookupOutcome {
    this.#positionAtEnd = this.#position;
    return outcome;
  }

  #compare(after: string): void {
    const { outcome, dropped } = this.race;
    assert.deepEqual(outcome, this.#expected, `after ${after}`);
    const counted = dropped.stale + dropped.forged + dropped.unverified;
    assert.ok(counted <= this.#heard.length, `${counted} answers dropped of ${this.#heard.length} after ${after}`);
    const forged = this.#heard.filter(({ fate }) => fate === 'forged').length;
    if (outcome === undefined) assert.equal(dropped.forged, forged, `forgeries counted after ${after}`);
    const waits = this.#heard.some((one) => one.fate === 'open' && this.#isBeyond(one));
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

  /** The offset of the key's value by the records below `position`. */
  #stateAt(position: number): number | undefined {
    const offset = this.#log.slice(0, position).findLastIndex((record) => record !== 'other');
    return this.#log[offset] === 'value' ? offset : undefined;
  }
}

function nameOf(peer: number): string {
  return `peer ${peer}`;
}

const values = new Map<number, StoredValue>();

/** One object for each offset. */
function storedAt(offset: number): StoredValue {
  const known = values.get(offset);
  if (known !== undefined) return known;
  const bytes = Buffer.from(String(offset));
  const version = { partition: 0, offset, timestampMs: 0, expiresAtMs: undefined, contentType: undefined };
  const made = { ...version, value: bytes, latin1: bytes.toString('latin1') };
  values.set(offset, made);
  return made;
}
