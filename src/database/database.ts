import type { Cluster, Member } from '../cluster/cluster.ts';
import { topicName } from '../cluster/peer-answer.ts';
import type { Peers } from '../cluster/peers.ts';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { Metrics } from '../kernel/metrics.ts';
import type { Log, PartitionEnds, RecordHeaders } from '../log/log.ts';
import type { Partitioner } from '../log/partitioner.ts';
import { contentTypeHeader, expiresAtHeader, keyBytesMax } from '../replica/apply.ts';
import type { Replica } from '../replica/replica.ts';
import type { ReplicaStatus } from '../replica/status.ts';
import type { OrderedStore, Store, StoredValue } from '../store/store.ts';
import { EndsLookup } from './ends-lookup.ts';
import { type MissLookupPolicy, MissLookups, notCaughtUp } from './miss-lookup.ts';
import { Scan } from './scan.ts';
import { errorAsAnswer, inSlices } from './slices.ts';

export { keyBytesMax } from '../replica/apply.ts';
export type { StoredValue } from '../store/store.ts';
export { type KeyRange, type Scan, type ScanPage, scanLimitMax } from './scan.ts';

export interface DatabaseOptions {
  readonly log: Log;
  readonly store: Store;
  /** The same one, where it keeps its keys in order; undefined: scans are refused. */
  readonly orderedStore?: OrderedStore | undefined;
  readonly replica: Replica;
  readonly cluster: Cluster;
  readonly peers: Peers;
  readonly missLookup: MissLookupPolicy;
  readonly partitioner: Partitioner;
  readonly valueBytesMax: number;
  /** Bound of a consistent read's wait. */
  readonly readTimeoutMs: number;
  /** Bound of a write, the wait for its application included. */
  readonly writeTimeoutMs: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** What one look at a key found. */
export interface Reading {
  readonly partition: number;
  /** As of which position of the partition this is so: the applied position of the node that knew it, when it looked. */
  readonly position: number;
  /** undefined: there is no value. */
  readonly found: StoredValue | undefined;
  /** Whether this node's copy of the log has told, or another node; of an absence too. */
  readonly source: 'log' | 'peer';
}

/** What this node has in memory, and what another node needs to know to weigh it. */
export interface Peeked extends Reading {
  readonly caughtUp: boolean;
  /** Which topic it is of, as `topicName` writes it. */
  readonly topic: string;
}

/**
 * - `local`: this node's memory as it is.
 * - `session`: not before this node is at the positions that the client has seen. A node that is still reading the log has not
 *   got the state at its position (see `LookupRace`), so it reads on to the end that it knows first.
 * - `linearizable`: not before this node has applied everything that was in the log when the request came.
 */
export type Consistency =
  | { readonly level: 'local' }
  | { readonly level: 'session'; readonly positions: ReadonlyMap<number, number> }
  | { readonly level: 'linearizable' };

type Waiting = Exclude<Consistency, { level: 'local' }>;

export interface WriteOptions {
  /** `applied`: answer when this node's own reads see the write. `logged`: when the log has it. */
  readonly wait: 'applied' | 'logged';
  readonly expiresAtMs?: number | undefined;
  readonly contentType?: string | undefined;
}

export interface Written {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** Whether this node's own reads see the write already. */
  readonly applied: boolean;
}

/**
 * The database as front ends see it: keys and values in bytes, with versions. Every method throws or rejects with a
 * `BitacoraError`; those of writes are the log's (see `Log.append`), and `topic_unusable`.
 */
export class Database {
  readonly valueBytesMax: number;
  readonly #options: DatabaseOptions;
  readonly #endsLookup: EndsLookup;
  readonly #missLookups: MissLookups;

  constructor(options: DatabaseOptions) {
    const { log, cluster, peers, store, replica, missLookup: policy, clock, metrics } = options;
    this.valueBytesMax = options.valueBytesMax;
    this.#options = options;
    this.#endsLookup = new EndsLookup(() => log.ends());
    const freshEnds = () => this.#endsLookup.next();
    this.#missLookups = new MissLookups({ policy, cluster, peers, store, replica, freshEnds, clock, metrics });
  }

  status(): ReplicaStatus {
    return this.#options.replica.status();
  }

  /** The other nodes. */
  members(): readonly Member[] {
    return this.#options.cluster.members();
  }

  /**
   * Reads this node's memory, at once; a key that was never there is looked up at other nodes. Throws or rejects with
   * `not_caught_up` when nobody knows of the key and this node has not read the part of the log that may hold it: not knowing
   * is not absence.
   */
  read(key: Buffer): Reading | Promise<Reading> {
    const { store, clock } = this.#options;
    const partition = this.#homeOf(key);
    const known = store.look(key, clock.nowMs());
    if (known === undefined && this.#missLookups.applies(partition)) return this.#missLookups.find(key, partition);
    return this.#readingOf(partition, known);
  }

  /** Reads this node's memory and asks nobody. Throws `not_caught_up` as `read` does. */
  readHere(key: Buffer): Reading {
    const { store, clock } = this.#options;
    const partition = this.#homeOf(key);
    return this.#readingOf(partition, store.look(key, clock.nowMs()));
  }

  /** What this node has in memory, whether or not it has read everything: for other nodes, which weigh it by position. */
  peek(key: Buffer): Peeked {
    const { store, replica, clock } = this.#options;
    const partition = this.#homeOf(key);
    const { topic, clusterId } = replica.topic!;
    return {
      partition,
      position: replica.position(partition),
      found: store.get(key, clock.nowMs()),
      source: 'log',
      caughtUp: replica.isCaughtUp(partition),
      topic: topicName(clusterId, topic),
    };
  }

  /**
   * Throws or rejects as `read` does, and with `position_not_reached`, or `log_unavailable`, when the consistency asked for cannot
   * be had in time. Like `read` it answers at once where there is nothing to wait for.
   */
  readConsistently(key: Buffer, consistency: Consistency): Reading | Promise<Reading> {
    if (consistency.level === 'local') return this.read(key);
    if (consistency.level === 'session') {
      const partition = this.#homeOf(key);
      const position = this.#sessionPosition(partition, consistency.positions.get(partition) ?? 0);
      if (this.#options.replica.position(partition) >= position) return this.read(key);
    }
    return this.#readWhenReached(key, consistency);
  }

  /**
   * One answer for each key, in their order: what `readConsistently` gives, or its error. Each is read by itself, a slice at a time;
   * it is waited once for a partition, not for each of its keys.
   */
  readMany(keys: readonly Buffer[], consistency: Consistency): Promise<(Reading | BitacoraError)[]> {
    return this.manyReader(consistency)(keys);
  }

  /** `readMany` for a request whose keys are read a part at a time: it is waited once for all parts, from the first on. */
  manyReader(consistency: Consistency): (keys: readonly Buffer[]) => Promise<(Reading | BitacoraError)[]> {
    const reached = new Map<number, Promise<void>>();
    const read = async (key: Buffer): Promise<Reading> => {
      if (consistency.level === 'local') return this.read(key);
      const partition = this.#homeOf(key);
      let reach = reached.get(partition);
      if (reach === undefined) {
        reach = this.#reach(partition, consistency);
        reached.set(partition, reach);
      }
      await reach;
      return this.#readReached(key, consistency);
    };
    return (keys) => inSlices(keys, (key) => errorAsAnswer(() => read(key)));
  }

  /**
   * Reads of keys in their order, once this node's memory is as `consistency` asks, in all partitions. Other nodes are not asked.
   * Rejects with `scan_disabled`, `not_caught_up` or `scan_not_ready`, and as `readConsistently` does; the scan's methods throw
   * the first three too, because a topic may be read anew at any time.
   */
  async scan(consistency: Consistency): Promise<Scan> {
    const { orderedStore: store, replica, clock } = this.#options;
    const scan = new Scan({ store, replica, clock });
    scan.check();
    if (consistency.level === 'local') return scan;
    const ends = consistency.level === 'linearizable' ? this.#endsLookup.next() : undefined;
    await Promise.all(scan.positions.map((_, partition) => this.#reach(partition, consistency, ends)));
    scan.check();
    return scan;
  }

  async #readWhenReached(key: Buffer, consistency: Waiting): Promise<Reading> {
    await this.#reach(this.#homeOf(key), consistency);
    return this.#readReached(key, consistency);
  }

  /** What was in the log when the request came has been applied: no other node can know better. */
  #readReached(key: Buffer, { level }: Waiting): Reading | Promise<Reading> {
    return level === 'linearizable' ? this.readHere(key) : this.read(key);
  }

  async #reach(partition: number, consistency: Waiting, ends?: Promise<readonly PartitionEnds[]>): Promise<void> {
    const { replica, clock, readTimeoutMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + readTimeoutMs;
    const position =
      consistency.level === 'session'
        ? this.#sessionPosition(partition, consistency.positions.get(partition) ?? 0)
        : await this.#endOf(partition, readTimeoutMs, ends ?? this.#endsLookup.next());
    if (!(await replica.reaches(partition, position, Math.max(0, deadlineMs - clock.monotonicMs())))) {
      throw new BitacoraError(
        'position_not_reached',
        `The node did not reach offset ${position} of partition ${partition} within ${readTimeoutMs} ms.`,
      );
    }
  }

  put(key: Buffer, value: Buffer, options: WriteOptions): Promise<Written> {
    if (value.length > this.valueBytesMax) {
      const detail = `The value has ${value.length} bytes, and ${this.valueBytesMax} are the limit (VALUE_BYTES_MAX).`;
      return Promise.reject(new BitacoraError('value_too_large', detail));
    }
    return this.#write(key, value, options);
  }

  /** Idempotent: to delete a key that is not there is a write like any other. */
  delete(key: Buffer, options: WriteOptions): Promise<Written> {
    return this.#write(key, null, options);
  }

  async #write(key: Buffer, value: Buffer | null, options: WriteOptions): Promise<Written> {
    const { log, replica, clock, writeTimeoutMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + writeTimeoutMs;
    if (replica.refusal !== undefined) {
      throw new BitacoraError('topic_unusable', `Writes are not taken: ${replica.refusal}.`);
    }
    if (replica.partitions === undefined) {
      throw new BitacoraError('log_unavailable', 'The log has not answered since the node started; try again later.');
    }
    const partition = this.#homeOf(key);
    const headers = headersOf(options);
    const record = { partition, key, value, timestampMs: clock.nowMs(), ...(headers === undefined ? {} : { headers }) };
    const { offset, timestampMs } = await log.append(record);
    // The log has it: from here on the write has succeeded, whatever this node still does with it.
    let applied = replica.position(partition) > offset;
    if (!applied && options.wait === 'applied' && replica.isCaughtUp(partition)) {
      applied = await replica.reaches(partition, offset + 1, Math.max(0, deadlineMs - clock.monotonicMs()));
    }
    return { partition, offset, timestampMs, applied };
  }

  #readingOf(partition: number, known: StoredValue | 'absent' | undefined): Reading {
    const { replica } = this.#options;
    if (known === undefined && !replica.isCaughtUp(partition)) throw notCaughtUp('It asked no other node.');
    const found = known === 'absent' ? undefined : known;
    return { partition, position: replica.position(partition), found, source: 'log' };
  }

  #homeOf(key: Buffer): number {
    const { replica, partitioner } = this.#options;
    if (key.length === 0) throw new BitacoraError('key_empty', 'A key has at least one byte.');
    if (key.length > keyBytesMax) {
      throw new BitacoraError('key_too_long', `The key has ${key.length} bytes, and ${keyBytesMax} are the limit.`);
    }
    const { partitions } = replica;
    if (partitions === undefined) {
      throw new BitacoraError('not_caught_up', 'The log has not answered since the node started; ask again later.');
    }
    return partitions === 1 ? 0 : partitioner(key, partitions);
  }

  /** How far this node is to be before it answers a client that has seen `position`. */
  #sessionPosition(partition: number, position: number): number {
    const { replica } = this.#options;
    // Who has seen nothing of the partition takes what there is.
    if (position === 0 || replica.isCaughtUp(partition)) return position;
    return Math.max(position, replica.end(partition));
  }

  async #endOf(partition: number, timeoutMs: number, asked: Promise<readonly PartitionEnds[]>): Promise<number> {
    const positionBefore = this.#options.replica.position(partition);
    const ends = await withDeadline(asked, timeoutMs, this.#options.clock);
    const bounds = ends?.find((candidate) => candidate.partition === partition);
    if (bounds === undefined) {
      throw new BitacoraError('log_unavailable', 'The log did not say in time where it ends; try again later.');
    }
    if (bounds.end < positionBefore) {
      throw new BitacoraError('log_unavailable', 'The log ends before what the node has read; it looks into that.');
    }
    return bounds.end;
  }
}

/** The promise's value, or undefined when it takes longer than `timeoutMs`. */
function withDeadline<T>(promise: Promise<T>, timeoutMs: number, clock: Clock): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => resolve(undefined));
    promise.then(resolve, reject).finally(cancel);
  });
}

function headersOf({ expiresAtMs, contentType }: WriteOptions): RecordHeaders | undefined {
  if (expiresAtMs === undefined && contentType === undefined) return undefined;
  const headers = new Map<string, Buffer>();
  if (expiresAtMs !== undefined) headers.set(expiresAtHeader, Buffer.from(String(expiresAtMs), 'latin1'));
  if (contentType !== undefined) headers.set(contentTypeHeader, Buffer.from(contentType, 'latin1'));
  return headers;
}
