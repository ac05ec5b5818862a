import { expect } from 'chai';
import type { Marker } from '../../../../src/broker/txn/transaction-targets.ts';
import { settled } from '../../../support/fake-clock.ts';
import type { Refusal } from './scripted-log.ts';
import { identityOf, minuteMs, TransactionRig } from './transaction-rig.ts';

export const partitionNames = ['a-0', 'a-1', 'b-0'] as const;
export const transactionalIds = ['t', 'u'] as const;

export type Step =
  | (Asking & { do: 'init'; isAnew: boolean })
  | (Asking & { do: 'add'; partition: string })
  | (Asking & { do: 'produce'; partition: string })
  | (Asking & { do: 'end'; commit: boolean })
  | { do: 'pass'; ms: number }
  | { do: 'refuse-records'; how: Refusal; times: number }
  | { do: 'refuse-markers'; partition: string; refused: boolean }
  | { do: 'hold-log'; held: boolean }
  | { do: 'crash' };

interface Asking {
  client: number;
  /** It does not wait for the answer to what it asked before, as when its connection has broken. */
  isImpatient: boolean;
}

/** What a client wrote between beginning and ending, as the client sees it. */
interface Attempt {
  readonly name: string;
  readonly id: string;
  readonly producer: string;
  /** Which it asked for first: a client that does not know how it ended may only ask for the same again. */
  asked: boolean | undefined;
  /** Whether a newer producer had been let in when it first asked to commit. */
  wasFenced: boolean;
  /** Whether it was told that it succeeded. */
  isAcknowledged: boolean;
}

/** A program that holds a producer. */
interface Client {
  readonly id: string;
  producer: string | undefined;
  attempt: Attempt | undefined;
  /** What it waits for the answer of. */
  waitsFor: symbol | undefined;
}

type Action = Extract<Step, { do: 'init' | 'add' | 'produce' | 'end' }>;
type Entry = { readonly attempt: Attempt } | { readonly marker: Marker };

const retriable = ['CONCURRENT_TRANSACTIONS', 'NOT_COORDINATOR', 'NOT_ENOUGH_REPLICAS'];

/**
 * Clients, two for each transactional id, that do as the protocol has them do against a broker that crashes, whose log refuses and
 * whose partitions take no markers. `check` looks at what is in the partitions when all is over.
 */
export class History {
  readonly rig: TransactionRig;
  readonly #clients: readonly Client[];
  readonly #partitions = new Map<string, Entry[]>(partitionNames.map((name) => [name, []]));
  readonly #attempts: Attempt[] = [];
  /** Who may write under a transactional id: the producer that was let in last. */
  readonly #current = new Map<string, string>();
  readonly #letIn = new Set<string>();
  readonly #faults: unknown[] = [];

  private constructor(rig: TransactionRig) {
    this.rig = rig;
    this.#clients = [...transactionalIds, ...transactionalIds].map((id) => ({
      id,
      producer: undefined,
      attempt: undefined,
      waitsFor: undefined,
    }));
    rig.onMarker = (partition, marker) => this.#partitions.get(partition)!.push({ marker });
  }

  static async begin(): Promise<History> {
    return new History(await TransactionRig.started());
  }

  async perform(step: Step): Promise<void> {
    switch (step.do) {
      case 'init':
      case 'add':
      case 'produce':
      case 'end':
        this.#act(this.#clients[step.client]!, step);
        break;
      case 'pass':
        await this.rig.clock.pass(step.ms);
        break;
      case 'refuse-records':
        this.rig.log.refusals.push(...Array<Refusal>(step.times).fill(step.how));
        break;
      case 'refuse-markers':
        if (step.refused) this.rig.refusedMarkers.set(step.partition, 'KAFKA_STORAGE_ERROR');
        else this.rig.refusedMarkers.delete(step.partition);
        break;
      case 'hold-log':
        if (step.held) this.rig.log.hold();
        else this.rig.log.release();
        break;
      case 'crash':
        await this.rig.crash();
        // What was asked of the former run is never answered.
        for (const client of this.#clients) client.waitsFor = undefined;
        break;
    }
    await settled();
  }

  /** All troubles are over, and everybody has left: time does the rest. */
  async end(): Promise<void> {
    this.rig.log.refusals.splice(0);
    this.rig.refusedMarkers.clear();
    this.rig.log.release();
    await settled();
    await this.rig.clock.pass(2 * minuteMs);
  }

  check(): void {
    if (this.#faults.length > 0) throw this.#faults[0];
    const open = this.rig.coordinator.list().filter(([, { status }]) => /Ongoing|Prepare/.test(status));
    expect(open.map(([id]) => id)).to.deep.equal([]);
    const outcomes = new Map<Attempt, Set<boolean>>();
    for (const [partition, entries] of this.#partitions) {
      for (const [at, entry] of entries.entries()) {
        if (!('attempt' in entry)) continue;
        const end = entries.slice(at).find((other) => 'marker' in other && isOf(other.marker, entry.attempt));
        const said = `${entry.attempt.name} in ${partition}`;
        if (end === undefined || !('marker' in end)) throw new Error(`${said} is open for ever`);
        outcomes.set(entry.attempt, (outcomes.get(entry.attempt) ?? new Set()).add(end.marker.commit));
      }
    }
    for (const [{ name, asked, isAcknowledged, wasFenced }, commits] of outcomes) {
      expect(commits.size, `${name} has ended in different ways`).to.equal(1);
      const [isCommitted] = commits;
      if (isCommitted) expect(asked, `${name} was committed and nobody wanted it`).to.equal(true);
      if (isCommitted) expect(wasFenced, `${name} was committed by a producer that was fenced`).to.equal(false);
      if (isAcknowledged) expect(isCommitted, `${name} has not ended as it was said to have`).to.equal(asked);
    }
  }

  get attempts(): number {
    return this.#attempts.length;
  }

  #act(client: Client, step: Action): void {
    if (client.waitsFor !== undefined && !step.isImpatient) return;
    const asked = Symbol(step.do);
    client.waitsFor = asked;
    this.#carryOut(client, step, () => client.waitsFor === asked).then(
      () => {
        if (client.waitsFor === asked) client.waitsFor = undefined;
      },
      (fault: unknown) => this.#faults.push(fault),
    );
  }

  /** `isHeard`: whether the client still waits for the answer. */
  async #carryOut(client: Client, step: Action, isHeard: () => boolean): Promise<void> {
    // First things first, so that most steps come to something.
    if (client.producer === undefined) return this.#init(client, undefined, isHeard);
    if (step.do === 'produce' && client.attempt === undefined) return this.#add(client, step.partition, isHeard);
    switch (step.do) {
      case 'init':
        return this.#init(client, step.isAnew ? undefined : client.producer, isHeard);
      case 'add':
        return this.#add(client, step.partition, isHeard);
      case 'produce':
        return this.#produce(client, step.partition);
      case 'end':
        return this.#end(client, step.commit, isHeard);
    }
  }

  async #init(client: Client, expected: string | undefined, isHeard: () => boolean): Promise<void> {
    const answer = await this.rig.init(client.id, expected);
    if (answer.includes('/')) {
      // Only to a client that says who it is may the same be said again.
      if (expected === undefined) expect(this.#letIn.has(answer), `${answer} is given away twice`).to.equal(false);
      this.#letIn.add(answer);
      this.#current.set(client.id, answer);
      if (!isHeard()) return;
      client.producer = answer;
      client.attempt = undefined;
    } else if (isHeard() && !retriable.includes(answer)) {
      this.#leave(client, answer);
    }
  }

  async #add(client: Client, partition: string, isHeard: () => boolean): Promise<void> {
    const { id, producer } = client;
    if (producer === undefined || client.attempt?.asked !== undefined) return;
    const attempt = client.attempt ?? {
      name: `attempt ${this.#attempts.length} of ${producer}`,
      id,
      producer,
      asked: undefined,
      wasFenced: false,
      isAcknowledged: false,
    };
    const error = await this.rig.add(id, producer, partition);
    if (!isHeard()) return;
    if (error === 'NONE') {
      if (client.attempt === undefined) this.#attempts.push(attempt);
      client.attempt = attempt;
    } else if (!retriable.includes(error)) {
      this.#leave(client, error);
    }
  }

  /** As Produce does: the coordinator is asked, and the batch is appended with no wait in between. */
  async #produce(client: Client, partition: string): Promise<void> {
    const { id, producer, attempt } = client;
    if (producer === undefined || attempt === undefined) return;
    const error = this.rig.verify(id, producer, partition);
    const entries = this.#partitions.get(partition)!;
    if (error === 'NONE') {
      const { producerId, producerEpoch } = identityOf(producer);
      const fencing = entries.find(
        (e) => 'marker' in e && e.marker.producerId === producerId && e.marker.producerEpoch > producerEpoch,
      );
      expect(fencing, `${attempt.name} may write, and the partition knows a later epoch`).to.equal(undefined);
      entries.push({ attempt });
    } else if (error === 'INVALID_PRODUCER_EPOCH' || error === 'INVALID_PRODUCER_ID_MAPPING') {
      this.#leave(client, error);
    }
  }

  async #end(client: Client, commit: boolean, isHeard: () => boolean): Promise<void> {
    const { id, producer, attempt } = client;
    if (producer === undefined || attempt === undefined) return;
    if (attempt.asked === undefined) {
      attempt.asked = commit;
      attempt.wasFenced = this.#current.get(id) !== producer;
    }
    const error = await (attempt.asked ? this.rig.commit(id, producer) : this.rig.abort(id, producer));
    if (error === 'NONE') attempt.isAcknowledged = true;
    if (!isHeard()) return;
    if (error === 'NONE') {
      client.attempt = undefined;
    } else if (!retriable.includes(error)) {
      this.#leave(client, error);
    }
  }

  /** Nothing is left to such a client but to begin anew. Whoever is the last to have been let in must not be told so without reason. */
  #leave(client: Client, error: string): void {
    if (error !== 'PRODUCER_FENCED' && error !== 'INVALID_PRODUCER_EPOCH')
      expect(error).to.equal('INVALID_PRODUCER_ID_MAPPING');
    client.producer = undefined;
    client.attempt = undefined;
  }
}

/** Fencing raises the epoch, so the marker that ends what a producer wrote may have a later one. */
function isOf({ producerId, producerEpoch }: Marker, { producer }: Attempt): boolean {
  const identity = identityOf(producer);
  return producerId === identity.producerId && producerEpoch >= identity.producerEpoch;
}
