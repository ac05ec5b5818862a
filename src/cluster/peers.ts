import type { Clock } from '../kernel/clock.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { Breaker } from './breaker.ts';
import { type LocalView, type LookupOutcome, LookupRace } from './lookup-race.ts';
import type { Membership } from './membership.ts';
import { parseAnswer } from './peer-answer.ts';
import { PeerHttp, PeerRequestError } from './peer-http.ts';

export interface PeersOptions {
  readonly membership: Membership;
  /** Bound on a look-up and on each request of it. */
  readonly timeoutMs: number;
  readonly valueBytesMax: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** One key that is to be looked up at other nodes. */
export interface LookupQuestion {
  readonly key: Buffer;
  /** The key's home partition. */
  readonly partition: number;
  /** The topic that this node reads, as `topicName` writes it. */
  readonly topic: string;
  readonly local: () => Omit<LocalView, 'nowMs'>;
  /** Where the partition ends, by a question to the log that is sent after the call. */
  readonly freshEnd: () => Promise<number>;
  /** When the peer last said how it is, in milliseconds since the epoch. */
  readonly lastSeenMs: (id: string) => number | undefined;
}

/** A look-up under way. */
export interface Lookup {
  readonly outcome: Promise<LookupOutcome>;
  /** See `LookupRace`. */
  logDelivered(): void;
  abandon(): void;
}

const lookupOutcomes = ['hit', 'not_found', 'log_won', 'unknown'] as const;
const requestOutcomes = [
  'answered',
  'unavailable',
  'foreign',
  'malformed',
  'timeout',
  'failed',
  'too_large',
  'overloaded',
  'breaker_open',
] as const;
const dropReasons = ['stale', 'forged', 'unverified', 'contradicted', 'unread'] as const;

/** Room for the document that says that there is no value. */
const problemBytesMax = 16 * 1024;

interface Peer {
  readonly http: PeerHttp;
  readonly breaker: Breaker;
  /** When a request to it last failed, in milliseconds since the epoch. */
  failedAtMs: number;
}

/** Looks keys up at all other nodes at once, one hop, with a deadline. */
export class Peers implements Service {
  readonly name = 'peers';
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #lookups = zeros(lookupOutcomes);
  readonly #requests = zeros(requestOutcomes);
  readonly #dropped = zeros(dropReasons);
  #stopped = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    options.membership.subscribe(({ kind, id }) => {
      if (kind === 'left') void this.#forget(id);
    });
    this.#registerMetrics();
  }

  async run(): Promise<void> {}

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#peers.keys()].map((id) => this.#forget(id)));
  }

  /** Whether there is anybody to ask. */
  get any(): boolean {
    return this.#options.membership.members().size > 0;
  }

  lookUp(question: LookupQuestion): Lookup {
    const { membership, timeoutMs, clock } = this.#options;
    const asked = this.#stopped ? [] : [...membership.members()].filter((id) => this.#mayAsk(id, question));
    const race = new LookupRace(asked, () => ({ ...question.local(), nowMs: clock.nowMs() }));
    let settle: (outcome: LookupOutcome) => void = () => {};
    const outcome = new Promise<LookupOutcome>((resolve) => {
      settle = resolve;
    });
    const cancel = clock.after(timeoutMs, () => {
      race.deadline();
      look();
    });
    let counted = false;
    const look = (): void => {
      if (race.outcome === undefined) {
        if (race.wantsEnd) this.#verify(race, question, look);
        return;
      }
      if (counted) return;
      counted = true;
      cancel();
      this.#count(race.outcome, race);
      settle(race.outcome);
    };
    look();
    for (const id of asked) void this.#ask(id, question, race).then(look);
    return {
      outcome,
      logDelivered: () => {
        race.logDelivered();
        look();
      },
      abandon: () => {
        race.abandon();
        look();
      },
    };
  }

  #mayAsk(id: string, { lastSeenMs }: LookupQuestion): boolean {
    const { breaker, failedAtMs } = this.#peer(id);
    const nowMs = this.#options.clock.monotonicMs();
    if (breaker.isOpen && (lastSeenMs(id) ?? 0) > failedAtMs) breaker.revived(nowMs);
    if (breaker.allows(nowMs)) return true;
    this.#requests.breaker_open += 1;
    return false;
  }

  /** A request goes on when its look-up has ended without it: its fate tells whether the peer is worth asking again. */
  async #ask(id: string, { key, partition, topic }: LookupQuestion, race: LookupRace): Promise<void> {
    const { timeoutMs, valueBytesMax, clock } = this.#options;
    const peer = this.#peer(id);
    const { http, breaker } = peer;
    const sentAtMs = clock.monotonicMs();
    const fail = () => {
      peer.failedAtMs = clock.nowMs();
      breaker.failed(clock.monotonicMs(), sentAtMs);
    };
    try {
      const raw = await http.get({
        path: `/rpc/cluster?key=${percentEncode(key)}`,
        accept: 'application/octet-stream',
        timeoutMs,
        bodyBytesMax: Math.max(valueBytesMax, problemBytesMax),
      });
      const answer = parseAnswer(raw, { partition, topic });
      if (typeof answer === 'string') {
        this.#requests[answer] += 1;
        // A node that says that it cannot tell is well.
        if (answer === 'unavailable') breaker.succeeded();
        else fail();
        race.failed(id);
        return;
      }
      breaker.succeeded();
      this.#requests.answered += 1;
      race.answered(id, answer);
    } catch (error) {
      const { fault = 'failed', head } = error instanceof PeerRequestError ? error : {};
      this.#requests[fault] += 1;
      const answer = head && parseAnswer({ ...head, body: Buffer.alloc(0) }, { partition, topic });
      // A node that has a larger value than this one takes is well.
      if (typeof answer === 'object') breaker.succeeded();
      // That this node asks too much says nothing of the peer.
      else if (fault !== 'overloaded' || breaker.isOpen) fail();
      race.failed(id);
    }
  }

  #verify(race: LookupRace, { freshEnd }: LookupQuestion, look: () => void): void {
    race.endAsked();
    const told = freshEnd().then(
      (end) => race.endIs(end),
      () => race.endUnknown(),
    );
    void told.then(look);
  }

  #peer(id: string): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      const { timeoutMs, clock } = this.#options;
      peer = { http: new PeerHttp(id, timeoutMs, clock), breaker: new Breaker(), failedAtMs: 0 };
      this.#peers.set(id, peer);
    }
    return peer;
  }

  async #forget(id: string): Promise<void> {
    const peer = this.#peers.get(id);
    this.#peers.delete(id);
    await peer?.http.close();
  }

  #count(outcome: LookupOutcome, { dropped }: LookupRace): void {
    this.#lookups[nameOf(outcome)] += 1;
    for (const reason of dropReasons) this.#dropped[reason] += dropped[reason];
  }

  #registerMetrics(): void {
    const { metrics } = this.#options;
    metrics.counter({
      name: 'bitacora_lookups_total',
      help: 'Keys looked up at other nodes, by what came of it.',
      labelNames: ['outcome'],
      read: () => samples('outcome', this.#lookups),
    });
    metrics.counter({
      name: 'bitacora_peer_requests_total',
      help: 'Requests of look-ups to other nodes, by what came of them; breaker_open: not sent.',
      labelNames: ['outcome'],
      read: () => samples('outcome', this.#requests),
    });
    metrics.counter({
      name: 'bitacora_peer_answers_dropped_total',
      help:
        'Answers of other nodes that were not used: behind this node, beyond the end of the log, not to be verified, with a ' +
        'value that this node has read past, or without one from a node that is still reading.',
      labelNames: ['reason'],
      read: () => samples('reason', this.#dropped),
    });
    metrics.gauge({
      name: 'bitacora_peer_breakers_open',
      help: 'Other nodes that are left alone because they failed several times in a row.',
      read: () => [...this.#peers.values()].filter(({ breaker }) => breaker.isOpen).length,
    });
  }
}

function nameOf(outcome: LookupOutcome): (typeof lookupOutcomes)[number] {
  switch (outcome.kind) {
    case 'log':
      return 'log_won';
    case 'found':
      return 'hit';
    case 'absent':
      return 'not_found';
    case 'unknown':
      return 'unknown';
  }
}

function zeros<const Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}

function samples(label: string, counts: Record<string, number>) {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

/** Bytes for a query: unreserved characters (RFC 3986, 2.3) as they stand, everything else percent-encoded. */
export function percentEncode(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  if (/^[\w.~-]*$/.test(text)) return text;
  return text.replace(/[^\w.~-]/g, (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
