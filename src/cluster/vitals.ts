import type { Clock } from '../kernel/clock.ts';
import { canonicalHostPort } from '../kernel/host-port.ts';
import { type PeerHttp, PeerRequestError } from './peer-http.ts';

/** How far a node has applied one partition. */
export interface PartitionVitals {
  readonly partition: number;
  /** The next offset to apply. */
  readonly position: number;
  /** Where the partition ended when that node last asked. */
  readonly end: number;
  readonly lag: number;
}

/** What a node says of itself at `/health/ready`. */
export interface Vitals {
  readonly node: string;
  readonly instance: string;
  readonly state: string;
  readonly ready: boolean;
  readonly lagMs: number;
  readonly partitions: readonly PartitionVitals[];
}

const partitionsMax = 4_096;
const bodyBytesMax = 1024 * 1024;
/** Room for a host name of the greatest length, a port and more than a UUID. */
const nameLengthMax = 300;

/** Asks a node how it is. Rejects with a `PeerRequestError`, also when what answers there is no node. */
export async function askVitals(http: PeerHttp, timeoutMs: number): Promise<Vitals> {
  const { body, status } = await http.get({
    path: '/health/ready',
    accept: 'application/json',
    timeoutMs,
    bodyBytesMax,
  });
  const vitals = status === 200 || status === 503 ? parseVitals(body.toString('utf8')) : undefined;
  if (vitals === undefined) throw new PeerRequestError('failed', `what answers there (${status}) is no node`);
  return vitals;
}

/** undefined for anything that a node does not say: whoever answers may be somebody else. */
export function parseVitals(text: string): Vitals | undefined {
  try {
    const { node, instance, state, status, lagMs, partitions } = (JSON.parse(text) ?? {}) as Record<string, unknown>;
    if (!isName(node) || !isName(instance)) return undefined;
    if (typeof state !== 'string' || !/^[a-z-]{1,32}$/.test(state) || !isCount(lagMs)) return undefined;
    if (!Array.isArray(partitions) || partitions.length > partitionsMax) return undefined;
    const sound = partitions.map(parsePartition);
    if (sound.includes(undefined)) return undefined;
    return { node, instance, state, ready: status === 'ready', lagMs, partitions: sound as PartitionVitals[] };
  } catch {
    return undefined;
  }
}

function parsePartition(value: unknown): PartitionVitals | undefined {
  const { partition, position, end, lag } = (value ?? {}) as Record<string, unknown>;
  const isSound = isCount(partition) && isCount(position) && isCount(end) && isCount(lag);
  return isSound ? { partition, position, end, lag } : undefined;
}

/** What is kept, and may stand in a log line. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= nameLengthMax && /^[\x21-\x7e]+$/.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Whether a node can be talked to: not asked yet, answered, did not answer, or another one answered at its address. */
export type Reach = 'unknown' | 'reachable' | 'unreachable' | 'misaddressed';

export interface VitalsWatchOptions {
  /** The node that is to answer. */
  readonly id: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Called when the node can be talked to no longer, or again. */
  readonly onChange: (reach: Reach, trouble: string | undefined) => void;
}

/** Asks one node again and again until stopped, and keeps what it said last. */
export class VitalsWatch {
  /** What the node said last; undefined before the first time. */
  latest: Vitals | undefined;
  /** When that was, in milliseconds since the epoch. */
  seenAtMs: number | undefined;
  reach: Reach = 'unknown';
  /** Why the last question was in vain; undefined when it was not. */
  trouble: string | undefined;
  readonly #http: PeerHttp;
  readonly #options: VitalsWatchOptions;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(http: PeerHttp, options: VitalsWatchOptions) {
    this.#http = http;
    this.#options = options;
    void this.#ask();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#http.close();
  }

  async #ask(): Promise<void> {
    const { id, everyMs, timeoutMs, clock } = this.#options;
    try {
      const vitals = await askVitals(this.#http, timeoutMs);
      if (canonicalHostPort(vitals.node) === id) {
        this.latest = vitals;
        this.seenAtMs = clock.nowMs();
        this.#become('reachable', undefined);
      } else this.#become('misaddressed', `node ${vitals.node} answers there`);
    } catch (error) {
      this.#become('unreachable', (error as Error).message);
    }
    if (!this.#stopped) this.#cancel = clock.after(everyMs, () => void this.#ask());
  }

  #become(reach: Reach, trouble: string | undefined): void {
    if (this.#stopped) return;
    const before = this.reach;
    this.reach = reach;
    this.trouble = trouble;
    const isWellAtFirst = before === 'unknown' && reach === 'reachable';
    if (before !== reach && !isWellAtFirst) this.#options.onChange(reach, trouble);
  }
}
